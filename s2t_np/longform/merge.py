"""Two transcripts of one stretch of sound made into one: where a cut went through speech, both sides heard a little of
what the other heard.

The end of the first and the beginning of the second are searched for the longest run of tokens that both have; the
transcript changes over in the middle of it, before a token that begins a word. Each side is trusted where it has heard
what came before and after; at the cut itself, where one has heard half a word, the other has heard all of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from .segment import Segment

MARGIN = 1.5  # tokens are not spread evenly: so many times as many as the overlap would hold are looked at
LEAST = 2  # tokens in a run that is believed


def seam(before: Sequence[int], after: Sequence[int], begins_word: Callable[[int], bool]) -> tuple[int, int] | None:
    """(how many tokens of `before` to keep, how many of `after` to drop); None where they have nothing in common."""
    run = SequenceMatcher(None, before, after, autojunk=False).find_longest_match()
    if run.size < LEAST:
        return None
    beginnings = [k for k in range(run.size) if begins_word(after[run.b + k])]
    middle = min(beginnings, key=lambda k: abs(2 * k - run.size), default=run.size)
    return run.a + middle, run.b + middle


def looked_at(segment: Segment, overlap: float) -> int:
    """How many tokens of a segment may lie in an overlap of so many seconds."""
    share = min(1.0, overlap / max(segment.end - segment.start, overlap))
    return min(len(segment.tokens), round(MARGIN * share * len(segment.tokens)) + LEAST)


def stitched(before: Segment, after: Segment, tokenizer) -> tuple[Segment, Segment]:
    """Two segments that overlap in time -> two that do not, in time or in text.

    Where nothing common is found both keep all of their text, some of which is then there twice, and the flag "cut".
    """
    overlap, middle = before.end - after.start, (before.end + after.start) / 2
    tail, head = looked_at(before, overlap), looked_at(after, overlap)
    start = len(before.tokens) - tail
    found = seam(before.tokens[start:], after.tokens[:head], lambda t: tokenizer.id_to_piece[t].startswith("▁"))
    if found is None:
        before, after = (replace(segment, flags=(*segment.flags, "cut")) for segment in (before, after))
    else:
        before = shortened(before, before.tokens[: start + found[0]], tokenizer)
        after = shortened(after, after.tokens[found[1] :], tokenizer)
    return replace(before, end=middle), replace(after, start=middle)


def shortened(segment: Segment, tokens: tuple[int, ...], tokenizer) -> Segment:
    """The segment with only these of its tokens, which are its first or its last; words go with them."""
    text, words = tokenizer.decode(tokens), segment.words
    if words is not None:
        count = len(text.split())
        words = words[:count] if tokens == segment.tokens[: len(tokens)] else words[len(words) - count :]
    return replace(segment, tokens=tokens, text=text, words=words)
