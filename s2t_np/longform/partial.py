"""Partial results: the words so far of a segment that is still open, before its pause has closed it.

During speech, the sound of the open segment is heard again and again, each time a little longer. Words that two
hearings in a row agree on are stable: they are shown as such, and the next hearing begins with them, so that they never
change while the segment is open. The last word is never stable, since its end may be missing. (Local agreement:
Liu, Spanakis and Niehues 2020, arXiv 2005.11185; with a prefix, as Macháček, Dabre and Bojar 2023, arXiv 2307.14743.)

The segment itself is heard afresh when it closes, exactly as without partial results.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from ..search import run
from .segmenter import Piece
from .word_times import WORD_START

RESERVE = 8  # tokens of the maximum length that stable words leave to the rest


@dataclass(frozen=True)
class Partial:
    """The words so far of an open segment. Times are seconds from the start of the recording."""

    start: float
    end: float  # the sound up to here was heard
    stable: str  # words that two hearings agreed on
    tentative: str  # the words after them, which may still change


OnPartial = Callable[[Partial], None]


class Agreement(NamedTuple):
    """The tokens of the last hearing, of which the first `stable` are agreed on."""

    start: float  # where the segment begins
    tokens: tuple[int, ...] = ()
    stable: int = 0


def agreed(before: Sequence[int], now: Sequence[int], begins_word: Callable[[int], bool]) -> int:
    """The number of tokens at the beginning that both have, cut off before the last word that may be incomplete."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False)))
    ends = (k for k in range(common, 0, -1) if k < len(now) and begins_word(now[k]))
    return next(ends, 0)


class Listener:
    """Hears open segments for one recording, and tells what it heard."""

    def __init__(self, model, generation: dict, on_partial: OnPartial):
        """`generation`: as in S2T.generate."""
        self.model, self.generation, self.on_partial = model, generation, on_partial
        self.last = Agreement(-1.0)
        rest = {name: value for name, value in generation.items() if name not in ("prefix", "lang")}
        self.most = model.generation_config.replace(**rest).max_length - RESERVE

    def closed_pieces(self, found: Iterable[Piece]) -> Iterator[Piece]:
        """The pieces that are closed; the open ones between them are heard."""
        for piece in found:
            if piece.is_open:
                self.hear(piece)
            else:
                yield piece

    def hear(self, piece: Piece) -> None:
        """Hear an open piece and tell its words."""
        if self.last.start != piece.start:
            self.last = Agreement(piece.start)
        known = self.last.tokens[: self.last.stable]
        tokens = known + self.search(piece, known)
        stable = max(self.last.stable, agreed(self.last.tokens, tokens, self.begins_word))
        self.last = Agreement(piece.start, tokens, min(stable, max(0, self.most)))
        texts = (self.model.tokenizer.decode(part) for part in (tokens[:stable], tokens[stable:]))
        self.on_partial(Partial(piece.start, piece.end, *map(str.strip, texts)))

    def search(self, piece: Piece, known: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens after those that are known, without EOS."""
        features = self.model.features_of_samples(piece.samples)
        prefix = [*self.generation.get("prefix", ()), *known]
        asked = self.model.begin_from(self.model.encode(features), **(self.generation | {"prefix": prefix}))
        best = run(asked, self.model.step)[0]
        return best.generated[:-1] if best.finished else best.generated

    def begins_word(self, token: int) -> bool:
        """Return whether a token begins a word."""
        return self.model.tokenizer.id_to_piece[token].startswith(WORD_START)
