"""Whole batches, killed at random moments and resumed."""

import os

import pytest

from tools import kill_batch


@pytest.mark.skipif(os.name != "posix", reason="kill -9 as POSIX has it")
def test_batches_killed_at_random_moments_end_as_if_nothing_had_happened():
    """A dozen kills; tools/kill_batch.py does more."""
    assert "every byte as it should be" in kill_batch.torture(12, kill_batch.spawn, seed=os.getpid(), copies=2)


@pytest.mark.parametrize("harm", [b"", b"te", b"text\ntext\n", b"tent\n"])
def test_the_judge_of_those_batches_sees_harm(tmp_path, harm):
    expected = {"out/a.txt": b"text\n", "out.jsonl": b"1\n2\n"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_bytes(b"text\n")
    (tmp_path / "out.jsonl").write_bytes(b"1\n2")
    assert kill_batch.judge(tmp_path, expected, done=False) == []
    assert kill_batch.judge(tmp_path, expected, done=True)
    (tmp_path / "out.jsonl").write_bytes(b"1\n2\n")
    assert kill_batch.judge(tmp_path, expected, done=True) == []
    (tmp_path / "out" / "a.txt").write_bytes(harm)
    assert kill_batch.judge(tmp_path, expected, done=False)
