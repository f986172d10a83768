"""Paths drawn by chance: each next token with the probability that temperature, top-k and top-p leave it.

The three act on the constrained logits, in this order, each on what the one before left (Fan et al. 2018, arXiv
1805.04833, for top-k; Holtzman et al. 2019, arXiv 1904.09751, for top-p). A seed makes the draws repeatable; another
program draws differently from the same seed.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ..config import GenerationConfig
from ..ops import softmax
from .greedy import follow
from .port import Cache, Search


def sample(start: Callable[[int], Cache], options: GenerationConfig, prompt: Sequence[int]) -> Search:
    """`num_return_sequences` independent draws, best score first."""
    random = np.random.default_rng(options.seed)

    def choose(scores):
        return draw(narrow(scores, options), random)

    drawn = yield from follow(start, options, prompt, options.num_return_sequences, choose)
    return sorted(drawn, key=lambda hypothesis: -hypothesis.score)


def draw(scores: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One token a row with probability softmax(scores): (K, V) -> (K,).

    The Gumbel-max trick: adding independent Gumbel noise and taking the maximum is exactly such a draw, and -inf stays
    out of reach. (Gumbel 1954; see Maddison et al. 2014, arXiv 1411.0030, section 2.)
    """
    return np.argmax(scores + random.gumbel(size=scores.shape), axis=1)


def narrow(scores: np.ndarray, options: GenerationConfig) -> np.ndarray:
    """Scores (K, V) that temperature, top-k and top-p leave: -inf for tokens they drop."""
    if options.temperature != 1:
        scores = scores / options.temperature
    if options.top_k > 0:
        scores = keep_top_k(scores, options.top_k)
    if options.top_p < 1:
        scores = keep_top_p(scores, options.top_p)
    return scores


def keep_top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Only the k highest scores of each row, and what equals the k-th: (K, V) -> (K, V)."""
    k = min(k, scores.shape[1])
    lowest_kept = np.partition(scores, -k, axis=1)[:, -k, None]
    return np.where(scores < lowest_kept, -np.inf, scores)


def keep_top_p(scores: np.ndarray, p: float) -> np.ndarray:
    """The smallest set of most likely tokens with probability p or more, one at least: (K, V) -> (K, V).

    Counted from below: a token goes when it and all less likely ones together have at most 1 - p.
    """
    order = np.argsort(scores, axis=1, kind="stable")
    below = np.cumsum(softmax(np.take_along_axis(scores, order, axis=1)), axis=1, dtype=np.float64)
    drop = below.astype(np.float32) <= np.float32(1 - p)
    drop[:, -1] = False
    dropped = np.empty_like(drop)
    np.put_along_axis(dropped, order, drop, axis=1)
    return np.where(dropped, -np.inf, scores)
