"""How far a transcript is to be believed, from the transcript alone.

A model that hears what it was not trained on repeats itself or is unsure. Three signs, whisper's two and one more:
text that zlib compresses too well, a run of tokens that comes again and again, a low average log-probability. Text with
a repetition is searched for again with the repetition forbidden, and the second answer taken if nothing is wrong with
it: where somebody did say the same thing five times, forbidding it makes the answer improbable, and the first stays.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..config import measured
from ..search import Hypothesis

LOOP_TIMES, LOOP_TOKENS = 4, 8  # a run that comes so often in a row, and fills so many tokens, is a loop


@dataclass(frozen=True)
class TrustOptions:
    """When to doubt, with whisper's names; None switches a sign off."""

    compression_ratio_threshold: float | None = measured(
        2.4, "a text that zlib compresses better repeats itself", 0, True
    )
    logprob_threshold: float | None = measured(
        -1.0, "average log-probability of a token below which a text is doubted", -1000, True
    )
    retry_no_repeat_ngram_size: int = measured(3, "tokens in a row that a second search forbids to repeat; 0: none")


def compression_ratio(text: str) -> float:
    """Bytes of a text over bytes of it compressed by zlib: 1 for nothing, above 2.4 where it repeats itself."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 1.0


def average_log_prob(hypothesis: Hypothesis) -> float:
    """The mean of the tokens' natural log-probabilities, EOS counted."""
    return hypothesis.log_prob / max(1, len(hypothesis.token_log_probs))


def loops(tokens: Sequence[int]) -> bool:
    """Whether some run of tokens stands LOOP_TIMES or more times in a row and fills LOOP_TOKENS or more."""
    for period in range(1, len(tokens) // LOOP_TIMES + 1):
        needed = max(LOOP_TIMES * period, LOOP_TOKENS) - period  # tokens equal to the one a period before
        length = 0
        for one, other in zip(tokens, tokens[period:], strict=False):
            length = length + 1 if one == other else 0
            if length >= needed:
                return True
    return False


def repeats(tokens: Sequence[int], size: int) -> bool:
    """Whether any `size` tokens in a row come twice."""
    grams = list(zip(*(tokens[i:] for i in range(size)), strict=False))
    return len(set(grams)) < len(grams)


def doubts(hypothesis: Hypothesis, text: str, options: TrustOptions) -> tuple[str, ...]:
    """Why this text should be doubted: "repetition", "low_logprob", "unfinished" (cut off at max_length)."""
    ratio, log_prob = options.compression_ratio_threshold, options.logprob_threshold
    found = {
        "repetition": loops(hypothesis.generated) or (ratio is not None and compression_ratio(text) > ratio),
        "low_logprob": log_prob is not None and average_log_prob(hypothesis) < log_prob,
        "unfinished": not hypothesis.finished,
    }
    return tuple(name for name, true in found.items() if true)


Answer = tuple[list[Hypothesis], list[str]]  # best first, and their texts


def believed(search: Callable[..., Answer], options: TrustOptions) -> tuple[Answer, tuple[str, ...]]:
    """Search, and search again where the answer repeats itself and is doubtful: the better answer, and its flags.

    `search(**more)` gives hypotheses and texts; `more` are generation options. A second answer that was taken has the
    flag "retried".
    """
    first, size = search(), options.retry_no_repeat_ngram_size
    flags = doubts(first[0][0], first[1][0], options)
    if not flags or size == 0 or not repeats(first[0][0].generated, size):
        return first, flags
    second = search(no_repeat_ngram_size=size)
    return (first, flags) if doubts(second[0][0], second[1][0], options) else (second, ("retried",))
