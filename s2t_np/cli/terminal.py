"""Standard output and standard error: text goes to the one, everything else to the other, a line at a time."""

import io
import os
import shutil
import sys
import threading
import warnings
from contextlib import contextmanager

from ..errors import InputWarning

ERASE_LINE = "\r\x1b[K"
_screen = threading.RLock()  # what is on the terminal is one thread's at a time


def guard_streams() -> None:
    """UTF-8 whatever the locale says; file names that are no Unicode keep their bytes; a closed stream is an empty one.

    Python has None for a stream that the caller closed (`>&-`), and the next file opened would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def lose_output() -> None:
    """Let nothing that is still unwritten raise once more when the interpreter closes the streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def visible(text: object) -> str:
    """Text on one line in which nothing can steer a terminal: what is not printable is shown as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def on_terminal() -> bool:
    """Whether somebody sees standard error as it is written."""
    return sys.stderr.isatty()


@contextmanager
def bar_away():
    """Within this, there is no progress bar, and no other thread draws one."""
    with _screen:
        if on_terminal():
            sys.stderr.write(ERASE_LINE)
            sys.stderr.flush()
        yield


def say(message: object) -> None:
    """One line on stderr."""
    with bar_away():
        print(f"s2t-np: {visible(message)}", file=sys.stderr, flush=True)


def show(text: str) -> None:
    """A result on stdout, at once: whoever reads a pipe has it now, and a closed pipe is noticed. Raises OSError."""
    with bar_away():
        sys.stdout.write(text)
        sys.stdout.flush()


def draw(bar: str) -> None:
    """Put a progress bar in place of the one that is there."""
    with bar_away():
        sys.stderr.write(visible(bar)[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()


@contextmanager
def warnings_on_stderr():
    """Show warnings as one line on stderr, and the same one only once."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        said = set()

        def show(message, category, filename, lineno, file=None, line=None):
            if (text := str(message)) not in said:
                said.add(text)
                say(f"warning: {text}")

        warnings.showwarning = show
        yield
