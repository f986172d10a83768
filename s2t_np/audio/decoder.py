"""libsndfile at work on one file, here or as a program of its own.

As a program (see process.py) it answers requests on standard input. One line of JSON is a request or an answer, and
bytes follow it where the line says how many:

    {"open": SIZE}                              {"rate": HZ, "channels": C} or {"refused": WORDS}
    {"read": FRAMES}                            {"frames": N, "failure": WORDS or null, "errors": E, "bytes": B}
                                                + B bytes
    {"bytes": B} + B bytes, the answer to       {"at": POSITION, "count": COUNT}, asked whenever the file is read

What the decoders print goes into a file without a name, where their messages of damage are counted. Only the standard
library and soundfile are imported, for a quick start.
"""

import functools
import io
import json
import os
import signal
import struct
import sys
import tempfile
import threading

READ_AHEAD = 1 << 16  # bytes fetched from the other process at a time
NOT_A_NUMBER = struct.pack("=f", float("nan"))
DAMAGE = b"] error:"  # how libmpg123 begins to say that a frame cannot be decoded


@functools.cache
def stream_class():
    """soundfile.SoundFile that only goes forward, and soundfile's error class. Raises ImportError, OSError."""
    import soundfile

    def renew() -> None:
        """In a forked child: soundfile holds this lock while it opens a file, maybe in a thread that is not there."""
        soundfile.SoundFile._sf_error_lock = threading.Lock()

    if hasattr(os, "register_at_fork") and hasattr(soundfile.SoundFile, "_sf_error_lock"):  # from soundfile 0.14 on
        os.register_at_fork(after_in_child=renew)

    class Stream(soundfile.SoundFile):
        """After each block soundfile seeks to where it already is, which fails in streams of unknown length."""

        def seekable(self) -> bool:
            return False

    return Stream, soundfile.SoundFileError


def reason(error: Exception) -> str:
    """libsndfile's own words, without the name it gives to our file object."""
    return getattr(error, "error_string", str(error)).removeprefix("Error : ").strip(" .")


def read_into(stream, buffer) -> tuple[int, str | None]:
    """Fill `buffer` (frames * channels float32) -> how many frames came (-1: look for yourself), and what went wrong.

    It holds NaN: after a failure those numbers that still are were not decoded.
    """
    _, failure = stream_class()
    try:
        return stream.buffer_read_into(buffer, "float32"), None
    except failure as error:
        return -1, reason(error)


class Remote(io.RawIOBase):
    """A file of the process that started this one."""

    def __init__(self, size: int):
        self.size, self.position = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = max(0, offset + (0, self.position, self.size)[whence])
        return self.position

    def readinto(self, buffer) -> int:
        answer({"at": self.position, "count": len(buffer)})
        data = sys.stdin.buffer.read(json.loads(sys.stdin.buffer.readline())["bytes"])
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


def answer(message: dict, data=b"") -> None:
    """Write a line, and the bytes it announces."""
    answers.write(json.dumps(message).encode() + b"\n")
    answers.write(data)
    answers.flush()


class Service:
    """One file after the other, as the other process asks for it."""

    def __init__(self, printed):
        self.printed, self.seen, self.stream, self.buffer = printed, 0, None, bytearray()

    def open(self, size: int) -> None:
        stream, failure = stream_class()
        try:
            self.stream = stream(io.BufferedReader(Remote(size), READ_AHEAD))
        except failure as error:
            answer({"refused": reason(error)})
            return
        self.errors()
        answer({"rate": self.stream.samplerate, "channels": self.stream.channels})

    def read(self, frames: int) -> None:
        size = 4 * frames * self.stream.channels
        if len(self.buffer) != size:
            self.buffer = bytearray(size)
        self.buffer[:] = NOT_A_NUMBER * (size // 4)
        count, failure = read_into(self.stream, self.buffer)
        data = memoryview(self.buffer)[: size if count < 0 else 4 * count * self.stream.channels]
        answer({"frames": count, "failure": failure, "errors": self.errors(), "bytes": len(data)}, data)

    def errors(self) -> int:
        """Return how many messages of damage were printed since the last call; none where they cannot be read."""
        try:
            self.printed.seek(self.seen)
            data = self.printed.read()
        except OSError:
            return 0
        self.seen += len(data)
        return data.count(DAMAGE)


def printed_file():
    """A file for what the decoders print: in memory where the system has such files, so that no disk is needed."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("printed"), "w+b")
    return tempfile.TemporaryFile()


def serve() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    stream_class()
    with printed_file() as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        service = Service(printed)
        answer({"ready": True})
        while line := sys.stdin.buffer.readline():
            ((word, value),) = json.loads(line).items()
            getattr(service, word)(value)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    serve()
