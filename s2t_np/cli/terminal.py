"""Standard output and standard error: text goes to the one, everything else to the other, a line at a time."""

import io
import os
import shutil
import sys
import warnings
from contextlib import contextmanager

from ..errors import InputWarning

ERASE_LINE = "\r\x1b[K"
BAR_WIDTH = 20


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


def say(message: object) -> None:
    """One line on stderr."""
    erase()
    print(f"s2t-np: {visible(message)}", file=sys.stderr, flush=True)


def erase() -> None:
    """Take the progress bar away before something else is printed."""
    if sys.stderr.isatty():
        sys.stderr.write(ERASE_LINE)
        sys.stderr.flush()


def progress(done: int, total: int, label: str) -> None:
    """Draw the progress bar, on a terminal only: how many are done, and which one is at work."""
    if not sys.stderr.isatty():
        return
    filled = BAR_WIDTH * done // max(total, 1)
    line = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done}/{total} {visible(label)}"
    sys.stderr.write(ERASE_LINE + line[: shutil.get_terminal_size().columns - 1])
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
