"""Merge the transcripts of two overlapping pieces, where a cut through speech let both hear the same moment.

The end of the first and the beginning of the second are searched for their longest common run of tokens. The merged
transcript changes over in the middle of that run, before a token that begins a word. Each side is trusted where it has
heard what came before and after; at the cut itself, where one side heard half a word, the other heard all of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from .segment import Segment

MARGIN = 1.5  # search window as a multiple of the overlap's expected token count: tokens are not spread evenly
LEAST = 2  # pieces of the shortest common run that counts; one piece may agree by chance


def common_runs(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Every run of tokens that both have: (where it begins in `before`, where in `after`, its length)."""
    ending: dict[
        int, int
    ] = {}  # lengths of the runs that end with the token of `before` at hand, by their last in `after`
    for i, token in enumerate(before):
        ending = {j: ending.get(j - 1, 0) + 1 for j, other in enumerate(after) if other == token}
        yield from ((i + 1 - size, j + 1 - size, size) for j, size in ending.items())


def find_overlap(
    before: Sequence[int], after: Sequence[int], begins_word: Callable[[int], bool], least: int = LEAST
) -> tuple[int, int] | None:
    """(number of tokens of `before` to keep, number of `after` to drop); None if they have no run in common.

    Of runs of the same length, as repeated words make them, the one counts that leaves the fewest tokens between itself
    and the cuts, those which end `before` and begin `after`: in "seven three seven" and "three seven three four" it is
    "three seven".
    """
    runs = common_runs(before, after)
    first, second, size = max(runs, key=lambda run: (run[2], run[0] - run[1]), default=(0, 0, 0))
    if size < least:
        return None
    beginnings = [k for k in range(size) if begins_word(after[second + k])]
    middle = min(beginnings, key=lambda k: abs(2 * k - size), default=size)
    return first + middle, second + middle


def overlap_tokens(segment: Segment, overlap: float) -> int:
    """The largest number of a segment's tokens that may lie in an overlap of this many seconds."""
    share = min(1.0, overlap / max(segment.end - segment.start, overlap))
    return min(len(segment.tokens), round(MARGIN * share * len(segment.tokens)) + LEAST)


def merge_overlap(before: Segment, after: Segment, tokenizer) -> tuple[Segment, Segment]:
    """Two segments that overlap in time -> two that overlap neither in time nor in text.

    If they have nothing in common, both keep all of their text, some of which may then occur twice, and the flag "cut".
    """
    overlap, middle = before.end - after.start, (before.end + after.start) / 2
    tail, head = overlap_tokens(before, overlap), overlap_tokens(after, overlap)
    start = len(before.tokens) - tail
    own_before, own_after = before.tokens[start:], after.tokens[:head]
    found = find_overlap(own_before, own_after, begins_word(tokenizer), LEAST * tokenizer.granularity)
    if found is None:
        before, after = (replace(segment, flags=(*segment.flags, "cut")) for segment in (before, after))
    else:
        before = keep_tokens(before, before.tokens[: start + found[0]], tokenizer)
        after = keep_tokens(after, after.tokens[found[1] :], tokenizer)
    return replace(before, end=middle), replace(after, start=middle)


def begins_word(tokenizer) -> Callable[[int], bool]:
    """Tells of a token whether it begins a word."""
    return lambda token: tokenizer.id_to_piece[token].startswith("▁")


def keep_tokens(segment: Segment, tokens: tuple[int, ...], tokenizer) -> Segment:
    """The segment cut down to some of its tokens, its first or its last ones, and to their words."""
    text, words = tokenizer.decode(tokens), segment.words
    if words is not None:
        count = len(text.split())
        words = words[:count] if tokens == segment.tokens[: len(tokens)] else words[len(words) - count :]
    return replace(segment, tokens=tokens, text=text, words=words)
