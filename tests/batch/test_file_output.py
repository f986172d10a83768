"""All results in one file: it goes on after its last whole result, and nothing in it is lost or there twice."""

import pytest

from s2t_np.batch.file_output import FileOutput, valid_notes
from s2t_np.batch.items import Unread
from s2t_np.batch.notes import JOURNAL
from s2t_np.errors import OptionError
from tests.support.notes import stamps


def one_file(tmp_path, *names, resume=True, **how):
    return FileOutput(tmp_path / "out", stamps(*names, **how), resume)


def fill(tmp_path, *names, text="", incomplete=None, **how):
    """A file with the results of these inputs, and its notes."""
    output = one_file(tmp_path, *names, **how)
    for index in output.pending().todo:
        output.deliver(index, [f"{names[index]}{text}\n"], incomplete)
    output.close()


def content(tmp_path):
    return (tmp_path / "out").read_bytes()


def test_it_goes_on_after_its_last_whole_result(tmp_path):
    fill(tmp_path, "a", "b")
    output = one_file(tmp_path, "a", "b", "c", "d")
    assert output.pending().todo == [2, 3]
    output.close()
    fill(tmp_path, "a", "b", "c", "d")
    assert content(tmp_path) == b"a\nb\nc\nd\n"


@pytest.mark.parametrize("kept", range(5))
def test_a_result_after_the_last_note_is_made_again(tmp_path, kept):
    """A crash may leave a result, whole or in part, without its note."""
    fill(tmp_path, "a", "bbb")
    journal = tmp_path / f".out{JOURNAL}"
    notes = journal.read_bytes()
    journal.write_bytes(notes[: notes.rstrip().rindex(b"\n") + 1 + kept])  # the last note is gone or torn
    (tmp_path / "out").write_bytes(content(tmp_path)[: 2 + kept])
    fill(tmp_path, "a", "bbb")
    assert content(tmp_path) == b"a\nbbb\n"


@pytest.mark.parametrize("kept", range(7))
def test_results_that_a_power_cut_took_are_made_again(tmp_path, kept):
    fill(tmp_path, "a", "b", "c")
    (tmp_path / "out").write_bytes(content(tmp_path)[:kept])
    fill(tmp_path, "a", "b", "c", "d")
    assert content(tmp_path) == b"a\nb\nc\nd\n"
    fill(tmp_path, "a", "b", "c", "d", "e")
    assert content(tmp_path) == b"a\nb\nc\nd\ne\n"


def test_notes_that_were_revoked_do_not_come_back():
    entries = [{"cut": 0}, {"end": 100}, {"end": 300}, {"end": 420}, {"cut": 300}, {"end": 450}, {"end": 800}]
    assert valid_notes(entries, 800) == [{"end": 100}, {"end": 300}, {"end": 450}, {"end": 800}]
    assert valid_notes(entries, 440) == [{"end": 100}, {"end": 300}]


def test_it_is_not_overwritten_or_mixed(tmp_path):
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


def test_a_file_that_something_else_has_changed_is_refused_and_left_alone(tmp_path):
    fill(tmp_path, "a", "b", "c")
    (tmp_path / "out").write_bytes(b"a\nc\nb\n")
    with pytest.raises(OptionError, match=r"changed the result of /in/b"):
        one_file(tmp_path, "a", "b", "c")
    assert content(tmp_path) == b"a\nc\nb\n"


def test_notes_of_another_version_are_refused_and_the_file_left_alone(tmp_path):
    (tmp_path / "out").write_bytes(b"a\n")
    (tmp_path / f".out{JOURNAL}").write_text('{"cut": 0}\n{"input": "/in/a", "end": 2}\n')
    with pytest.raises(OptionError, match="another version"):
        one_file(tmp_path, "a")
    assert content(tmp_path) == b"a\n"


@pytest.mark.parametrize("changed", ["a", "b", "c"])
def test_a_recording_that_has_changed_is_made_again_and_its_old_result_removed(tmp_path, changed):
    names = ("a", "b", "c")
    fill(tmp_path, *names)
    output = FileOutput(tmp_path / "out", [stamps(n, size=10 if n == changed else 9)[0] for n in names], True)
    (index,) = output.pending().todo
    assert names[index] == changed
    output.deliver(index, [f"{changed}2\n"])
    output.close()
    rest = [name for name in names if name != changed]
    assert content(tmp_path).decode().split() == [*rest, f"{changed}2"]
    again = FileOutput(tmp_path / "out", [stamps(n, size=10 if n == changed else 9)[0] for n in names], True)
    assert again.pending().todo == []


def test_a_recording_of_the_same_name_in_another_folder_is_added(tmp_path):
    fill(tmp_path, "a", folder="/one")
    fill(tmp_path, "a", folder="/two", size=10, text="2")
    assert content(tmp_path) == b"a\na2\n"


def test_a_folder_that_was_moved_is_done(tmp_path):
    fill(tmp_path, "a", "b", folder="/one")
    assert one_file(tmp_path, "a", "b", folder="/two").pending().todo == []


def test_a_recording_that_could_not_be_read_to_its_end_is_tried_again(tmp_path):
    """Its disk or network failed: it may be whole. The text up to there stands until there is a better one."""
    fill(tmp_path, "a", text=" bro", incomplete=Unread("cannot be read (Input/output error)"))
    assert content(tmp_path) == b"a bro\n"
    fill(tmp_path, "b", "a", text=" whole")
    assert content(tmp_path) == b"b whole\na whole\n"
    output = one_file(tmp_path, "b", "a")
    assert output.pending() == ([], {}, {})
    output.close()


def test_an_incomplete_recording_is_named_until_it_changes(tmp_path):
    fill(tmp_path, "a", incomplete="is cut short")
    fill(tmp_path, "a", "b")
    output = one_file(tmp_path, "a", "b")
    assert output.pending() == ([], {0: "is cut short"}, {})
    output.close()
    output = FileOutput(tmp_path / "out", [*stamps("a", size=99), *stamps("b")], True)
    assert output.pending() == ([0], {}, {})
    assert content(tmp_path) == b"b\n"
