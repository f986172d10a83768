"""The two sides of the search: what a decoder must offer (`Decoder`), and what comes out (`Hypothesis`).

Whatever fills in the two functions of the port can be searched: the readable decoder, the compiled one, or a table in a
test. K beams, or K independent draws, are K rows of one cache. Shape letters: K rows, U tokens so far (start token and
prefix included), V vocabulary.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ..config import GenerationConfig
from ..errors import ModelError
from ..ops import log_softmax
from .options import check_vocabulary


class Cache(Protocol):
    """What earlier tokens left behind, for K rows."""

    def reorder(self, parents: np.ndarray) -> None:
        """Let row k continue what was row parents[k], in place: (K,) ints."""


GROUP_SIZE = 64  # scores a group in `best`; with 50,000 scores anything from 32 to 256 takes about the same time


def best(scores: np.ndarray, added: np.ndarray, count: int) -> np.ndarray:
    """Where the `count` highest of scores (K, V) + added (K,) lie, highest first, equal ones in their order: (count,).

    They are counted row by row: k V + v. Deal the scores out to groups. The `count`-th highest of the groups' maxima
    has `count` scores at or above it, so nothing below it can be among the best, and what is left to sort is a handful.
    (np.argpartition took three times as long, and leaves the order of equals to chance.)
    """
    scores = (scores + added[:, None]).ravel()
    groups = len(scores) // GROUP_SIZE
    maxima = scores[: groups * GROUP_SIZE].reshape(GROUP_SIZE, groups).max(axis=0)
    lowest = np.partition(maxima, -count)[-count] if groups >= count else -np.inf
    hopeful = np.flatnonzero(scores >= lowest)
    return hopeful[np.argsort(-scores[hopeful], kind="stable")[:count]]


class Decoder(NamedTuple):
    """The port: two functions that a decoder must offer, and two of arithmetic over V that it may offer faster."""

    start: Callable[[int], Cache]  # a fresh cache for K rows
    step: Callable[[np.ndarray, Cache], np.ndarray]  # append tokens (K,) to the cache in place, return logits (K, V)
    log_softmax: Callable[[np.ndarray], np.ndarray] = log_softmax  # as ops.log_softmax
    best: Callable[[np.ndarray, np.ndarray, int], np.ndarray] = best


@dataclass(frozen=True)
class Hypothesis:
    """One transcript as ids, and how likely the model holds it. All logarithms are natural.

    `score` is what the search ranks by: the sum of what it counted for each generated token, divided by their number
    (EOS included) to the power `length_penalty`. Beam search counts what the constraints left of the log-probability,
    as upstream's `sequences_scores` does: 0 for a forced token, a changed value under `repetition_penalty`. Where
    neither acts, and always in greedy search and sampling, `score` is log_prob / count ** length_penalty.
    """

    tokens: tuple[int, ...]  # start token, prefix, generated tokens, EOS if it was generated; no padding
    token_log_probs: tuple[float, ...]  # for each generated token, log P(token | sound, tokens before), unconstrained
    score: float
    finished: bool  # ended by EOS; otherwise cut off at max_length

    @property
    def log_prob(self) -> float:
        """The log-probability that the model, left to itself, gives the generated tokens after the prompt."""
        return math.fsum(self.token_log_probs)

    @property
    def generated(self) -> tuple[int, ...]:
        """The tokens after start token and prefix."""
        return self.tokens[len(self.tokens) - len(self.token_log_probs) :]


def feed_prompt(
    decoder: Decoder, options: GenerationConfig, prompt: Sequence[int], rows: int
) -> tuple[Cache, np.ndarray]:
    """Give start token and prefix to a fresh cache of K rows: the cache, and logits (K, V) for what comes next.

    How large V is shows only here, so ids are held to it here: OptionError for one outside.
    """
    cache = decoder.start(rows)
    logits = decoder.step(np.full(rows, prompt[0]), cache)
    check_vocabulary(options, prompt, logits.shape[1])
    for token in prompt[1:]:
        logits = decoder.step(np.full(rows, token), cache)
    return cache, logits


def log_probabilities(decoder: Decoder, logits: np.ndarray) -> np.ndarray:
    """Logits (K, V) -> log-probabilities (K, V), in float32 as upstream whatever the model computes in.

    Raises ModelError for NaN or infinite logits: they make their whole row NaN, so looking at one column will do.
    """
    with np.errstate(invalid="ignore"):
        log_probs = decoder.log_softmax(logits.astype(np.float32, copy=False))
    if np.isnan(log_probs[:, 0]).any():
        raise ModelError("the decoder returned logits that are not finite; check the features, then the weights")
    return log_probs
