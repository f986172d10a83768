"""The two sides of the search: what a decoder must offer (`Decoder`), and what comes out (`Hypothesis`).

Anything that provides the two functions of `Decoder` can be searched: the readable decoder, the compiled one, or a
table in a test. K beams, or K independent draws, are K rows of one cache. Shape letters: K rows, U tokens so far (start
token and prefix included), V vocabulary.

A search is a generator: it yields an `Ask` and is sent a `NextToken`, until it returns its hypotheses. So it does not
know whether it has the decoder to itself (`run`) or shares each step with other utterances (the room together/).
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from ..config import GenerationConfig
from ..errors import ModelError
from .options import check_vocabulary


class Cache(Protocol):
    """What a decoder keeps of the earlier tokens of K rows."""

    def reorder(self, parents: np.ndarray) -> None:
        """Let row k continue what was row parents[k], in place: (K,) ints."""


class Candidates(NamedTuple):
    """Ways to add a token to K rows, best first: B of them."""

    parents: np.ndarray  # (B,) int64, which row each one continues
    tokens: np.ndarray  # (B,) int64, what it adds
    log_probs: np.ndarray  # (B,) float32, of that token
    scores: np.ndarray  # (B,) float32, with what the row had before


@dataclass
class NextToken:
    """What a decoder's step returns: logits x of the token that comes next in K rows, and what normalises them.

    A log-probability is x - top - shift, in this order of operations: it decides ties. The search owns the logits from
    then on, and bans tokens by writing -inf over them; `top` and `shift` stay those of the decoder's own answer.
    """

    logits: np.ndarray  # (K, V) float32
    top: np.ndarray  # (K,) the maximum of each row
    shift: np.ndarray  # (K,) log sum exp(x - top); not finite where an x is NaN or +inf, or none is above -inf

    def log_probs(self) -> np.ndarray:
        """log softmax of the logits: (K, V)."""
        return self.logits - self.top[:, None] - self.shift[:, None]

    def log_probs_of(self, tokens: np.ndarray) -> np.ndarray:
        """The same for one token a row: (K,) -> (K,)."""
        return self.logits[np.arange(len(tokens)), tokens] - self.top - self.shift

    def best(self, added: np.ndarray, count: int) -> Candidates:
        """The `count` highest of log-probabilities + added (K,); of equals the lower row, then the lower token."""
        log_probs = self.log_probs()
        return ranked(log_probs, log_probs + added[:, None], count)


def next_token(logits: np.ndarray) -> NextToken:
    """Logits (K, V) with what normalises them; in float32, as upstream, whatever the model computes in."""
    logits = logits.astype(np.float32, copy=False)
    top = logits.max(axis=1)
    with np.errstate(invalid="ignore"):
        return NextToken(logits, top, np.log(np.exp(logits - top[:, None]).sum(axis=1)))


GROUP_SIZE = 64  # scores a group in `ranked`; with 50,000 scores anything from 32 to 256 takes about the same time


def ranked(log_probs: np.ndarray, scores: np.ndarray, count: int) -> Candidates:
    """The `count` highest scores (K, V), with the log_probs (K, V) at the same places.

    Deal the scores out to groups. The `count`-th highest of the groups' maxima has `count` scores at or above it, so
    nothing below it can be among the best, and what is left to sort is a handful. (np.argpartition took three times as
    long, and leaves the order of equals to chance.)
    """
    flat = scores.ravel()
    groups = len(flat) // GROUP_SIZE
    maxima = flat[: groups * GROUP_SIZE].reshape(GROUP_SIZE, groups).max(axis=0)
    lowest = np.partition(maxima, -count)[-count] if groups >= count else -np.inf
    hopeful = np.flatnonzero(flat >= lowest)
    places = hopeful[np.argsort(-flat[hopeful], kind="stable")[:count]]
    parents, tokens = np.divmod(places, scores.shape[1])
    return Candidates(parents, tokens, log_probs[parents, tokens], flat[places])


class Decoder(NamedTuple):
    """The port: the two functions that a decoder must offer."""

    start: Callable[[int], Cache]  # a fresh cache for K rows
    step: Callable[[np.ndarray, Cache], NextToken]  # append tokens (K,) to the cache in place


class Ask(NamedTuple):
    """What a search yields: "append these tokens to this cache, and send me what comes next"."""

    tokens: np.ndarray  # (K,) ints
    cache: Cache


@dataclass(frozen=True)
class Hypothesis:
    """A transcript as ids, and its probability by the model. All logarithms are natural.

    `score` is the sum of what counts for each generated token, divided by their number (EOS included) to the power
    `length_penalty`. What counts is what the constraints left of the log-probability, in every kind of search, as in
    upstream's `sequences_scores`: 0 for a forced token, a changed value under `repetition_penalty`. Temperature, top-k
    and top-p change what is drawn and not what counts.
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


R = TypeVar("R")
Asking = Generator[Ask, NextToken, R]  # yields Asks, is sent NextTokens, returns an R in the end
Search = Asking[list[Hypothesis]]


def run(search: Asking[R], step: Callable[[np.ndarray, Cache], NextToken]) -> R:
    """Answer whatever a search asks by a step of the decoder, until it returns: its result."""
    try:
        ask = next(search)
        while True:
            ask = search.send(step(*ask))
    except StopIteration as end:
        return end.value


def feed_prompt(
    start: Callable[[int], Cache], options: GenerationConfig, prompt: Sequence[int], rows: int
) -> Asking[tuple[Cache, NextToken]]:
    """Give start token and prefix to a fresh cache of K rows: the cache, and what the decoder says comes next.

    The size V of the vocabulary is first known here, so ids are held to it here. Raises OptionError for one outside.
    """
    cache = start(rows)
    following = yield from advance(np.full(rows, prompt[0]), cache)
    check_vocabulary(options, prompt, following.logits.shape[1])
    for token in prompt[1:]:
        following = yield from advance(np.full(rows, token), cache)
    return cache, following


def advance(tokens: np.ndarray, cache: Cache) -> Asking[NextToken]:
    """Ask for one step with tokens (K,). Raises ModelError for NaN or infinite logits: they make `shift` infinite."""
    following = yield Ask(tokens, cache)
    if not all(map(math.isfinite, following.shift.tolist())):
        raise ModelError("the decoder returned logits that are not finite; check the features, then the weights")
    return following


def append_column(rows: np.ndarray, column: np.ndarray) -> np.ndarray:
    """(K, U) and (K,) -> (K, U + 1)."""
    return np.concatenate((rows, column[:, None]), axis=1)
