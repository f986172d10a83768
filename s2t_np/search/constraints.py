"""Tokens that may not, or must, come next: short functions that edit a table of scores in place.

Every one takes `tokens` (K, U), the rows so far, start token and prefix included, and `scores` (K, V) for what comes
next: -inf bans a token. They act one after the other in the order of transformers' `_get_logits_processor`, on
log-probabilities in beam search and on logits otherwise. The repetition penalty is that of Keskar et al. 2019, CTRL
(arXiv 1909.05858), section 4.1; blocking of n-grams is from Paulus et al. 2017 (arXiv 1705.04304), section 2.5.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ..config import GenerationConfig

Constraint = Callable[[np.ndarray, np.ndarray], None]


def constraints(options: GenerationConfig, prompt_length: int) -> list[Constraint]:
    """Those that `options` ask for, in order. `options` come from `check_options`, with absolute lengths."""
    begin = prompt_length + (prompt_length == 1 and options.forced_bos_token_id is not None)
    last = options.max_length - 1
    table = [
        (options.repetition_penalty != 1, partial(penalise_repetition, penalty=options.repetition_penalty)),
        (options.no_repeat_ngram_size > 0, partial(ban_repeated_ngrams, size=options.no_repeat_ngram_size)),
        (options.min_length > 0, partial(ban_below, length=options.min_length, token=options.eos_token_id)),
        (options.forced_bos_token_id is not None, partial(force_at, length=1, token=options.forced_bos_token_id)),
        (options.forced_eos_token_id is not None, partial(force_at, length=last, token=options.forced_eos_token_id)),
        (options.suppress_tokens, partial(ban, banned=options.suppress_tokens)),
        (options.begin_suppress_tokens, partial(ban_at, length=begin, banned=options.begin_suppress_tokens)),
    ]
    return [constraint for wanted, constraint in table if wanted]


def constrain(active: Sequence[Constraint], tokens: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Scores (K, V) after all `active` constraints; the array given stays as it is."""
    if active:
        scores = scores.copy()
    for constraint in active:
        constraint(tokens, scores)
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


def ban(tokens: np.ndarray, scores: np.ndarray, banned: Sequence[int]) -> None:
    """Ban these tokens everywhere."""
    scores[:, list(banned)] = -np.inf


def ban_at(tokens: np.ndarray, scores: np.ndarray, length: int, banned: Sequence[int]) -> None:
    """Ban these tokens right after the first `length` ones."""
    if tokens.shape[1] == length:
        ban(tokens, scores, banned)


def ban_below(tokens: np.ndarray, scores: np.ndarray, length: int, token: int) -> None:
    """Ban a token, EOS, until there are `length` tokens."""
    if tokens.shape[1] < length:
        scores[:, token] = -np.inf


def force_at(tokens: np.ndarray, scores: np.ndarray, length: int, token: int) -> None:
    """Right after the first `length` tokens this one must come, and counts as certain: log-probability 0."""
    if tokens.shape[1] == length:
        scores[:] = -np.inf
        scores[:, token] = 0
