"""Files that appear complete or not at all, whatever happens while they are written.

The data goes to a temporary file next to the target, is flushed to the disk, and gets the target's name by a rename.
The temporary name is random and the file must be new, so that several runs never write to one file, and a link that
another user has put in the folder is never followed. A process that is killed leaves its temporary file;
`remove_leftovers` deletes such files, which are told from those in use by a lock.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .file_locks import try_lock

OPEN_FILES_MOVE = os.name == "posix"  # Windows renames and deletes a file only once it is closed
IDLE = 60.0  # seconds without a change after which Windows' temporary files, which have no lock, count as left over
PREFIX, SUFFIX = ".s2t-np-", ".tmp"  # around temporary names, whose length does not depend on the target's name


@contextmanager
def named(path: str | Path, temporary: str | Path | None = None) -> Iterator[None]:
    """Within this context, an OSError without a file name (a full disk), or with the temporary one, names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, temporary and str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def is_foreign_link(path: str | Path) -> bool:
    """Return whether `path` is a symbolic link that neither this user nor root has made, and so may lead anywhere."""
    try:
        state = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISLNK(state.st_mode) and os.name == "posix" and state.st_uid not in (os.geteuid(), 0)


def is_device(path: str | Path) -> bool:
    """Return whether `path` exists and is not a regular file: /dev/stdout, a named pipe, a folder.

    One question and not two: what cannot be looked at for a moment must not pass for a device, which is written in
    place and read as live sound.
    """
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open `path` for binary writing; it gets its new content at the end of the context, or keeps its old one.

    A link of this user's is followed, another user's is replaced. Devices and pipes are written directly. Raises
    OSError, always with a file name.
    """
    foreign = is_foreign_link(path)
    if is_device(path) and not foreign:
        with named(path), open(path, "wb") as file:
            yield file
        return
    target = Path(os.path.abspath(path) if foreign else os.path.realpath(path))
    with named(path, target.parent), temporary_file(target.parent) as file, named(path, file.name):
        yield file
        file.flush()
        os.fsync(file.fileno())  # a power cut must not leave the new name on an empty file
        if not OPEN_FILES_MOVE:
            file.close()
        os.replace(file.name, target)


@contextmanager
def temporary_file(folder: Path) -> Iterator[BinaryIO]:
    """A new hidden file in `folder`, open for writing; deleted at the end unless it was renamed. Raises OSError."""
    file = new_file(folder)
    try:
        with file:
            yield file
    finally:
        Path(file.name).unlink(missing_ok=True)


def new_file(folder: Path) -> BinaryIO:
    """Create a file under a random name and lock it. Raises OSError that names the folder."""
    while True:
        path = folder / f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}"
        try:
            with named(folder, path):
                file = open(path, "xb")  # noqa: SIM115 - open as long as the caller's context
            if try_lock(file) is not False and os.fstat(file.fileno()).st_nlink:
                return file
        except FileExistsError:
            raise
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        file.close()  # another process took it for a leftover before it was locked


def check_writable(folder: str | Path) -> None:
    """Create and delete a file in `folder`. Raises OSError where that is not possible."""
    with temporary_file(Path(folder)):
        pass


def remove_leftovers(folder: str | Path) -> None:
    """Delete the temporary files in `folder` that no process is writing any more, as far as this user may."""
    for path in Path(folder).glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):
            if OPEN_FILES_MOVE:
                remove_unlocked(path)
            elif time.time() - path.stat().st_mtime > IDLE:
                path.unlink()  # Windows refuses while a process has it open


def remove_unlocked(path: Path) -> None:
    """Delete a temporary file unless a process has locked it. Raises OSError."""
    with open(path, "rb", opener=open_regular) as file:
        if try_lock(file):
            path.unlink(missing_ok=True)


def open_regular(path: str, flags: int) -> int:
    """An opener for `open` that takes only a regular file with a single name, and follows no link. Raises OSError."""
    if os.path.islink(path):
        raise PermissionError(errno.EPERM, "is a link, which is not followed here; remove it", path)
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise PermissionError(errno.EPERM, "is not a regular file, or has a second name (hard link); remove it", path)
