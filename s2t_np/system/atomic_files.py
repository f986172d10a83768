"""What is left on disk when a program is killed at any moment: files that are whole or not there, and lines likewise.

atomic_file    a file appears complete, under its name, or not at all
Journal        one JSON object a line, only ever added to; a line that a crash tore is passed over
GrowingFile    results one after another in one file, cut back to where a journal says the last whole one ended
"""

import errno
import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path

from ..errors import OptionError


def partial_name(target: Path) -> str:
    """The hidden name under which a file is written: always the same one, so that what a killed run left is replaced.

    Of fixed length, since the target's own name may be as long as the file system allows.
    """
    return f".s2t-np-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}.tmp"


@contextmanager
def atomic_file(path: str | Path):
    """Open `path` for binary writing so that it appears complete or not at all (and the old one stays until then).

    Written beside it under a hidden name, brought to the disk, then renamed. A link is followed; what is no regular
    file (/dev/stdout, a pipe) is simply written to. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with open(path, "wb") as file:
            yield file
        return
    partial = target.with_name(partial_name(target))
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a power cut must not leave the new name on an empty file
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(file, data: bytes) -> None:
    """Write all of `data` to an unbuffered file. Raises OSError, also where the disk takes only a part."""
    view = memoryview(data)
    while view:
        if not (count := file.write(view)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
        view = view[count:]


def parsed(line: bytes) -> dict | None:
    """A line of a journal; None for one that is torn or was never ours."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


class Journal:
    """An append-only file of JSON objects, one a line. `entries` are those that were there when it was opened."""

    def __init__(self, path: str | Path):
        """Open or make it. Raises OSError."""
        self.file = open(path, "ab+", buffering=0)  # noqa: SIM115 - open as long as this object
        self.file.seek(0)
        data = self.file.read()
        self.entries = [entry for line in data.split(b"\n") if (entry := parsed(line)) is not None]
        if data and not data.endswith(b"\n"):
            write_whole(self.file, b"\n")  # what a crash tore ends here and harms no other line

    def add(self, entry: dict) -> None:
        """Add one entry, in a single write. Raises OSError."""
        write_whole(self.file, json.dumps(entry).encode("ascii") + b"\n")

    def close(self) -> None:
        self.file.close()


def lock(file) -> None:
    """Keep other processes from writing the same file as long as it is open. Raises OptionError where one does.

    Only where the system has flock; its lock ends with the process, however that ends.
    """
    if os.name != "posix":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise OptionError(f"{file.name}: another run of s2t-np is writing it") from None


class GrowingFile:
    """One output that grows by a whole result at a time.

    `append` says where the file ends afterwards, for a journal to note. Whoever opens the file again says up to where
    its notes reach; what is beyond is a result that was torn, or that nobody knows of, and is cut off.
    """

    def __init__(self, path: str | Path):
        """Open or make it, for this process alone. Raises OSError, OptionError."""
        self.file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as this object
        lock(self.file)

    @property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self.file.fileno()).st_size

    def cut(self, end: int) -> None:
        """Forget what is beyond `end` (bytes). Raises OSError."""
        self.file.truncate(end)

    def append(self, data: bytes) -> int:
        """Add one result; the size of the file with it. Raises OSError."""
        write_whole(self.file, data)
        return self.size

    def close(self) -> None:
        """Bring it to the disk. Raises OSError."""
        os.fsync(self.file.fileno())
        self.file.close()
