"""Folders that appear complete or not at all, as atomic_files.py has it for files.

A folder is filled under a hidden name next to its destination and renamed. One that is there already changes places
with it in one step where the system can (Linux). Elsewhere it is moved aside first, under a name that says where it
belongs, so that whatever comes next puts it back if the process was killed between the two steps.
"""

import ctypes
import errno
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputWarning
from .atomic_files import PREFIX, SUFFIX
from .file_locks import try_lock

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # as in Linux
ASIDE = f"{PREFIX}aside-"  # before the name that a folder had


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A new folder to fill, which becomes `target` when the block ends well and vanishes when it does not.

    A folder already at `target` is replaced, and removed once the new one is in its place. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{PREFIX}{os.urandom(6).hex()}{SUFFIX}")
    remove_leftover_folders(target.parent)
    try:
        partial.mkdir()
        with held(partial):
            yield partial
        if not target.exists():
            partial.rename(target)
        elif not exchange(partial, target):
            target.rename(target.with_name(f"{ASIDE}{target.name}"))
            partial.rename(target)
    finally:
        try:
            put_back(target.parent)
        finally:
            remove_folder(partial)


def put_back(place: Path) -> None:
    """Give the folders in `place` that were moved aside their names again, or remove those that have been replaced."""
    for path in place.glob(f"{ASIDE}*"):
        if (target := path.with_name(path.name.removeprefix(ASIDE))).exists():
            remove_folder(path)
        else:
            path.rename(target)


def remove_folder(folder: Path) -> None:
    """Remove a folder and all that is in it, if it is there. Where that is not possible, an InputWarning names it."""
    for _ in range(2):  # what fails for a moment does not fail twice
        with suppress(OSError):  # rmtree lets some pass although it is told to ignore them
            shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        warnings.warn(f"{folder}: is not needed any more and cannot be removed; remove it", InputWarning, stacklevel=2)


def exchange(first: Path, second: Path) -> bool:
    """Let two files or folders change names in one step; False where the system or the disk cannot. Raises OSError.

    A process that is killed between two renames would leave nothing under the name. (renameat2 in Linux' manual.)
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        return False
    if not rename(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE):
        return True
    if (number := ctypes.get_errno()) in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(second))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Within this context a folder counts as in use, and `remove_leftover_folders` spares it. Raises OSError."""
    if os.name != "posix":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try_lock(descriptor)
        yield
    finally:
        with suppress(OSError):  # nothing was written to it
            os.close(descriptor)


def remove_leftover_folders(place: Path) -> None:
    """Delete the temporary folders in `place` that no process fills any more, as far as this user may.

    Those that were moved aside are put back.
    """
    with suppress(OSError):
        put_back(place)
    for path in place.glob(f"{PREFIX}*{SUFFIX}") if os.name == "posix" else ():
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if try_lock(descriptor):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
