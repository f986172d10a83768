"""How good a transcript probably is, measured on the transcript alone.

A model repeats itself or becomes unsure when it hears something it was not trained on. Three signs show this, whisper's
two and one more: zlib compresses the text too well, a run of tokens repeats several times in a row, or the average
log-probability is low. Lengths count pieces of a subword vocabulary; where a token is a character, several stand for
one piece (`granularity`, as in Tokenizer). What counts as low depends on the model: one with a vocabulary of a few
words is seldom unsure, so its folder may state a threshold of its own (`config.UtteranceConfig`).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from ..search import Hypothesis
from ..settings.fields import bounded_number

LOOP_TIMES, LOOP_PIECES = 4, 8  # a run that repeats this often in a row, and fills this many pieces, is a loop


@dataclass(frozen=True)
class QualityOptions:
    """When a text is doubtful, under whisper's names; None switches a sign off."""

    compression_ratio_threshold: float | None = bounded_number(
        2.4, "a text that zlib compresses better than this repeats itself", 0, True
    )
    logprob_threshold: float | None = bounded_number(
        -1.0, "average log-probability per token below which a text is doubtful", -1000, True
    )
    drop_logprob_threshold: float | None = bounded_number(
        None, "average log-probability per token below which a text is left out; some of it may be speech", -1000, True
    )
    retry_no_repeat_ngram_size: int = bounded_number(
        3, "length of the sequences that the second search of a repetitive text may not repeat, in pieces; 0: no retry"
    )


def compression_ratio(text: str) -> float:
    """Bytes of a text over its bytes after zlib compression: 1 for an empty text, above 2.4 for a repetitive one."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 1.0


def average_log_prob(hypothesis: Hypothesis) -> float:
    """The mean natural log-probability of the tokens, EOS included."""
    return hypothesis.log_prob / max(1, len(hypothesis.token_log_probs))


def is_dropped(log_prob: float, options: QualityOptions) -> bool:
    """True if a text of that average log-probability is to be left out, as none was probably said."""
    return options.drop_logprob_threshold is not None and log_prob < options.drop_logprob_threshold


def has_loop(tokens: Sequence[int], granularity: int = 1) -> bool:
    """True if some run of tokens occurs LOOP_TIMES or more times in a row and fills LOOP_PIECES or more."""
    for period in range(1, len(tokens) // LOOP_TIMES + 1):
        needed = max(LOOP_TIMES * period, LOOP_PIECES * granularity) - period  # tokens equal to the one a period before
        length = 0
        for one, other in zip(tokens, tokens[period:], strict=False):
            length = length + 1 if one == other else 0
            if length >= needed:
                return True
    return False


def has_repeated_ngram(tokens: Sequence[int], size: int) -> bool:
    """True if some sequence of `size` tokens occurs twice."""
    grams = list(zip(*(tokens[i:] for i in range(size)), strict=False))
    return len(set(grams)) < len(grams)


def quality_flags(hypothesis: Hypothesis, text: str, options: QualityOptions, granularity: int = 1) -> tuple[str, ...]:
    """Why a text is doubtful: "repetition", "low_logprob", "unfinished" (cut off at max_length)."""
    ratio, log_prob = options.compression_ratio_threshold, options.logprob_threshold
    compressed = ratio is not None and compression_ratio(text) > ratio
    found = {
        "repetition": compressed or has_loop(hypothesis.generated, granularity),
        "low_logprob": log_prob is not None and average_log_prob(hypothesis) < log_prob,
        "unfinished": not hypothesis.finished,
    }
    return tuple(name for name, true in found.items() if true)
