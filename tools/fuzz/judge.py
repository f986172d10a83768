"""What became of one damaged file: refused in one line, read, or an escape.

An escape is what a user must never see: an error that is not ours, a message that does not say which file it is about,
a result other than a second reader's. (A dead process and one that does not end are the parent's to notice.)
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2t_np.errors import S2TError

LONGEST_MESSAGE = 2000  # characters, with the path of the file
KINDS = ("refused", "read", "equal", "stricter", "laxer", "escape")
# equal     both readers read the same           stricter   the other reader takes what we refuse
# laxer     the other reader refuses what we read, or is not installed to be asked: "read"


class Verdict(NamedTuple):
    """What became of one damaged file."""

    kind: str  # one of KINDS
    what: str = ""  # the message of a refusal, or what is wrong


def judge(path: Path, read: Callable, reference: Callable | None) -> Verdict:
    """Read a damaged file with our reader, and with the other one if there is one."""
    try:
        ours = read(path)
    except S2TError as refusal:
        verdict = judge_message(path, refusal)
        if verdict.kind == "escape" or reference is None:
            return verdict
        return Verdict("stricter", verdict.what) if second(path, reference)[0] else verdict
    except Exception as error:
        return Verdict("escape", f"{type(error).__name__}: {error}")
    if reference is None:
        return Verdict("read")
    done, theirs = second(path, reference)
    if not done:
        return Verdict("laxer", str(theirs))
    difference = compare(ours, theirs)
    return Verdict("escape", difference) if difference else Verdict("equal")


def second(path: Path, reference: Callable) -> tuple[bool, object]:
    """(True, what the other reader reads) or (False, why it refuses)."""
    try:
        return True, reference(path)
    except Exception as error:  # a reader that is not ours may raise anything
        return False, f"{type(error).__name__}: {error}"[:300]


def judge_message(path: Path, refusal: S2TError) -> Verdict:
    """A refusal is one line, of bounded length, that names the file or its folder."""
    message = str(refusal)
    if "\n" in message:
        return Verdict("escape", f"a message of several lines: {message!r:.500}")
    if len(message) > LONGEST_MESSAGE:
        return Verdict("escape", f"a message of {len(message)} characters: {message:.200}")
    if path.name not in message and path.parent.name not in message:
        return Verdict("escape", f"a message that names no file: {message:.500}")
    return Verdict("refused", message)


def compare(ours, theirs) -> str:
    """What differs between two results, each a value or a dictionary of arrays; "" if nothing does."""
    if not isinstance(ours, dict):
        return "" if ours == theirs else f"read {ours!r:.200} where the other reader reads {theirs!r:.200}"
    if ours.keys() != theirs.keys():
        return f"read the names {sorted(ours)!r:.200}, the other reader {sorted(theirs)!r:.200}"
    for name, a in ours.items():
        b = theirs[name]
        if a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return f"{name} is read with other numbers than by the other reader"
    return ""
