"""Files that are complete or not there, whatever other runs, other users and crashes do."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from s2t_np.system import atomic_files
from s2t_np.system.atomic_files import atomic_file, check_writable, named, remove_leftovers
from tests.support.paths import ROOT

needs_posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links, devices and locks as POSIX has them")


def test_a_file_appears_complete_or_not_at_all(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as file:
        file.write(b"half")
        assert path.read_text() == "old"
        raise RuntimeError
    assert path.read_text() == "old"
    with atomic_file(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out.txt"]


@needs_posix
def test_atomic_files_have_usual_permissions_and_spare_links_and_devices(tmp_path):
    (tmp_path / "plain").write_text("")
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for name in ("new", "link", "pipe"):
        with atomic_file(tmp_path / name) as file:
            file.write(name.encode())
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "link"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert os.read(reader, 99) == b"pipe"
    os.close(reader)


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".txt")
    with atomic_file(path) as file:
        file.write(b"text")
    assert path.read_bytes() == b"text"


def killed_while_writing(path) -> None:
    """Write half of a file in another process, which then ends without a chance to clean up."""
    code = (
        "import os, sys; from s2t_np.system.atomic_files import atomic_file\n"
        "with atomic_file(sys.argv[1]) as f: f.write(b'half'); f.flush(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False).returncode == 9


def test_what_a_killed_run_left_is_deleted(tmp_path):
    killed_while_writing(tmp_path / "out.txt")
    assert len(os.listdir(tmp_path)) == 1  # under its hidden name
    assert not (tmp_path / "out.txt").exists()
    with atomic_file(tmp_path / "out.txt") as file:
        file.write(b"whole")
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["out.txt"]


@needs_posix
def test_what_another_run_is_writing_is_not_deleted(tmp_path):
    with atomic_file(tmp_path / "out.txt") as file:
        file.write(b"whole")
        remove_leftovers(tmp_path)
    assert (tmp_path / "out.txt").read_bytes() == b"whole"


@needs_posix
def test_a_file_that_was_taken_for_a_leftover_is_created_again(tmp_path, monkeypatch):
    """Another run deletes the new file in the moment before it is locked."""
    real, deleted = atomic_files.try_lock, []

    def late(file):
        if not deleted:
            deleted.append(file.name)
            os.unlink(file.name)
        return real(file)

    monkeypatch.setattr(atomic_files, "try_lock", late)
    with atomic_file(tmp_path / "out.txt") as file:
        file.write(b"whole")
    assert (tmp_path / "out.txt").read_bytes() == b"whole"
    assert len(deleted) == 1


def test_two_runs_that_write_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "out.txt"
    with atomic_file(path) as first, atomic_file(path) as second:
        first.write(b"first")
        first.flush()
        second.write(b"second")
    assert path.read_bytes() == b"first"  # the one that ended last
    assert os.listdir(tmp_path) == ["out.txt"]


def test_temporary_names_cannot_be_foretold(tmp_path):
    names = []
    for _ in range(3):
        with atomic_file(tmp_path / "out.txt") as file:
            names.append(file.name)
    assert len(set(names)) == 3


@needs_posix
def test_a_link_under_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    """Even if another user did guess the name."""
    (tmp_path / "precious").write_text("mine")
    monkeypatch.setattr(atomic_files.os, "urandom", bytes)
    (tmp_path / f".s2t-np-{16 * '0'}.tmp").symlink_to("precious")
    with pytest.raises(OSError), atomic_file(tmp_path / "out.txt") as file:
        file.write(b"text")
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can make links for another user")
def test_a_link_of_another_user_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out.txt").symlink_to("precious")
    os.chown(tmp_path / "out.txt", 2222, 2222, follow_symlinks=False)
    with atomic_file(tmp_path / "out.txt") as file:
        file.write(b"text")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "out.txt").read_text() == "text"
    assert not (tmp_path / "out.txt").is_symlink()


@pytest.mark.parametrize("where", ["gone/out.txt", "folder"])
def test_errors_name_the_file_that_was_to_be_written(tmp_path, where):
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError) as error, atomic_file(tmp_path / where) as file:
        file.write(b"text")
    assert error.value.filename == str(tmp_path / where)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_with_a_name():
    with pytest.raises(OSError) as error, atomic_file("/dev/full") as file:
        file.write(b"text" * 10000)
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, "/dev/full")


def test_an_error_about_another_file_keeps_its_name():
    with pytest.raises(FileNotFoundError) as error, named("a"), open("/no/such/file", "rb"):
        pass
    assert error.value.filename == "/no/such/file"


def test_whether_a_folder_can_be_written_is_found_out_without_a_trace(tmp_path):
    check_writable(tmp_path)
    assert os.listdir(tmp_path) == []
    with pytest.raises(OSError) as error:
        check_writable(tmp_path / "gone")
    assert error.value.filename == str(tmp_path / "gone")


@pytest.fixture
def windows(monkeypatch):
    """As on Windows: a file that is open can be neither renamed nor deleted. The files that are opened, by name."""
    opened, usual_open, usual_replace = {}, open, os.replace

    def remember(path, *args, **kwargs):
        return opened.setdefault(str(path), usual_open(path, *args, **kwargs))

    def replace(source, target):
        if not opened[str(source)].closed:
            raise PermissionError(errno.EACCES, "is used by another process", source)
        usual_replace(source, target)

    monkeypatch.setattr(atomic_files, "OPEN_FILES_MOVE", False)
    monkeypatch.setattr(atomic_files, "open", remember, raising=False)
    monkeypatch.setattr(os, "replace", replace)
    return opened


def test_windows_renames_a_file_that_is_closed(windows, tmp_path):
    path = tmp_path / "with spaces" / "out.txt"
    path.parent.mkdir()
    for text in (b"first", b"second"):
        with atomic_file(path) as file:
            file.write(text)
        assert path.read_bytes() == text and os.listdir(path.parent) == ["out.txt"]


def test_windows_takes_old_temporary_files_for_leftovers(windows, tmp_path):
    fresh, old = (tmp_path / f"{atomic_files.PREFIX}{i}{atomic_files.SUFFIX}" for i in range(2))
    for path in (fresh, old):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    remove_leftovers(tmp_path)
    assert fresh.exists() and not old.exists()


@pytest.mark.skipif(os.name != "posix", reason="a fault of fstat or flock, as on a network disk")
@pytest.mark.parametrize("call", ["fstat", "try_lock"])
def test_a_fault_right_after_a_temporary_file_was_made_leaves_none(tmp_path, monkeypatch, call):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(atomic_files.os if call == "fstat" else atomic_files, call, fail)
    with pytest.raises(OSError, match="Input/output error"), atomic_file(tmp_path / "a"):
        pass
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_looked_at_for_a_moment_is_not_a_device(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("")
    usual, answers = os.stat, iter([True, False])  # the second question failed: a device, written in place

    def stat_once(*args, **kwargs):
        if next(answers, False):
            return usual(*args, **kwargs)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "stat", stat_once)
    assert not atomic_files.is_device(tmp_path / "a")
    assert not atomic_files.is_device(tmp_path / "a")
