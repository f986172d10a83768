"""Standard output and standard error: results go to the one, messages and the progress bar to the other, line by line.

File names, transcripts and error texts may hold control characters, and bytes that are not UTF-8. On a terminal, and in
every message, these are shown as their escapes, so that nothing can move the cursor, change the title or hide text.
Pipes and files get every byte as it is.
"""

import io
import os
import shutil
import sys
import threading
import unicodedata
import warnings
from contextlib import contextmanager

from ..errors import InputWarning
from ..system.forks import RenewedLock
from ..system.names import encodable, legible, legible_message

ERASE_LINE = "\r\x1b[K"
MARGIN = 3  # columns that a progress bar leaves free: a terminal writes ^C there, which must not begin another line
_screen = RenewedLock(threading.RLock)  # held by the thread that writes to the terminal


def is_own_and_unbuffered(name: str) -> bool:
    """Return whether a stream is the one that Python has opened, and not one put in its place, and has no buffer."""
    stream = getattr(sys, name)
    return stream is getattr(sys, f"__{name}__") and isinstance(getattr(stream, "buffer", None), io.RawIOBase)


def guard_streams() -> None:
    """Use UTF-8 whatever the locale; keep the bytes of file names that are not Unicode; reopen closed streams as empty.

    Python sets a stream that the caller closed (`>&-`) to None, and the next file opened would get its number. Without
    a buffer (PYTHONUNBUFFERED), Python loses what the operating system does not take at once: such a stream gets one.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and is_own_and_unbuffered(name):
            buffered = open(getattr(sys, name).fileno(), "wb", closefd=False)  # noqa: SIM115
            setattr(sys, name, io.TextIOWrapper(buffered, line_buffering=True))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def lose_output() -> None:
    """Discard unwritten output, so that the interpreter does not raise the same error again when it closes streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def escaped(character: str) -> str:
    """A character that is not printable, as the escape that Python would write for it."""
    return character.encode("unicode_escape").decode("ascii")


def visible(text: object) -> str:
    """Text on one line in which nothing can steer a terminal: characters that are not printable become escapes."""
    return "".join(c if c.isprintable() else escaped(c) for c in legible_message(str(text)))


def harmless(text: str) -> str:
    """Text of several lines in which nothing can steer a terminal: tabs, line ends and all kinds of spaces stay."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    text = legible(text)
    return "".join(c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else escaped(c) for c in text)


def on_terminal() -> bool:
    """Return whether standard error is a terminal, so that a progress bar makes sense."""
    return sys.stderr.isatty()


@contextmanager
def bar_away():
    """Within this context there is no progress bar on the screen, and no other thread draws one."""
    with _screen.lock:
        if on_terminal():
            sys.stderr.write(ERASE_LINE)
            sys.stderr.flush()
        yield


def say(message: object) -> None:
    """Print one line on stderr."""
    with bar_away():
        print(f"s2t-np: {visible(message)}", file=sys.stderr, flush=True)


def flush_output() -> None:
    """Send everything printed so far on its way. Raises OSError that names standard output."""
    try:
        sys.stdout.flush()
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise


def show(text: str, coloured: bool = False) -> None:
    """Print a result on stdout at once, so that readers of a pipe have it and a closed pipe is noticed. Raises OSError.

    Control characters are made harmless on a terminal, unless the caller has done so (`coloured`: it added its own).
    """
    if not coloured and sys.stdout.isatty():
        text = harmless(text)
    with bar_away():
        try:
            sys.stdout.write(encodable(text))
        except OSError as error:
            error.filename = error.filename or "standard output"
            raise
        flush_output()


def draw(bar: str, style: str = "%s", rest: str = "") -> None:
    """Replace the progress bar on the screen. It must fit the line: what is cut off is its end.

    `rest` comes after it, in the `style` of the caller, whose own escapes pass.
    """
    with bar_away():
        sys.stderr.write(visible(bar)[: columns()] + style % visible(rest))
        sys.stderr.flush()


def columns() -> int:
    """Return how many columns a progress bar may fill."""
    return max(1, shutil.get_terminal_size().columns - MARGIN)


def silence_matplotlib() -> None:
    """Let it log errors only: it writes three lines where it cannot keep its fonts, in a home that is read-only."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)


@contextmanager
def warnings_on_stderr():
    """Within this context, warnings are printed as one line on stderr, each only once."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        said = set()

        def show(message, category, filename, lineno, file=None, line=None):
            if (text := str(message)) not in said:
                said.add(text)
                say(f"warning: {text}")

        warnings.showwarning = show
        yield
