"""A second search for a text that repeats itself.

Forbidding the repetition gives a second answer, which is taken if nothing is doubtful about it. If the speaker really
said the same thing five times, the forbidden repetition makes the second answer improbable, and the first one stays.
"""

from collections.abc import Callable

from ..search import Asking, Hypothesis
from .quality import QualityOptions, has_repeated_ngram, quality_flags

Answer = tuple[list[Hypothesis], list[str]]  # hypotheses, best first, and their texts


def decode_with_fallback(
    search: Callable[..., Asking[Answer]], options: QualityOptions, granularity: int = 1
) -> Asking[tuple[Answer, tuple[str, ...]]]:
    """Search, then search again if the answer is doubtful and repetitive: the better answer and its flags.

    `search(**more)` returns hypotheses and texts; `more` are generation options. A second answer that was taken carries
    the flag "retried". granularity: as in Tokenizer; a sequence of characters that may not come again is as long as one
    of pieces, as every text repeats some three characters.
    """
    first, size = (yield from search()), options.retry_no_repeat_ngram_size * granularity
    flags = quality_flags(first[0][0], first[1][0], options, granularity)
    if not flags or size == 0 or not has_repeated_ngram(first[0][0].generated, size):
        return first, flags
    second = yield from search(no_repeat_ngram_size=size)
    doubtful = quality_flags(second[0][0], second[1][0], options, granularity)
    return (first, flags) if doubtful else (second, ("retried",))
