"""How references and hypotheses are written before they are compared: a choice that changes every error rate.

case    both in upper case, white space collapsed. The published S2T figures upper-case the hypotheses, and
        LibriSpeech's references are upper case: on it this is the published recipe.
none    white space collapsed, nothing else.
words   as `case`, in Unicode's compatibility form NFKC, and without punctuation: hyphens and the like become
        spaces; apostrophes within a word stay.
"""

import re
import unicodedata
from collections.abc import Callable

APOSTROPHES = re.compile("[\u2018\u2019\u02bc\u0060\u00b4]")
NOT_WORD = re.compile(r"[^\w\s']|_|(?<!\w)'|'(?!\w)")


def collapse(text: str) -> str:
    """Words separated by single spaces."""
    return " ".join(text.split())


def upper(text: str) -> str:
    """Upper case, with single spaces."""
    return collapse(text).upper()


def words_only(text: str) -> str:
    """Upper case without punctuation."""
    plain = APOSTROPHES.sub("'", unicodedata.normalize("NFKC", text))
    return upper(NOT_WORD.sub(" ", plain))


NORMALIZERS: dict[str, Callable[[str], str]] = {"case": upper, "none": collapse, "words": words_only}
