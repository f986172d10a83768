"""Constraints on what may come next and how much it counts: functions that edit a table of scores in place.

Every one takes `tokens` (K, U), the rows so far, start token and prefix included, and `scores` (K, V) for what comes
next: -inf bans a token. They act one after the other in the order of transformers' `_get_logits_processor`, on
log-probabilities in beam search and on logits otherwise. The repetition penalty is that of Keskar et al. 2019, CTRL
(arXiv 1909.05858), section 4.1; blocking of n-grams is from Paulus et al. 2017 (arXiv 1705.04304), section 2.5.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ..errors import OptionError
from ..ops import log_softmax
from ..settings.generation_config import GenerationConfig, as_tuple
from .hooks import NO_HOOKS, Hooks
from .hotwords import trie_of
from .warpers import narrow

Edit = Callable[[np.ndarray, np.ndarray], None]


class Constraint(NamedTuple):
    """An edit of the scores that follow rows of certain lengths.

    Most only ban tokens. That means the same for logits as for log-probabilities and can only lower a maximum, so it is
    done in place. To rewrite scores of tokens that stay allowed is another matter: it needs a table of its own. What
    does not count for a path's score (its own choice, the caller's functions) is left out when that is summed.
    """

    lengths: range
    edit: Edit
    rewrites: bool = False
    counts: bool = True


def constraints(options: GenerationConfig, prompt_length: int, hooks: Hooks = NO_HOOKS) -> list[Constraint]:
    """Those that `options`, which `check_options` has checked, and `hooks` ask for, in order."""
    forced_first, forced_last = options.forced_bos_token_id, options.forced_eos_token_id
    begin = prompt_length + (prompt_length == 1 and forced_first is not None)
    always, last = range(options.max_length), options.max_length - 1
    table = [
        *changes(options, always),
        (options.min_length > 0, Constraint(range(options.min_length), banning(options.eos_token_ids))),
        (hooks.allowed, Constraint(always, partial(keep_allowed, allowed=hooks.allowed), rewrites=True, counts=False)),
        (forced_first is not None, Constraint(only(1), partial(force, forced=[forced_first]), rewrites=True)),
        (forced_last is not None, Constraint(only(last), partial(force, forced=as_tuple(forced_last)), rewrites=True)),
        (options.remove_invalid_values, Constraint(always, remove_infinite, rewrites=True)),
        decay(options, prompt_length),
        (options.suppress_tokens, Constraint(always, banning(options.suppress_tokens))),
        (options.begin_suppress_tokens, Constraint(only(begin), banning(options.begin_suppress_tokens))),
        *((True, Constraint(always, partial(call, function=f), rewrites=True, counts=False)) for f in hooks.processors),
        (options.do_sample, Constraint(always, partial(warp, options=options), rewrites=True, counts=False)),
        (options.renormalize_logits, Constraint(always, renormalize, rewrites=True, counts=False)),
        (hooks.watch, Constraint(always, partial(show, watch=hooks.watch), rewrites=True, counts=False)),
    ]
    return [constraint for wanted, constraint in table if wanted]


def changes(options: GenerationConfig, always: range) -> list[tuple[bool, Constraint]]:
    """The first of them: what the tokens so far make likelier, less likely, or impossible."""
    penalise = partial(penalise_repetition, penalty=options.repetition_penalty)
    ban_ngrams = partial(ban_repeated_ngrams, size=options.no_repeat_ngram_size)
    words = [ids for ids in options.bad_words_ids or () if ids not in {(eos,) for eos in options.eos_token_ids}]
    add_bias = partial(add_sequence_bias, biases=options.sequence_bias)
    return [
        (bool(options.hotwords), Constraint(always, boost(options), rewrites=True)),
        (bool(options.sequence_bias), Constraint(always, add_bias, rewrites=True)),
        (options.repetition_penalty != 1, Constraint(always, penalise, rewrites=True)),
        (options.no_repeat_ngram_size > 0, Constraint(always, ban_ngrams)),
        (len(words) > 0, Constraint(always, partial(ban_words, words=words))),
    ]


def boost(options: GenerationConfig) -> Edit | None:
    """The bonus of the hotwords, if there are any."""
    return trie_of(options.hotwords).edit if options.hotwords else None


def decay(options: GenerationConfig, prompt_length: int) -> tuple[bool, Constraint | None]:
    """The exponential_decay_length_penalty, which begins some tokens after the prompt."""
    if options.exponential_decay_length_penalty is None:
        return False, None
    after, factor = options.exponential_decay_length_penalty
    first = after + prompt_length
    edit = partial(favour_end, ends=np.array(options.eos_token_ids, np.int64), first=first, factor=factor)
    return True, Constraint(range(first + 1, options.max_length), edit, rewrites=True)


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


def force(tokens: np.ndarray, scores: np.ndarray, forced: Sequence[int]) -> None:
    """One of these must come, and counts as certain: log-probability 0."""
    scores[:] = -np.inf
    scores[:, list(forced)] = 0


def ending_in(tokens: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """True for rows that end in these ids: (K,) bool. Every row ends in none."""
    if len(ids) > tokens.shape[1]:
        return np.zeros(len(tokens), bool)
    return (tokens[:, tokens.shape[1] - len(ids) :] == np.array(ids, np.int64)).all(axis=1)


def add_sequence_bias(tokens: np.ndarray, scores: np.ndarray, biases: Sequence[tuple[Sequence[int], float]]) -> None:
    """Add a number to the score of what would complete a sequence of ids."""
    bias = np.zeros_like(scores)
    for ids, value in dict(biases).items():
        bias[ending_in(tokens, ids[:-1]), ids[-1]] += np.float32(value)
    scores += bias


def ban_words(tokens: np.ndarray, scores: np.ndarray, words: Sequence[Sequence[int]]) -> None:
    """Ban what would complete one of these sequences of ids."""
    for ids in words:
        scores[ending_in(tokens, ids[:-1]), ids[-1]] = -np.inf


def keep_allowed(tokens: np.ndarray, scores: np.ndarray, allowed: Callable[[np.ndarray], Sequence[int]]) -> None:
    """Only the ids that `allowed` names for each row. Where no row has one left, they count as certain, as upstream."""
    kept = np.full_like(scores, -np.inf)
    for row, so_far in zip(kept, tokens, strict=True):
        ids = np.asarray(allowed(so_far), dtype=np.int64).ravel()
        if not len(ids) or ids.min() < 0 or ids.max() >= len(row):
            raise OptionError(f"prefix_allowed_tokens_fn returned {ids.tolist()!s:.60}, expected ids below {len(row)}")
        row[ids] = 0
    left = scores + kept
    scores[:] = kept if (left.max(axis=1) == -np.inf).all() else left


def remove_infinite(tokens: np.ndarray, scores: np.ndarray) -> None:
    """Infinite scores become the largest and the lowest float: a banned token is then the last choice, not none."""
    limits = np.finfo(scores.dtype)
    np.nan_to_num(scores, copy=False, nan=0.0, posinf=limits.max, neginf=limits.min)


def favour_end(tokens: np.ndarray, scores: np.ndarray, ends: np.ndarray, first: int, factor: float) -> None:
    """Raise the score of EOS by a share of itself that grows with every token after the first `first` ones."""
    old = scores[:, ends]
    with np.errstate(over="ignore", invalid="ignore"):
        raised = old + np.abs(old) * np.float32(np.float64(factor) ** (tokens.shape[1] - first) - 1)
    scores[:, ends] = np.where(np.isfinite(old), raised, old)


def call(tokens: np.ndarray, scores: np.ndarray, function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Let a function of the caller's answer with other scores. Raises OptionError for another shape."""
    found = np.asarray(function(tokens, scores))
    if found.shape != scores.shape:
        raise OptionError(f"logits_processor returned an array {found.shape}, expected scores {scores.shape}")
    scores[:] = found


def warp(tokens: np.ndarray, scores: np.ndarray, options: GenerationConfig) -> None:
    """Keep what sampling is to draw from."""
    scores[:] = narrow(scores, options)


def renormalize(tokens: np.ndarray, scores: np.ndarray) -> None:
    """Scores as log-probabilities of what is left; a row without anything stays as it is."""
    alive = scores.max(axis=1) > -np.inf
    scores[alive] = log_softmax(scores[alive])


def show(tokens: np.ndarray, scores: np.ndarray, watch: Callable[[np.ndarray, np.ndarray], None]) -> None:
    """Show the caller a copy."""
    watch(tokens, scores.copy())
