"""Folders that are complete or not there, and what killed runs have left of them."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from s2t_np.errors import InputWarning
from s2t_np.system import atomic_folders
from s2t_np.system.atomic_folders import atomic_folder, exchange, held, remove_leftover_folders

needs_posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links, devices and locks as POSIX has them")


def filled(folder: Path, text: str) -> None:
    """A folder of one file, written over the one that is there."""
    with atomic_folder(folder) as partial:
        (partial / "model").write_text(text)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 of Linux")
def test_two_folders_change_names_in_one_step(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x").write_text("")
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert (os.listdir(tmp_path / "a"), os.listdir(tmp_path / "b")) == ([], ["x"])
    with pytest.raises(FileNotFoundError, match="c"):
        exchange(tmp_path / "a", tmp_path / "c")


@needs_posix
def test_a_folder_that_a_killed_run_left_is_deleted_and_one_in_use_is_not(tmp_path):
    for name in ("left", "used"):
        (tmp_path / f".s2t-np-{name}.tmp").mkdir()
        (tmp_path / f".s2t-np-{name}.tmp" / "x").write_text("")
    with held(tmp_path / ".s2t-np-used.tmp"):
        remove_leftover_folders(tmp_path)
        assert os.listdir(tmp_path) == [".s2t-np-used.tmp"]
    remove_leftover_folders(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def two_steps(monkeypatch):
    """A system that cannot let two folders change names in one step."""
    monkeypatch.setattr(atomic_folders, "exchange", lambda *_: False)


def test_a_folder_is_replaced_in_two_steps(tmp_path, two_steps):
    filled(tmp_path / "m", "old")
    filled(tmp_path / "m", "new")
    assert (tmp_path / "m" / "model").read_text() == "new"
    assert os.listdir(tmp_path) == ["m"]


def test_a_folder_that_was_moved_aside_when_the_process_was_killed_is_put_back(tmp_path, two_steps, monkeypatch):
    filled(tmp_path / "m", "old")
    rename = Path.rename

    def kill_after(self, target):
        rename(self, target)
        raise SystemExit  # as far as the files are concerned

    monkeypatch.setattr(Path, "rename", kill_after)
    monkeypatch.setattr(atomic_folders, "put_back", lambda place: None)
    with pytest.raises(SystemExit):
        filled(tmp_path / "m", "new")
    monkeypatch.undo()
    assert not (tmp_path / "m").exists()
    remove_leftover_folders(tmp_path)
    assert (tmp_path / "m" / "model").read_text() == "old"
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.parametrize("call", ["unlink", "fstat"])
def test_an_old_folder_that_could_not_be_removed_for_a_moment_does_not_stay(tmp_path, monkeypatch, call):
    filled(tmp_path / "m", "old")
    real, failed = getattr(os, call), []

    def fail_once(path, **more):
        if not failed:
            failed.append(path)
            raise OSError(5, "Input/output error", path)
        return real(path, **more)

    with atomic_folder(tmp_path / "m") as folder:
        (folder / "model").write_text("new")
        monkeypatch.setattr(os, call, fail_once)
    assert len(failed) == 1
    assert os.listdir(tmp_path) == ["m"]
    assert (tmp_path / "m" / "model").read_text() == "new"


def test_a_place_that_cannot_be_looked_through_keeps_no_half_of_an_exchange(tmp_path, monkeypatch):
    filled(tmp_path / "m", "old")

    def failing(place):
        raise OSError(24, "Too many open files", str(place))

    with pytest.raises(OSError, match="Too many open files"), atomic_folder(tmp_path / "m") as folder:
        (folder / "model").write_text("new")
        monkeypatch.setattr(atomic_folders, "put_back", failing)
    assert os.listdir(tmp_path) == ["m"]
    assert (tmp_path / "m" / "model").read_text() == "new"


def test_an_old_folder_that_cannot_be_removed_is_named(tmp_path, monkeypatch):
    filled(tmp_path / "m", "old")
    with monkeypatch.context() as patched, pytest.warns(InputWarning, match=r"\.s2t-np-.*: is not needed any more"):
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        filled(tmp_path / "m", "new")
    assert (tmp_path / "m" / "model").read_text() == "new"
    remove_leftover_folders(tmp_path)
    assert os.listdir(tmp_path) == ["m"]
