"""Machine code is only taken from places that no other user can write to.

Each case is a place as another user may have prepared it; the process that is to be protected has another uid.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from s2t_np_kernels.build import trusted_files
from s2t_np_kernels.build.trusted_files import Folder, Untrusted

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes of POSIX")
AS_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")

ATTACKER, VICTIM, NAME = 1111, 2222, "kernels"


@pytest.fixture
def place():
    """A folder that root owns and everyone may enter."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def victim():
    """From here on this process is the victim, who is in no group of root's."""
    os.setegid(VICTIM)
    os.seteuid(VICTIM)
    yield
    os.seteuid(0)
    os.setegid(0)


def make(path: Path, owner: int, mode: int, content: bytes | None = None, group: int | None = None) -> Path:
    """A folder, or a file of that content."""
    path.mkdir() if content is None else path.write_bytes(content)
    path.chmod(mode)
    os.chown(path, owner, owner if group is None else group)
    path.chmod(mode)  # chown takes special bits away
    return path


def planted(folder: Path, owner: int = ATTACKER, mode: int = 0o644) -> Path:
    """A folder with foreign machine code in it."""
    make(folder / NAME, owner, mode, b"evil")
    return folder


def link(path: Path, target: Path, owner: int) -> Path:
    path.symlink_to(target)
    os.lchown(path, owner, owner)
    return path


PLACES = {  # what another user prepares, and what is wrong with it
    "A1 the attacker's folder": (lambda p: planted(make(p / "c", ATTACKER, 0o755)), "belongs to another user"),
    "A2 the attacker's file in a shared folder": (
        lambda p: planted(make(p / "c", 0, 0o1777)),
        "kernels belongs to another user",
    ),
    "A3 the attacker's link": (
        lambda p: link(make(p / "s", 0, 0o1777) / "c", planted(make(p / "t", 0, 0o755), 0), ATTACKER),
        "c belongs to another user",
    ),
    "A4 the victim's folder, open to all": (
        lambda p: planted(make(p / "c", VICTIM, 0o777), VICTIM),
        r"can be written by other users \(mode 0777\)",
    ),
    "A5 root's folder, open to a group": (
        lambda p: planted(make(p / "c", 0, 0o775), 0),
        r"can be written by other users \(mode 0775\)",
    ),
    "A6 root's folder, shared, with a file open to all": (
        lambda p: planted(make(p / "c", 0, 0o1777), 0, 0o666),
        r"kernels can be written by other users \(mode 0666\)",
    ),
    "a parent of the attacker's": (
        lambda p: planted(make(make(p / "c", ATTACKER, 0o755) / "d", 0, 0o755), 0),
        "c belongs to another user",
    ),
    "a parent open to all": (
        lambda p: planted(make(make(p / "c", VICTIM, 0o777) / "d", VICTIM, 0o755), VICTIM),
        r"c can be written by other users \(mode 0777\)",
    ),
    "the victim's shared folder, whose owner could be asked to replace files": (
        lambda p: planted(make(p / "c", VICTIM, 0o1777), VICTIM),
        r"can be written by other users \(mode 1777\)",
    ),
    "a link in the attacker's folder": (
        lambda p: link(make(p / "s", ATTACKER, 0o755) / "c", planted(make(p / "t", 0, 0o755), 0), ATTACKER),
        "s belongs to another user",
    ),
}


@AS_ROOT
@pytest.mark.parametrize("case", PLACES)
def test_machine_code_of_other_users_is_not_read(place, case, request):
    prepare, said = PLACES[case]
    path = prepare(place)
    request.getfixturevalue("victim")
    with pytest.raises(Untrusted, match=said), Folder(path, None) as folder:
        folder.read(NAME)


@AS_ROOT
def test_a_file_that_is_a_link_is_not_followed(place, request):
    make(place / "evil", ATTACKER, 0o644, b"evil")
    link(make(place / "c", 0, 0o1777) / NAME, place / "evil", ATTACKER)
    request.getfixturevalue("victim")
    with pytest.raises(OSError, match="symbolic"), Folder(place / "c", None) as folder:
        folder.read(NAME)


@AS_ROOT
def test_what_root_has_prepared_serves_everyone(place, request):
    with Folder(place / "cache" / "deep", 0o755) as folder:
        folder.write(NAME, b"good")
    link(place / "c", place / "cache" / "deep", 0)
    request.getfixturevalue("victim")
    for path in (place / "cache" / "deep", place / "c", place / "cache" / "." / "deep" / ".." / "deep"):
        with Folder(path, 0o755) as folder:
            assert folder.read(NAME) == b"good"
            with pytest.raises(PermissionError):
                folder.check_writable()


@AS_ROOT
def test_in_a_shared_folder_of_roots_everyone_can_have_a_place(place, request):
    make(place / "tmp", 0, 0o1777)
    request.getfixturevalue("victim")
    with Folder(place / "tmp" / "mine", 0o700) as folder:
        folder.write(NAME, b"good")
        assert folder.read(NAME) == b"good"
    assert stat.S_IMODE((place / "tmp" / "mine").stat().st_mode) == 0o700


@AS_ROOT
def test_folders_on_the_way_need_not_be_readable(place, request):
    make(place / "home", 0, 0o711)
    planted(make(place / "home" / "c", VICTIM, 0o700), VICTIM)
    request.getfixturevalue("victim")
    with Folder(place / "home" / "c", None) as folder:
        assert folder.read(NAME) == b"evil"  # which the victim himself has put there


@AS_ROOT
def test_a_users_private_group_is_the_user(place, monkeypatch, request):
    planted(make(place / "c", VICTIM, 0o775), VICTIM)
    request.getfixturevalue("victim")
    with pytest.raises(Untrusted):
        Folder(place / "c", None)
    monkeypatch.setattr(trusted_files, "_is_private_group", lambda group: group == VICTIM)
    with Folder(place / "c", None) as folder:
        assert folder.read(NAME) == b"evil"


def test_a_group_with_other_members_is_not_private(monkeypatch):
    import grp
    import pwd

    user = pwd.struct_passwd(("me", "x", os.geteuid(), 77, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: user)
    for name, members, private in (
        ("me", [], True),
        ("me", ["me"], True),
        ("me", ["you"], False),
        ("staff", [], False),
    ):
        monkeypatch.setattr(grp, "getgrgid", lambda gid, n=name, m=members: grp.struct_group((n, "x", 77, m)))
        assert trusted_files._is_private_group(77) is private
    assert not trusted_files._is_private_group(78)


@pytest.mark.parametrize("kind", ("pipe", "folder", "device"))
def test_what_is_not_a_file_is_refused_and_not_waited_for(tmp_path, kind):
    tmp_path.chmod(0o700)
    if kind == "device" and os.geteuid() != 0:
        pytest.skip("only root can make devices")
    with Folder(tmp_path, 0o700) as folder:
        if kind == "device":
            try:
                os.mknod(tmp_path / NAME, stat.S_IFCHR | 0o600, os.makedev(1, 5))
            except PermissionError:
                pytest.skip("no devices can be made here")
        else:
            os.mkfifo(tmp_path / NAME) if kind == "pipe" else (tmp_path / NAME).mkdir()
        with pytest.raises(Untrusted, match="not a regular file"):
            folder.read(NAME)


def test_a_file_of_any_size_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(trusted_files, "LIMIT", 10)
    with Folder(tmp_path, 0o700) as folder:
        folder.write("small", b"x" * 10)
        folder.write("large", b"x" * 11)
        assert folder.read("small") == b"x" * 10 and folder.read("absent") is None
        with pytest.raises(Untrusted):
            folder.read("large")


def test_links_that_never_end(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic"):
        Folder(tmp_path / "a" / "c", 0o700)


def test_writing_leaves_nothing_half_done(tmp_path):
    with Folder(tmp_path / "new", 0o755) as folder:
        folder.write(NAME, b"one")
        folder.check_writable()
        with pytest.raises(TypeError):
            folder.write(NAME, "two")
        assert folder.read(NAME) == b"one"
    assert [path.name for path in (tmp_path / "new").iterdir()] == [NAME]
    assert stat.S_IMODE((tmp_path / "new" / NAME).stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o755


def test_a_place_that_is_not_there_is_not_made_to_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path / "absent", None)
    assert list(tmp_path.iterdir()) == []
