"""Greedy search: at every position the best token, until the text ends.

`follow` walks K rows side by side that know nothing of each other, each choosing its own next token. Greedy search is
one such row that chooses the highest score; sampling (sampling.py) is several that draw.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..config import GenerationConfig
from .constraints import Constraint, constrain, constraints, rewrite
from .hooks import NO_HOOKS, Hooks
from .options import no_token_left
from .port import Cache, Hypothesis, NextToken, Search, advance, append_column, feed_prompt
from .stopping import ended_rows, stops

Choose = Callable[[np.ndarray], np.ndarray]  # scores (K, V), -inf where banned -> tokens (K,)


def greedy_search(
    start: Callable[[int], Cache], options: GenerationConfig, prompt: Sequence[int], hooks: Hooks = NO_HOOKS
) -> Search:
    """The path of best tokens, alone in a list; of equal tokens the one with the lowest id."""
    return follow(start, options, prompt, hooks, 1, lambda scores: scores.argmax(axis=1))


def follow(
    start: Callable[[int], Cache],
    options: GenerationConfig,
    prompt: Sequence[int],
    hooks: Hooks,
    rows: int,
    choose: Choose,
) -> Search:
    """K independent rows, each choosing among its constrained logits: one Hypothesis a row."""
    active, others = constraints(options, len(prompt), hooks), stops(options, hooks)
    cache, following = yield from feed_prompt(start, options, prompt, rows)
    tokens, log_probs = np.tile(prompt, (rows, 1)), np.empty((rows, 0), np.float32)
    counted, lengths, open_rows = log_probs, np.zeros(rows, int), np.ones(rows, bool)
    while True:
        scores = constrain(active, tokens, following.logits)
        if (scores.max(axis=1)[open_rows] == -np.inf).any():
            raise no_token_left(tokens.shape[1])
        chosen = np.full(rows, options.pad_token_id)
        chosen[open_rows] = choose(scores[open_rows])
        log_probs = append_column(log_probs, following.log_probs_of(chosen))
        counted = append_column(counted, counts(following, tokens, chosen, active))
        tokens = append_column(tokens, chosen)
        lengths[open_rows] += 1
        open_rows &= ~ended_rows(tokens, options, others)
        if not open_rows.any():
            found = zip(tokens, log_probs, counted, lengths, strict=True)
            return [as_hypothesis(*row, options) for row in found]
        following = yield from advance(chosen, cache)


def counts(following: NextToken, tokens: np.ndarray, chosen: np.ndarray, active: Sequence[Constraint]) -> np.ndarray:
    """What the chosen tokens (K,) add to the scores of rows (K, U): what beam search would count for them, (K,).

    What nothing but a function of the caller's made possible counts as certain.
    """
    if not rewrite(active, tokens.shape[1]):
        return following.log_probs_of(chosen)
    counting = [constraint for constraint in active if constraint.counts]
    found = constrain(counting, tokens, following.log_probs())[np.arange(len(chosen)), chosen]
    return np.where(found == -np.inf, 0, found)


def as_hypothesis(
    tokens: np.ndarray, log_probs: np.ndarray, counted: np.ndarray, count: int, options: GenerationConfig
) -> Hypothesis:
    """A row of tokens (U,), cut off after the `count` that it generated, scored by what counted; both (G,)."""
    kept = tuple(tokens[: len(tokens) - len(log_probs) + count].tolist())
    score = math.fsum(counted[:count].tolist()) / float(count) ** options.length_penalty
    return Hypothesis(kept, tuple(log_probs[:count].tolist()), score, kept[-1] in options.eos_token_ids)
