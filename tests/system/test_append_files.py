"""Journals and files of results that a crash does not tear and another user cannot lead astray."""

import errno
import os

import pytest

from s2t_np.errors import OptionError
from s2t_np.system.append_files import AppendOnlyFile, Journal, write_all

needs_posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")


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


def test_an_append_only_file_says_where_it_ends_and_can_be_cut(tmp_path):
    file = AppendOnlyFile(tmp_path / "f")
    assert [file.append(b"one\n"), file.append(b"three\n")] == [4, 10]
    file.cut(4)
    assert file.append(b"two\n") == 8
    file.close()
    assert (tmp_path / "f").read_bytes() == b"one\ntwo\n"


@pytest.mark.skipif(os.name != "posix", reason="needs flock")
def test_two_processes_cannot_write_one_file(tmp_path):
    file = AppendOnlyFile(tmp_path / "f")
    with pytest.raises(OptionError, match="another run"):
        AppendOnlyFile(tmp_path / "f")
    file.close()
    AppendOnlyFile(tmp_path / "f").close()


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
    write_all(file, b"0123456789")
    assert file.data == b"0123456789"
    with pytest.raises(OSError) as error:
        write_all(Reluctant(4), b"0123456789")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, "disk")


@needs_posix
@pytest.mark.parametrize("trap", ["link", "hard link", "pipe"])
def test_a_journal_is_never_written_through_a_link_or_to_a_pipe(tmp_path, trap):
    (tmp_path / "precious").write_text("mine\n")
    if trap == "link":
        (tmp_path / "j").symlink_to("precious")
    elif trap == "hard link":
        os.link(tmp_path / "precious", tmp_path / "j")
    else:
        os.mkfifo(tmp_path / "j")
    with pytest.raises(OSError) as error:
        Journal(tmp_path / "j")
    assert error.value.filename == str(tmp_path / "j")
    assert (tmp_path / "precious").read_text() == "mine\n"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can make links for another user")
def test_a_file_of_results_is_never_opened_through_another_users_link(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "own").symlink_to("precious")
    AppendOnlyFile(tmp_path / "own").close()
    (tmp_path / "f").symlink_to("precious")
    os.chown(tmp_path / "f", 2222, 2222, follow_symlinks=False)
    with pytest.raises(PermissionError) as error:
        AppendOnlyFile(tmp_path / "f")
    assert error.value.filename == str(tmp_path / "f")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_with_a_name():
    with pytest.raises(OSError) as error:
        AppendOnlyFile("/dev/full").append(b"text")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, "/dev/full")


def test_a_result_is_on_the_disk_before_it_can_be_noted(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append(os.fstat(descriptor).st_size))
    file = AppendOnlyFile(tmp_path / "f")
    assert file.append(b"one\n") == 4
    assert calls == [4]
    file.close()
