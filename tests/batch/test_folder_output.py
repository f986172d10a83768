"""Results in a folder: what is done stays done, and nothing is trusted or overwritten that another has made."""

import pytest

from s2t_np.batch.folder_output import FolderOutput
from s2t_np.batch.items import Unread
from s2t_np.batch.notes import JOURNAL
from tests.support.notes import stamps


def folder(tmp_path, *names, by="me", journal=True, formats=("txt", "json"), **state):
    paths = [[tmp_path / f"{name}.{kind}" for kind in formats] for name in names]
    return FolderOutput(tmp_path, paths, stamps(*names, by=by, **state), tmp_path / JOURNAL if journal else None)


def fill(tmp_path, *names, text="text", incomplete=None, formats=("txt", "json"), **how):
    output = folder(tmp_path, *names, formats=formats, **how)
    for index in range(len(names)):
        output.deliver(index, [f"{text} {kind}" for kind in formats], incomplete)
    output.close()


def todo(tmp_path, *names, **how):
    return folder(tmp_path, *names, **how).pending().todo


def test_only_what_is_noted_and_there_is_done(tmp_path):
    output = folder(tmp_path, "a", "b", "c")
    for index in (2, 0):
        output.deliver(index, ["text", "{}"])
    output.close()
    assert todo(tmp_path, "a", "b", "c") == [1]
    assert todo(tmp_path, "a", "b", "c", by="you") == [0, 1, 2]
    assert todo(tmp_path, "a", "b", "c", size=8) == [0, 1, 2]
    assert todo(tmp_path, "a", "b", "c", folder="/moved") == [1]
    (tmp_path / "a.json").unlink()
    assert todo(tmp_path, "a", "b", "c") == [0, 1]


def test_a_result_that_another_run_has_replaced_is_not_done(tmp_path):
    fill(tmp_path, "a", text="first")
    fill(tmp_path, "a", text="second", by="you")
    assert todo(tmp_path, "a") == [0]
    assert todo(tmp_path, "a", by="you") == []
    fill(tmp_path, "a", text="first")
    assert todo(tmp_path, "a") == []


def test_a_result_that_a_run_of_fewer_formats_has_replaced_is_not_done(tmp_path):
    fill(tmp_path, "a")
    fill(tmp_path, "a", formats=("txt",), by="you")
    assert todo(tmp_path, "a") == [0]
    assert todo(tmp_path, "a", formats=("json",)) == []


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_run_that_was_killed_while_it_replaced_a_result_leaves_no_note_on_it(tmp_path, monkeypatch, written):
    fill(tmp_path, "a", text="first")
    output, count = folder(tmp_path, "a", by="you"), 0

    def killed(*_):
        nonlocal count
        if count == written:
            raise KeyboardInterrupt
        count += 1
        return real(*_)

    from s2t_np.batch import folder_output

    real = folder_output.atomic_file
    monkeypatch.setattr(folder_output, "atomic_file", killed)
    monkeypatch.setattr(folder_output, "noted", killed)
    with pytest.raises(KeyboardInterrupt):
        output.deliver(0, ["second txt", "second json"])
    monkeypatch.undo()
    assert folder(tmp_path, "a").pending() == ([0], {}, {})
    assert folder(tmp_path, "a", by="you").pending() == ([0], {}, {})


def test_a_result_that_was_edited_is_named_and_left_alone(tmp_path):
    fill(tmp_path, "a", "b")
    (tmp_path / "a.txt").write_text("corrected by hand")
    assert folder(tmp_path, "a", "b").pending() == ([], {}, {0: tmp_path / "a.txt"})
    (tmp_path / "a.txt").write_text("")
    assert todo(tmp_path, "a", "b") == [0]


def test_a_result_without_text_is_done(tmp_path):
    output = folder(tmp_path, "a", formats=("txt",))
    output.deliver(0, [""])
    output.close()
    assert todo(tmp_path, "a", formats=("txt",)) == []
    (tmp_path / "a.txt").unlink()
    assert todo(tmp_path, "a", formats=("txt",)) == [0]


def test_a_recording_that_could_not_be_read_to_its_end_is_tried_again(tmp_path):
    fill(tmp_path, "a", incomplete=Unread("cannot be read (Input/output error)"))
    assert todo(tmp_path, "a") == [0]
    fill(tmp_path, "a", text="whole")
    assert folder(tmp_path, "a").pending() == ([], {}, {})
    assert (tmp_path / "a.txt").read_text() == "whole txt"


def test_an_incomplete_recording_is_named_until_it_changes(tmp_path):
    fill(tmp_path, "a", incomplete="is cut short")
    assert folder(tmp_path, "a").pending() == ([], {0: "is cut short"}, {})
    assert todo(tmp_path, "a", size=10) == [0]


def test_without_a_journal_only_the_results_are_written(tmp_path):
    fill(tmp_path, "a", journal=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.txt"]


def test_a_journal_of_something_else_is_no_notes(tmp_path):
    (tmp_path / JOURNAL).write_text('{"input": "a"}\n{"outputs": null}\n[1]\n')
    fill(tmp_path, "a")
    assert todo(tmp_path, "a") == []
