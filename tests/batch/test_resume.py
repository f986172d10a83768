"""What is done stays done: notes, folders and growing files as a crash leaves them, and whole batches killed."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from s2t_np.batch.inputs import Input
from s2t_np.batch.resume import JOURNAL, FileOutput, FolderOutput, identity, stamp, valid_notes
from s2t_np.errors import OptionError
from tools import kill_batch


def stamps(*names, by="me"):
    return [{"input": name, "size": 9, "with": by} for name in names]


def one_file(tmp_path, *names, by="me", resume=True):
    return FileOutput(tmp_path / "out", stamps(*names, by=by), resume)


def fill(tmp_path, *names, by="me"):
    """A file with the results of these inputs, and its notes."""
    output = one_file(tmp_path, *names, by=by)
    for index in output.pending():
        output.deliver(index, [f"{names[index]}\n"])
    output.close()


def content(tmp_path):
    return (tmp_path / "out").read_bytes()


def test_one_file_goes_on_after_its_last_whole_result(tmp_path):
    fill(tmp_path, "a", "b")
    output = one_file(tmp_path, "a", "b", "c", "d")
    assert output.pending() == [2, 3]
    output.close()
    fill(tmp_path, "a", "b", "c", "d")
    assert content(tmp_path) == b"a\nb\nc\nd\n"


def test_the_same_input_given_twice_is_done_twice(tmp_path):
    fill(tmp_path, "a")
    fill(tmp_path, "a", "a", "b", "a")
    assert content(tmp_path) == b"a\na\nb\na\n"


@pytest.mark.parametrize("kept", range(5))
def test_what_a_crash_left_behind_the_last_note_is_done_again(tmp_path, kept):
    """A result is in the file, in parts or whole, and its note is not."""
    fill(tmp_path, "a", "bbb")
    journal = tmp_path / f".out{JOURNAL}"
    notes = journal.read_bytes()
    journal.write_bytes(notes[: notes.rstrip().rindex(b"\n") + 1 + kept])  # the last note is gone or torn
    (tmp_path / "out").write_bytes(content(tmp_path)[: 2 + kept])
    fill(tmp_path, "a", "bbb")
    assert content(tmp_path) == b"a\nbbb\n"


@pytest.mark.parametrize("kept", range(7))
def test_what_a_power_cut_took_from_the_file_is_done_again(tmp_path, kept):
    fill(tmp_path, "a", "b", "c")
    (tmp_path / "out").write_bytes(content(tmp_path)[:kept])
    fill(tmp_path, "a", "b", "c", "d")
    assert content(tmp_path) == b"a\nb\nc\nd\n"
    fill(tmp_path, "a", "b", "c", "d", "e")
    assert content(tmp_path) == b"a\nb\nc\nd\ne\n"


def test_notes_that_were_taken_back_do_not_come_again():
    entries = [{"cut": 0}, {"end": 100}, {"end": 300}, {"end": 420}, {"cut": 300}, {"end": 450}, {"end": 800}]
    assert valid_notes(entries, 800) == [{"end": 100}, {"end": 300}, {"end": 450}, {"end": 800}]
    assert valid_notes(entries, 440) == [{"end": 100}, {"end": 300}]


def test_one_file_is_not_overwritten_or_mixed(tmp_path):
    fill(tmp_path, "a")
    with pytest.raises(OptionError, match="--resume continues it"):
        one_file(tmp_path, "a", resume=False)
    with pytest.raises(OptionError, match="other options"):
        one_file(tmp_path, "a", "b", by="you").pending()
    (tmp_path / "mine").write_text("a letter")
    with pytest.raises(OptionError, match="not begun by s2t-np"):
        FileOutput(tmp_path / "mine", stamps("a"), True)
    assert (tmp_path / "mine").read_text() == "a letter"
    assert content(tmp_path) == b"a\n"


def folder(tmp_path, *names, by="me", resume=True):
    paths = [[tmp_path / f"{name}.txt", tmp_path / f"{name}.json"] for name in names]
    return FolderOutput(tmp_path / JOURNAL, paths, stamps(*names, by=by), resume)


def test_in_a_folder_only_what_is_noted_and_there_is_done(tmp_path):
    output = folder(tmp_path, "a", "b", "c")
    for index in (2, 0):
        output.deliver(index, ["text", "{}"])
    output.close()
    assert folder(tmp_path, "a", "b", "c").pending() == [1]
    assert folder(tmp_path, "a", "b", "c", resume=False).pending() == [0, 1, 2]
    assert folder(tmp_path, "a", "b", "c", by="you").pending() == [0, 1, 2]
    (tmp_path / "a.json").unlink()
    assert folder(tmp_path, "a", "b", "c").pending() == [0, 1]


def test_a_stamp_changes_with_the_input(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    first = stamp(Input(str(path), "a"), "me")
    assert stamp(Input(os.path.relpath(path), "a"), "me") == first
    path.write_bytes(b"three")
    second = stamp(Input(str(path), "a"), "me")
    os.utime(path, ns=(1, 1))
    assert len({json.dumps(s) for s in (first, second, stamp(Input(str(path), "a"), "me"))}) == 3


def test_an_identity_changes_with_all_that_decides_the_text(tmp_path):
    (tmp_path / "model").write_bytes(b"weights")

    def name(version="1", backend="numpy", dtype=np.float32, settings=(("beams", 5),)):
        model = SimpleNamespace(folder=tmp_path, backend=SimpleNamespace(name=backend), dtype=dtype)
        return identity(model, version, dict(settings))

    assert name() == name()
    others = [name("2"), name(backend="numba"), name(dtype=np.float64), name(settings=[("beams", 4)])]
    (tmp_path / "model").write_bytes(b"other weights")
    assert len({name(), *others}) == 5


@pytest.mark.skipif(os.name != "posix", reason="kill -9 as POSIX has it")
def test_batches_killed_at_random_moments_end_as_if_nothing_had_been():
    """A dozen here; tools/kill_batch.py does as many as one likes."""
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
