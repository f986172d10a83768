"""Files that are whole or not there; journals and growing files that a crash does not tear."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from s2t_np.errors import OptionError
from s2t_np.system.atomic_files import GrowingFile, Journal, atomic_file, write_whole
from tests.support.paths import ROOT


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


@pytest.mark.skipif(os.name != "posix", reason="permissions, links and devices as POSIX has them")
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


def test_what_a_killed_run_left_is_replaced(tmp_path):
    code = (
        "import os, sys; from s2t_np.system.atomic_files import atomic_file\n"
        "with atomic_file(sys.argv[1]) as f: f.write(b'half'); f.flush(); os._exit(9)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out.txt")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9
    assert len(os.listdir(tmp_path)) == 1  # under its hidden name
    assert not (tmp_path / "out.txt").exists()
    with atomic_file(tmp_path / "out.txt") as file:
        file.write(b"whole")
    assert os.listdir(tmp_path) == ["out.txt"]


def test_a_journal_gives_back_what_was_added(tmp_path):
    path = os.fsdecode(b"caf\xe9.wav")
    for number in range(3):
        journal = Journal(tmp_path / "j")
        assert journal.entries == [{"n": i, "path": path} for i in range(number)]
        journal.add({"n": number, "path": path})
        journal.close()


def test_a_torn_line_is_passed_over_wherever_it_is_torn(tmp_path):
    whole = b'{"n": 0}\n{"n": 1, "path": "b\\u00e4r"}\n'
    for end in range(len(whole) + 1):
        (tmp_path / "j").write_bytes(whole[:end])
        journal = Journal(tmp_path / "j")
        journal.add({"n": 2})
        journal.close()
        found = [entry["n"] for entry in Journal(tmp_path / "j").entries]
        assert found == [0] * (end >= 8) + [1] * (end >= len(whole) - 1) + [2]


def test_zeros_that_a_power_cut_left_are_passed_over(tmp_path):
    (tmp_path / "j").write_bytes(b'{"n": 0}\n' + bytes(100))
    assert Journal(tmp_path / "j").entries == [{"n": 0}]


def test_a_growing_file_says_where_it_ends_and_can_be_cut(tmp_path):
    file = GrowingFile(tmp_path / "f")
    assert [file.append(b"one\n"), file.append(b"three\n")] == [4, 10]
    file.cut(4)
    assert file.append(b"two\n") == 8
    file.close()
    assert (tmp_path / "f").read_bytes() == b"one\ntwo\n"


@pytest.mark.skipif(os.name != "posix", reason="needs flock")
def test_two_processes_cannot_grow_one_file(tmp_path):
    file = GrowingFile(tmp_path / "f")
    with pytest.raises(OptionError, match="another run"):
        GrowingFile(tmp_path / "f")
    file.close()
    GrowingFile(tmp_path / "f").close()


class Reluctant:
    """A file that takes three bytes at a time, and no more than `room`."""

    name = "disk"

    def __init__(self, room):
        self.room, self.data = room, b""

    def write(self, data):
        taken = bytes(data[: min(3, self.room - len(self.data))])
        self.data += taken
        return len(taken)


def test_a_short_write_goes_on_and_a_full_disk_is_an_error():
    file = Reluctant(99)
    write_whole(file, b"0123456789")
    assert file.data == b"0123456789"
    with pytest.raises(OSError) as error:
        write_whole(Reluctant(4), b"0123456789")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, "disk")
