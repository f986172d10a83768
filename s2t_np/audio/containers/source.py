"""Random access to a file's bytes, and the parts of it that a decoder gets to see."""

import io
import os
import tempfile

from ...errors import ReadingError

PLAIN = (
    io.FileIO,
    io.BytesIO,
    tempfile.SpooledTemporaryFile,
)  # exactly these: a class derived from one is its author's
SEARCHED = 1 << 16  # bytes looked through at a time for the next page or frame


def ways_to_fail(file) -> tuple[type[Exception], ...]:
    """The exceptions in which reading a file, or opening a path, may end; they are told as its failure.

    A caller's own file object may fail in its own way. The system's files may not: another exception comes from
    elsewhere, a signal handler that sets a time limit, say, and is passed on as it is.
    """
    plain = isinstance(file, str | os.PathLike) or type(getattr(file, "raw", file)) in PLAIN
    return (OSError, ValueError) if plain else (Exception,)


class Source:
    """A seekable binary file with random access, and with one way to fail: ReadingError."""

    def __init__(self, file, name: str):
        self.file, self.name = file, name
        self.size = self._try(lambda: file.seek(0, 2))

    def at(self, position: int, count: int) -> bytes:
        """`count` bytes from `position` on, fewer only where the file ends."""
        count = min(count, self.size - position)
        return self._try(lambda: self._read(position, count)) if count > 0 else b""

    def find(self, *patterns: bytes, position: int, end: int | None = None) -> int:
        """The next place at which one of `patterns`, of equal length, stands before `end`; `end` if there is none.

        `end`: that of the file, by default.
        """
        end = self.size if end is None else end
        while position < end:
            window = self.at(position, min(SEARCHED, end - position))
            if found := [place for pattern in patterns if (place := window.find(pattern)) >= 0]:
                return position + min(found)
            position += SEARCHED - len(patterns[0]) + 1
        return end

    def _read(self, position, count):
        self.file.seek(position)
        data = self.file.read(count)
        while len(data) < count and (more := self.file.read(count - len(data))):  # an unbuffered file gives what it has
            data += more
        return data

    def _try(self, action):
        try:
            return action()
        except ways_to_fail(self.file) as error:
            raise ReadingError(f"{self.name}: cannot be read ({error})") from error


class Part:
    """One stretch of a recording as the decoder sees it, a file of its own: `head`, then the source's `start` to `end`.

    note      what the user should know about it, or None
    frames    how many sample frames its header promises (None: unknown)
    apart     whether its decoder is known to print, and has to run in a process of its own
    excused   how many messages of damage its decoder may print at the beginning without meaning it
    resume    a function: the number of the part's frames that were decoded -> the part after the damage, or None
    decoded   how many frames were
    error     the exception in which reading the source ended
    shrunk    whether the source gave fewer bytes than it had at first
    """

    def __init__(self, source: Source, start: int, end: int | None = None, head: bytes = b"", **about):
        self.source, self.start, self.head, self.position = source, start, head, 0
        self.size = len(head) + max(0, (source.size if end is None else end) - start)
        self.note, self.frames, self.apart = about.get("note"), about.get("frames"), about.get("apart", False)
        self.excused, self.resume, self.decoded = about.get("excused", 0), about.get("resume"), 0
        self.error: BaseException | None = None
        self.shrunk = False

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = max(0, offset + (0, self.position, self.size)[whence])
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, count: int) -> bytes:
        """Called from C, which cannot pass an exception on: it is kept in `error`, and the file seems to end."""
        count = max(0, min(count, self.size - self.position))
        data = self.head[self.position : self.position + count]
        try:
            data += self.source.at(self.start + self.position + len(data) - len(self.head), count - len(data))
        except BaseException as error:  # Ctrl-C too
            self.error = error
            return b""
        self.shrunk = self.shrunk or len(data) < count
        self.position += len(data)
        return data
