"""Folders whose files only this user or root can have written: loading machine code runs it.

The rule, for the folder, each of its parents up to the root, each symbolic link on the way, and each file:

    it belongs to this user or to root, and
    no one else may write to it: not the group (unless that is the user's private group, whose name is the user's
    and which has no other members), not others. A folder of root's with the sticky bit, like /tmp, may be writable:
    there only the owner of an entry can replace it, and that the entry itself must pass.

Every step is opened relative to the one before, and what was opened is what is checked, so that nothing can be
exchanged in between. A file must be a regular file: a named pipe or a device is refused without waiting for it.

On Windows there are no such modes; the user's profile is protected by its access lists.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POSIX = os.name == "posix"
if POSIX:
    import fcntl
    import grp
    import pwd

LINKS = 40  # on the way to a folder, at most
LIMIT = 64 << 20  # bytes in a file, at most
PAUSE = 0.1  # seconds between two tries to get a lock
# to go through a folder it need not be readable
FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
BINARY = getattr(os, "O_BINARY", 0)


class Untrusted(Exception):
    """A place where another user can have put files."""


def _is_private_group(group: int) -> bool:
    """Return whether the group is this user's alone, as many systems give every user one."""
    with contextlib.suppress(KeyError):
        user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
        return user.pw_gid == group and entry.gr_name == user.pw_name and set(entry.gr_mem) <= {user.pw_name}
    return False


def check(status: os.stat_result, path: str) -> None:
    """Raise Untrusted unless only this user or root can write to what has that status."""
    if status.st_uid not in (0, os.geteuid()):
        raise Untrusted(f"{path} belongs to another user (uid {status.st_uid})")
    if stat.S_ISLNK(status.st_mode):  # a link has no mode of its own
        return
    shared = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX and status.st_uid == 0
    others = status.st_mode & stat.S_IWOTH
    group = status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid)
    if (others or group) and not shared:
        raise Untrusted(f"{path} can be written by other users (mode {stat.S_IMODE(status.st_mode):04o})")


class _Walk:
    """A way from the root to a folder, all of whose folders are open and were checked."""

    def __init__(self, mode: int | None):
        """`mode` is that of folders to be made where there are none; None: they are not made."""
        self.names, self.folders, self.links, self.mode = [], [os.open("/", FOLDER)], 0, mode
        check(os.fstat(self.folders[0]), "/")

    def to(self, path: str) -> None:
        """Go on to `path`, which may lead through symbolic links. Raises Untrusted, OSError."""
        if path.startswith("/"):
            self._back(len(self.names))
        for name in path.split("/"):
            if name == "..":
                self._back(1)
            elif name not in ("", "."):
                self._down(name)

    def _back(self, steps: int) -> None:
        for _ in self.names[len(self.names) - steps :]:
            self.names.pop()
            os.close(self.folders.pop())

    def _down(self, name: str) -> None:
        path, parent = "/" + "/".join([*self.names, name]), self.folders[-1]
        status = self._status(name, parent)
        if stat.S_ISLNK(status.st_mode):
            check(status, path)
            self._follow(os.readlink(name, dir_fd=parent), path)
            return
        folder = os.open(name, FOLDER, dir_fd=parent)  # fails if it has become a link by now
        self.names.append(name)
        self.folders.append(folder)
        check(os.fstat(folder), path)

    def _status(self, name: str, parent: int) -> os.stat_result:
        try:
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            if self.mode is None:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, self.mode, dir_fd=parent)
            os.chmod(name, self.mode, dir_fd=parent)  # whatever the umask is
        return os.stat(name, dir_fd=parent, follow_symlinks=False)

    def _follow(self, target: str, path: str) -> None:
        self.links += 1
        if self.links > LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        self.to(target)

    def close(self) -> None:
        for folder in self.folders:
            os.close(folder)


def _wait_for_lock(descriptor: int, patience: float, tell: Callable[[], None]) -> None:
    """Get the lock of a folder, or wait in vain. The lock is the folder's own, so that no file stays behind."""
    end, told = time.monotonic() + patience, False
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                tell()
            told = True
            time.sleep(PAUSE)
        except OSError:  # a disk without locks
            return


class Folder:
    """A trusted folder, with what is missing of it made in `mode`; None: nothing is made.

    Raises Untrusted or OSError; FileNotFoundError where there is no such folder.
    """

    def __init__(self, path: Path, mode: int | None):
        self.path, self.descriptor, self.mode = Path(os.path.abspath(path)), None, mode
        if POSIX:
            walk = _Walk(mode)
            try:
                walk.to(str(self.path))
                self.descriptor = walk.folders.pop()
            finally:
                walk.close()
        elif mode is not None:
            self.path.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *exception) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def _open(self, name: str, flags: int) -> int:
        if POSIX:
            return os.open(name, flags | FILE, 0o600, dir_fd=self.descriptor)
        return os.open(self.path / name, flags | BINARY, 0o600)

    def _at(self, name: str) -> str | Path:
        return name if POSIX else self.path / name

    def read(self, name: str) -> bytes | None:
        """A file's bytes, None if there is none. Raises Untrusted for anything but a regular file of trusted owners."""
        try:
            descriptor = self._open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            self._check_file(os.fstat(descriptor), str(self.path / name))
        except Untrusted:
            os.close(descriptor)
            raise
        with open(descriptor, "rb") as file:
            return file.read(LIMIT)

    def _check_file(self, status: os.stat_result, path: str) -> None:
        if not stat.S_ISREG(status.st_mode) or status.st_size > LIMIT:
            raise Untrusted(f"{path} is not a regular file of at most {LIMIT >> 20} MB")
        if POSIX:
            check(status, path)

    def check_writable(self) -> None:
        """Raise OSError if no file can be made there."""
        temporary, descriptor = self._temporary("probe")
        os.close(descriptor)
        self._unlink(temporary)

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, whole or not at all, in the place of an earlier one. Raises OSError."""
        temporary, descriptor = self._temporary(name)
        where = {"src_dir_fd": self.descriptor, "dst_dir_fd": self.descriptor} if POSIX else {}
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                if POSIX:
                    os.fchmod(descriptor, self.mode & 0o666)
            os.replace(self._at(temporary), self._at(name), **where)
        except BaseException:
            self._unlink(temporary)
            raise

    @contextlib.contextmanager
    def locked(self, patience: float, tell: Callable[[], None]) -> Iterator[None]:
        """Within this context no other process has the folder's lock, which ends with the process that holds it.

        `tell` is called where another has it. After `patience` seconds (it may have been stopped), on a disk without
        locks, and on Windows this process goes on without it.
        """
        descriptor = None
        try:
            with contextlib.suppress(OSError):
                descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.descriptor) if POSIX else None
            if descriptor is not None:
                _wait_for_lock(descriptor, patience, tell)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _temporary(self, name: str) -> tuple[str, int]:
        """A new file with a name that cannot be foretold."""
        temporary = f".{name}.{os.urandom(8).hex()}"
        return temporary, self._open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def _unlink(self, name: str) -> None:
        os.unlink(self._at(name), **({"dir_fd": self.descriptor} if POSIX else {}))
