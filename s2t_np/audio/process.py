"""A decoder in a process of its own, for the formats whose decoders print: MP3, SDS, ALAC, and what is not recognised.

libmpg123 writes to standard error whatever it meets in a damaged file, and libsndfile has no way to ask it not to.
Pointing the file descriptor elsewhere for the time would lose what other threads of this process print. A process of
its own has descriptors of its own; its messages tell how much of the sound is damaged, and it may crash.

Starting one takes about 0.15 s, so that one which has finished a file waits for the next.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys

from . import decoder

MOST_WAITING = os.cpu_count() or 1  # processes kept for the next file
KILLED = 9  # SIGKILL, which Windows does not have
MOMENT = 1.0  # seconds in which a process that does not answer is given up
LEAVE = 5.0  # seconds for one to end by itself when this process ends
_waiting: list["Process"] = []  # pop and append are atomic: threads share it without a lock


class DecoderDiedError(Exception):
    """The process ended in the middle of a file; its text says how.

    `was_killed`: by another process or the system, so that the file is not to blame.
    """

    def __init__(self, code: int):
        self.was_killed = code == -KILLED
        end = "was killed" if self.was_killed else f"ended with exit code {code}"
        super().__init__(f"the process that decodes it {end}")


class Process:
    """decoder.py as a running program."""

    def __init__(self):
        paths = os.pathsep.join(os.path.abspath(p) for p in sys.path if p)
        environment = os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
        self.running = subprocess.Popen(
            [sys.executable, "-P", decoder.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=os.path.dirname(decoder.__file__),  # libsndfile looks for a file called "._" where it works
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    def ask(self, message: dict, part) -> tuple[dict, bytes]:
        """One request -> the answer and its bytes; what the decoder wants to read of `part` is given meanwhile."""
        try:
            self._send(message)
            while "at" in (answer := self._line()):
                part.seek(answer["at"])
                data = part.read(answer["count"])
                self._send({"bytes": len(data)}, data)
            return answer, self.running.stdout.read(answer.get("bytes", 0))
        except (OSError, ValueError) as error:
            raise self.died() from error
        except BaseException:  # Ctrl-C: what it would answer next is not known
            self.kill()
            raise

    def died(self) -> DecoderDiedError:
        """The error of a process that answers no more; its exit code is its own if it ends in a moment."""
        try:
            code = self.running.wait(MOMENT)
        except subprocess.TimeoutExpired:
            code = 1
        self.kill()
        return DecoderDiedError(code)

    def wait_until_ready(self) -> bool:
        """Return whether it runs and has found soundfile."""
        try:
            return bool(self._line())
        except (OSError, ValueError):
            self.kill()
            return False

    def _send(self, message: dict, data: bytes = b"") -> None:
        self.running.stdin.write(json.dumps(message).encode() + b"\n" + data)
        self.running.stdin.flush()

    def _line(self) -> dict:
        return json.loads(self.running.stdout.readline())  # ValueError where it has ended

    def kill(self) -> None:
        self.running.kill()
        self.leave()

    def leave(self) -> None:
        """Let it end, which it does when its standard input is closed."""
        with contextlib.suppress(OSError):
            self.running.stdin.close()
        try:
            self.running.wait(LEAVE)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
        self.running.stdout.close()


class RemoteSound:
    """A part as a decoder process reads it; the same face as LocalSound in decoding.py."""

    def __init__(self, process: Process, part):
        self.process, self.part, self.errors = process, part, 0
        answer, _ = process.ask({"open": part.size}, part)
        self.refused = answer.get("refused")
        self.samplerate, self.channels = answer.get("rate"), answer.get("channels")

    def seek(self, _frames: int) -> int:
        """Return 0, the frame that comes next: what these decoders give depends on all that came before."""
        return 0

    def read_into(self, block) -> tuple[int, str | None]:
        """As decoder.read_into, for a block (frames, channels)."""
        answer, data = self.process.ask({"read": len(block)}, self.part)
        memoryview(block).cast("B")[: len(data)] = data
        self.errors += answer["errors"]
        return answer["frames"], answer["failure"]


def possible() -> bool:
    """Return whether a process can be started: not by a program that is frozen, or embeds Python."""
    return bool(sys.executable) and not getattr(sys, "frozen", False) and os.path.isfile(decoder.__file__)


@contextlib.contextmanager
def process():
    """A decoder process, or None where there can be none."""
    found = next_waiting() if possible() else None
    try:
        yield found
    finally:
        if found and found.running.returncode is None:
            give_back(found)


def next_waiting() -> Process | None:
    """One that waits and is alive, or a new one; None if it does not start."""
    while _waiting:
        with contextlib.suppress(IndexError):  # another thread was quicker
            if (found := _waiting.pop()).running.poll() is None:
                return found
            found.leave()
    try:
        found = Process()
    except OSError:
        return None
    return found if found.wait_until_ready() else None


def give_back(found: Process) -> None:
    """Keep it for the next file, or let it end if enough wait already."""
    if len(_waiting) < MOST_WAITING:
        _waiting.append(found)
    else:
        found.leave()


@atexit.register
def close_all() -> None:
    """Let all that wait end."""
    while _waiting:
        _waiting.pop().leave()


def forget_all() -> None:
    """In a forked child: the processes belong to its parent."""
    for found in _waiting:
        found.running.returncode = 0  # not ours to wait for
        found.running.stdin.close()
        found.running.stdout.close()
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_all)
