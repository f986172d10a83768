"""Files that only grow, and survive a crash: a journal of JSON lines, and results one after another in one file.

Journal          one JSON object per line; a line that a crash has torn is skipped
AppendOnlyFile   whole results; a journal notes where each of them ends, and what follows the last note is cut off
"""

import errno
import json
import os
from pathlib import Path

from ..errors import OptionError
from .atomic_files import is_foreign_link, named, open_regular
from .file_locks import try_lock


def write_all(file, data: bytes) -> None:
    """Write all of `data` to an unbuffered file. Raises OSError with its name, also if the disk takes only a part."""
    view = memoryview(data)
    with named(file.name):
        while view:
            if not (count := file.write(view)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
            view = view[count:]


def parsed(line: bytes) -> dict | None:
    """A line of a journal as an object; None for a line that is torn or holds something else."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def line_of(entry: dict) -> bytes:
    """An object as a line of a journal."""
    return json.dumps(entry).encode("ascii") + b"\n"


class Journal:
    """A file of JSON objects, one per line, that is only added to. `entries`: those it held when it was opened."""

    def __init__(self, path: str | Path):
        """Open or create it. Raises OSError, also for a link or a device in its place."""
        self.file = open(path, "ab+", buffering=0, opener=open_regular)  # noqa: SIM115 - open as long as this object
        self.file.seek(0)
        data = self.file.read()
        self.entries = [entry for line in data.split(b"\n") if (entry := parsed(line)) is not None]
        if data and not data.endswith(b"\n"):
            write_all(self.file, b"\n")  # ends the line that a crash has torn, so that the next one is whole

    def add(self, entry: dict) -> None:
        """Add an entry, in a single write. Raises OSError."""
        write_all(self.file, line_of(entry))

    def close(self) -> None:
        self.file.close()


class AppendOnlyFile:
    """One output file that grows by a whole result at a time, and is locked against other runs."""

    def __init__(self, path: str | Path):
        """Open or create it. Raises OSError, also for another user's link; OptionError if another run is writing it."""
        if is_foreign_link(path):
            raise PermissionError(errno.EPERM, "is a link that another user has made", str(path))
        self.file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as this object
        if try_lock(self.file) is False:
            self.file.close()
            raise OptionError(f"{path}: another run of s2t-np is writing it")

    @property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self.file.fileno()).st_size

    def cut(self, end: int) -> None:
        """Drop everything after `end` (bytes). Raises OSError."""
        with named(self.file.name):
            self.file.truncate(end)

    def append(self, data: bytes) -> int:
        """Add one result and bring it to the disk, so that a journal may note it.

        Returns the size of the file with it. Raises OSError.
        """
        write_all(self.file, data)
        self.sync()
        return self.size

    def sync(self) -> None:
        """Bring everything to the disk. Raises OSError; pipes and devices have no disk to bring it to."""
        try:
            with named(self.file.name):
                os.fsync(self.file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise

    def close(self) -> None:
        """Bring it to the disk and close it. Raises OSError."""
        self.sync()
        self.file.close()
