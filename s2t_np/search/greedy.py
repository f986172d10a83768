"""Greedy search: at every position the best token, until EOS or max_length.

`follow` walks K rows side by side that know nothing of each other, each choosing its own next token. Greedy search is
one such row that chooses the highest score; sampling (sampling.py) is several that draw.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..config import GenerationConfig
from .constraints import Constraint, constrain, constraints, rewrite
from .options import no_token_left
from .port import Cache, Hypothesis, NextToken, Search, advance, append_column, feed_prompt

Choose = Callable[[np.ndarray], np.ndarray]  # scores (K, V), -inf where banned -> tokens (K,)


def greedy_search(start: Callable[[int], Cache], options: GenerationConfig, prompt: Sequence[int]) -> Search:
    """The path of best tokens, alone in a list; of equal tokens the one with the lowest id."""
    return follow(start, options, prompt, 1, lambda scores: scores.argmax(axis=1))


def follow(
    start: Callable[[int], Cache], options: GenerationConfig, prompt: Sequence[int], rows: int, choose: Choose
) -> Search:
    """K independent rows, each choosing among its constrained logits: one Hypothesis a row."""
    active = constraints(options, len(prompt))
    cache, following = yield from feed_prompt(start, options, prompt, rows)
    tokens, log_probs = np.tile(prompt, (rows, 1)), np.empty((rows, 0), np.float32)
    counted = log_probs
    open_rows = np.ones(rows, bool)
    while True:
        scores = constrain(active, tokens, following.logits)
        if (scores.max(axis=1)[open_rows] == -np.inf).any():
            raise no_token_left(tokens.shape[1])
        chosen = np.full(rows, options.pad_token_id)
        chosen[open_rows] = choose(scores[open_rows])
        log_probs = append_column(log_probs, following.log_probs_of(chosen))
        counted = append_column(counted, counts(following, tokens, chosen, active))
        tokens = append_column(tokens, chosen)
        open_rows &= chosen != options.eos_token_id
        if not open_rows.any() or tokens.shape[1] == options.max_length:
            found = zip(tokens, log_probs, counted, strict=True)
            return [as_hypothesis(*row, len(prompt), options) for row in found]
        following = yield from advance(chosen, cache)


def counts(following: NextToken, tokens: np.ndarray, chosen: np.ndarray, active: Sequence[Constraint]) -> np.ndarray:
    """What the chosen tokens (K,) add to the scores of rows (K, U): what beam search would count for them, (K,)."""
    if not rewrite(active, tokens.shape[1]):
        return following.log_probs_of(chosen)
    return constrain(active, tokens, following.log_probs())[np.arange(len(chosen)), chosen]


def as_hypothesis(
    tokens: np.ndarray, log_probs: np.ndarray, counted: np.ndarray, prompt_length: int, options: GenerationConfig
) -> Hypothesis:
    """Cut a row of tokens (U,) off after its EOS and score it by what counted: both (U - prompt_length,)."""
    ends = np.flatnonzero(tokens[prompt_length:] == options.eos_token_id)
    count = ends[0] + 1 if len(ends) else len(log_probs)
    kept = tuple(log_probs[:count].tolist())
    score = math.fsum(counted[:count].tolist()) / float(count) ** options.length_penalty
    return Hypothesis(tuple(tokens[: prompt_length + count].tolist()), kept, score, len(ends) > 0)
