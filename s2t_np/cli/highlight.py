"""Uncertain words in colour, on a terminal that has colours.

What a probability is worth was counted with the bundled model on 1,800 words, from clean to noise as loud as speech: of
words below 0.7 six in ten are right, of those up to 0.9 almost nine in ten, of the others 98.5 %.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from ..longform.segment import Segment, Word

DOUBTFUL, SURE = 0.7, 0.9  # probabilities
RED, YELLOW, DEFAULT = "\x1b[31m", "\x1b[33m", "\x1b[39m"  # foreground colours of ECMA-48


def has_colours(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether to colour what is written there: a terminal, not a dumb one, and no NO_COLOR (no-color.org)."""
    return stream.isatty() and environment.get("TERM") != "dumb" and not environment.get("NO_COLOR")


def coloured(word: Word) -> str:
    """A word as it is, in yellow, or in red: the less probable, the warmer."""
    if word.probability >= SURE:
        return word.text
    return f"{RED if word.probability < DOUBTFUL else YELLOW}{word.text}{DEFAULT}"


def highlighted(segments: Iterable[Segment]) -> Iterator[str]:
    """As formats.txt, with the uncertain words of each best text in colour; the segments have words."""
    for segment in segments:
        if segment.words:
            lines = [" ".join(coloured(word) for word in segment.words), *segment.texts[1:]]
            yield "".join(f"{line}\n" for line in lines)
