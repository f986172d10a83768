"""Tokens that may not, or must, come next: short functions that edit a table of scores in place.

Every one takes `tokens` (K, U), the rows so far, start token and prefix included, and `scores` (K, V) for what comes
next: -inf bans a token. They act one after the other in the order of transformers' `_get_logits_processor`, on
log-probabilities in beam search and on logits otherwise. The repetition penalty is that of Keskar et al. 2019, CTRL
(arXiv 1909.05858), section 4.1; blocking of n-grams is from Paulus et al. 2017 (arXiv 1705.04304), section 2.5.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ..config import GenerationConfig

Edit = Callable[[np.ndarray, np.ndarray], None]


class Constraint(NamedTuple):
    """An edit of the scores that follow rows of certain lengths.

    Most only ban tokens. That means the same for logits as for log-probabilities and can only lower a maximum, so it is
    done in place. To rewrite scores of tokens that stay allowed is another matter: it needs a table of its own.
    """

    lengths: range
    edit: Edit
    rewrites: bool = False


def constraints(options: GenerationConfig, prompt_length: int) -> list[Constraint]:
    """Those that `options` ask for, in order. `options` come from `check_options`, with absolute lengths."""
    forced_first, forced_last = options.forced_bos_token_id, options.forced_eos_token_id
    begin = prompt_length + (prompt_length == 1 and forced_first is not None)
    always, last = range(options.max_length), options.max_length - 1
    penalise = partial(penalise_repetition, penalty=options.repetition_penalty)
    ban_ngrams = partial(ban_repeated_ngrams, size=options.no_repeat_ngram_size)
    table = [
        (options.repetition_penalty != 1, Constraint(always, penalise, rewrites=True)),
        (options.no_repeat_ngram_size > 0, Constraint(always, ban_ngrams)),
        (options.min_length > 0, Constraint(range(options.min_length), banning([options.eos_token_id]))),
        (forced_first is not None, Constraint(only(1), partial(force, token=forced_first), rewrites=True)),
        (forced_last is not None, Constraint(only(last), partial(force, token=forced_last), rewrites=True)),
        (options.suppress_tokens, Constraint(always, banning(options.suppress_tokens))),
        (options.begin_suppress_tokens, Constraint(only(begin), banning(options.begin_suppress_tokens))),
    ]
    return [constraint for wanted, constraint in table if wanted]


def only(length: int) -> range:
    """Right after the first `length` tokens."""
    return range(length, length + 1)


def banning(tokens: Sequence[int] | None) -> Edit:
    """Ban these tokens."""
    return partial(ban, banned=np.array(tokens or (), np.int64))


def rewrite(active: Sequence[Constraint], length: int) -> bool:
    """True if constraints on what follows rows of this length do more than ban."""
    return any(constraint.rewrites and length in constraint.lengths for constraint in active)


def constrain(active: Sequence[Constraint], tokens: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Scores (K, V) after all `active` constraints: the array given, or a copy of it where one of them rewrites."""
    length = tokens.shape[1]
    if rewrite(active, length):
        scores = scores.copy()
    for constraint in active:
        if length in constraint.lengths:
            constraint.edit(tokens, scores)
    return scores


def penalise_repetition(tokens: np.ndarray, scores: np.ndarray, penalty: float) -> None:
    """Make every token that a row already holds less likely: negative scores times `penalty`, positive ones over it."""
    seen = np.take_along_axis(scores, tokens, axis=1)  # (K, U)
    np.put_along_axis(scores, tokens, np.where(seen < 0, seen * penalty, seen / penalty), axis=1)


def ban_repeated_ngrams(tokens: np.ndarray, scores: np.ndarray, size: int) -> None:
    """Ban what would complete a run of `size` tokens that a row already holds. Size 1: no token twice."""
    length = tokens.shape[1]
    if length < size:
        return
    ngrams = np.lib.stride_tricks.sliding_window_view(tokens, size, axis=1)  # (K, U - size + 1, size)
    ending = tokens[:, None, length - size + 1 :]  # (K, 1, size - 1)
    rows, starts = np.nonzero((ngrams[..., :-1] == ending).all(axis=-1))
    scores[rows, ngrams[rows, starts, -1]] = -np.inf


def ban(tokens: np.ndarray, scores: np.ndarray, banned: np.ndarray) -> None:
    """Ban these tokens (n,) everywhere."""
    scores[:, banned] = -np.inf


def force(tokens: np.ndarray, scores: np.ndarray, token: int) -> None:
    """This one must come, and counts as certain: log-probability 0."""
    scores[:] = -np.inf
    scores[:, token] = 0
