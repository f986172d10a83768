"""The signals that ask a program to end: Ctrl-C, `kill`, a terminal that closes.

Each ends in one line, and in an exit code of 128 and the number of the signal.

    begin, end        a signal writes the line and ends the process; nothing has to be tidied
    raise_interrupt   the first signal raises KeyboardInterrupt, so that files are closed and temporary ones removed;
                      a second one ends the process where it is

Only the command does this. A signal that is ignored (SIGHUP under nohup) stays ignored, and one that the program around
has a handler of its own for keeps it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

WORDS = {
    getattr(signal, name): word
    for name, word in (
        ("SIGINT", "interrupted"),
        ("SIGTERM", "terminated"),
        ("SIGHUP", "ended, as its terminal was closed"),
    )
    if hasattr(signal, name)  # Windows has no SIGHUP
}
USUAL = (signal.SIG_DFL, signal.default_int_handler)
INTERRUPTED = 128  # the exit code of a process is this and the number of the signal that has ended it

_received = signal.SIGINT  # the one that raised KeyboardInterrupt
_lost = False  # whether that was in a function that C had called, where it went no further


def word() -> str:
    """The last signal in a word, for a message."""
    return WORDS[_received]


def exit_code() -> int:
    """The exit code of a process that a signal has ended."""
    return INTERRUPTED + _received


def leave(number: int, *_) -> None:
    """A handler: end now, with a line."""
    os.write(2, f"s2t-np: {WORDS[number]}\n".encode())
    os._exit(INTERRUPTED + number)


def leave_silently(number: int, *_) -> None:
    """A handler: end now; the line has been written."""
    os._exit(exit_code())


def interrupt(number: int, *_) -> None:
    """A handler: let the program end by itself, or at once if another signal comes meanwhile."""
    global _received  # noqa: PLW0603
    _received = number
    replace((interrupt,), leave)
    raise KeyboardInterrupt


OURS = (interrupt, leave, leave_silently)


def replace(before: tuple, handler) -> None:
    """Let `handler` handle every signal that one of `before` handled."""
    for number in WORDS:
        if signal.getsignal(number) in before:
            signal.signal(number, handler)


def begin(handler=leave) -> None:
    """From the start of the program on: leave at once, or as `handler` decides."""
    replace(USUAL, handler)


def raise_interrupt() -> None:
    """From now on, the first signal raises KeyboardInterrupt. Nothing where `begin` was not called."""
    replace((leave,), interrupt)
    if signal.getsignal(signal.SIGINT) is interrupt:
        sys.unraisablehook = note_lost


def note_lost(unraisable) -> None:
    """A hook for exceptions that go no further: an interrupt is noted, of others Python says what it always does."""
    global _lost  # noqa: PLW0603
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _lost = True
    else:
        sys.__unraisablehook__(unraisable)


@contextmanager
def raised_again() -> Iterator[None]:
    """Within this context C calls functions of Python's: an interrupt that is lost in one is raised at its end."""
    global _lost  # noqa: PLW0603
    try:
        yield
    finally:
        if _lost:
            _lost = False
            raise KeyboardInterrupt


def end(told: bool = False) -> None:
    """The work is done: leave at once; without a word if it has been `told`. Nothing where `begin` was not called."""
    replace(OURS, leave_silently if told else leave)
