"""Texts drawn by chance: each next token with the probability that the warpers (warpers.py) leave it.

Single paths draw one token a row. Beams draw their continuations: as many different ones as a beam search keeps, each
with its probability among those still there. A seed makes the draws repeatable; another program draws differently from
the same seed.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ..config import GenerationConfig
from .beam import beam_search
from .greedy import follow
from .hooks import NO_HOOKS, Hooks
from .port import Cache, Candidates, Search


def sample(
    start: Callable[[int], Cache], options: GenerationConfig, prompt: Sequence[int], hooks: Hooks = NO_HOOKS
) -> Search:
    """`num_return_sequences` independent draws, best score first; with beams the best ones that the beams draw."""
    random = np.random.default_rng(options.seed)
    if options.num_beams > 1:
        return (yield from beam_search(start, options, prompt, hooks, partial(draw_different, random=random)))
    choose = partial(draw, random=random)
    drawn = yield from follow(start, options, prompt, hooks, options.num_return_sequences, choose)
    return sorted(drawn, key=lambda hypothesis: -hypothesis.score)


def draw(scores: np.ndarray, random: "np.random.Generator") -> np.ndarray:
    """One token a row with probability softmax(scores): (K, V) -> (K,).

    The Gumbel-max trick: adding independent Gumbel noise and taking the maximum is exactly such a draw, and -inf stays
    out of reach. (Gumbel 1954; see Maddison et al. 2014, arXiv 1411.0030, section 2.)
    """
    return np.argmax(scores + random.gumbel(size=scores.shape), axis=1)


def draw_different(log_probs: np.ndarray, scores: np.ndarray, count: int, random: "np.random.Generator") -> Candidates:
    """`count` different ways to go on, drawn one after the other with probability softmax of what is left, best first.

    The `count` highest after adding Gumbel noise are exactly such a draw without replacement (Kool et al. 2019, arXiv
    1903.06059, section 2.3). log_probs and scores (K, V).
    """
    noisy = (scores + random.gumbel(size=scores.shape)).ravel()
    count = min(count, len(noisy))
    places = np.argpartition(-noisy, count - 1)[:count]
    places = places[np.argsort(-scores.ravel()[places], kind="stable")]
    parents, tokens = np.divmod(places, scores.shape[1])
    return Candidates(parents, tokens, log_probs[parents, tokens], scores[parents, tokens])
