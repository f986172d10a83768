"""Several decoders as one: at each step the mean of the probabilities that they give to every token.

As fairseq's EnsembleModel does it: log((p_1 + ... + p_n) / n), computed from log-probabilities in float32. Each decoder
keeps a cache of its own, over its own memory of the same sound, and all caches follow the same beams.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .port import Ask, Cache, Decoder, NextToken


class EnsembleCache(NamedTuple):
    """A cache for each decoder."""

    members: tuple[Cache, ...]

    def reorder(self, parents: np.ndarray) -> None:
        """Let row k continue what was row parents[k], in every cache: (K,) ints."""
        for cache in self.members:
            cache.reorder(parents)


def mean_probabilities(answers: Sequence[NextToken]) -> NextToken:
    """What several decoders say comes next, as one answer: its logits (K, V) are the logarithms of the mean.

    They are normalised already. `shift` is 0, or not finite where one of theirs is not.
    """
    log_probs = np.stack([answer.log_probs() for answer in answers])
    highest = log_probs.max(axis=0)
    logits = highest + np.log(np.exp(log_probs - highest).sum(axis=0)) - np.float32(math.log(len(answers)))
    shift = np.float32(0) * np.sum([answer.shift for answer in answers], axis=0)
    return NextToken(logits, np.zeros_like(shift), shift)


def ensemble(decoders: Sequence[Decoder]) -> Decoder:
    """The decoder that averages the probabilities of these."""

    def start(rows: int) -> EnsembleCache:
        return EnsembleCache(tuple(decoder.start(rows) for decoder in decoders))

    def step(tokens: np.ndarray, cache: EnsembleCache) -> NextToken:
        return mean_probabilities(
            [decoder.step(tokens, own) for decoder, own in zip(decoders, cache.members, strict=True)]
        )

    return Decoder(start, step)


def member_asks(asks: Sequence[Ask], member: int) -> list[Ask]:
    """What several utterances ask one decoder of an ensemble."""
    return [Ask(tokens, cache.members[member]) for tokens, cache in asks]
