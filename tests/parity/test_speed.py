"""The numpy backend is at least as fast as transformers on torch, measured in turn on this machine."""

import statistics

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tools.race import race
from tools.random_checkpoint import shape_config, write_checkpoint


def test_ten_seconds_five_beams_thirty_tokens(tmp_path):
    times = race(write_checkpoint(tmp_path, shape_config("small")), 998, 30, 5, runs=5, backend="numpy")["generate"]
    ours, theirs = (statistics.median(times[who]) for who in ("ours", "transformers"))
    print(f"s2t-np {1e3 * ours:.0f} ms, transformers {1e3 * theirs:.0f} ms, {theirs / ours:.2f} times faster")
    assert ours <= theirs
