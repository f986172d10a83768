r"""Names of files as text: bytes that are not UTF-8, and bytes that the locale does not let Python read as UTF-8.

Python keeps a byte of a name that it cannot decode as half of a surrogate pair, U+DC80 to U+DCFF (PEP 383), so that the
name leads to the file again. With LC_ALL=C these may be all bytes above 127, also those of an é. No encoding has these
halves, and strict readers of JSON refuse them. `legible` shows the name as it was meant: é, or \xff for a byte that is
not UTF-8. JSON can also spell the other halves, \ud800 for instance, which stand for nothing.
"""

import os
import re

HALVES = re.compile("[\udc80-\udcff]+|[\ud800-\udfff]")  # bytes in a row; a half that is not a byte
NOT_BYTES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
IN_REPR = re.compile(r"(?<!\\)(?:\\udc[89a-f][0-9a-f])+")  # bytes in a row, as repr writes them


def as_text(halves: str) -> str:
    """A match of HALVES as characters and escapes."""
    if NOT_BYTES.match(halves):
        return halves.encode("ascii", "backslashreplace").decode("ascii")
    return halves.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def legible(text: str) -> str:
    r"""The text in valid Unicode: bytes that are UTF-8 as their characters, others as \xff, other halves as \ud800."""
    return HALVES.sub(lambda found: as_text(found[0]), text)


def legible_message(text: str) -> str:
    """The same for a message, in which repr may have written such bytes."""
    return legible(IN_REPR.sub(lambda found: found[0].encode("ascii").decode("unicode_escape"), text))


def legible_json(line: str) -> str:
    """JSON as json.dumps(..., ensure_ascii=False) writes it, all its strings made legible."""
    return HALVES.sub(lambda found: as_text(found[0]).replace("\\", r"\\"), line)


def encodable(text: str) -> str:
    """Text that can be written as UTF-8 with "surrogateescape": bytes of names stay, other halves become escapes."""
    return NOT_BYTES.sub(lambda found: as_text(found[0]), text)


def encoded(text: str) -> bytes:
    """UTF-8; a file name in it that is not UTF-8 keeps its bytes."""
    return encodable(text).encode("utf-8", "surrogateescape")


def local_name(text: str) -> str:
    """A name that a UTF-8 file holds, as this process has to say it to open the file. Raises ValueError."""
    return text if os.name == "nt" else os.fsdecode(text.encode("utf-8", "surrogateescape"))


def is_utf8(name: str) -> bool:
    """Return whether the bytes of a file's name are UTF-8."""
    try:
        os.fsencode(name).decode("utf-8")
    except UnicodeError:
        return False
    return True
