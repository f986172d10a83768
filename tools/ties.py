"""Why two correct programs may choose different tokens: a near tie, and how to tell it from a fault.

A search compares sums of float32 logarithms. Where two of them agree to six digits, rounding decides, and programs
round differently. So a difference is explained only if nudging our own logits, by no more than rounding could, makes
our own search return exactly what upstream returned. The nudges favour upstream's choices: at a place where upstream's
best row went on with token t, the logit of t goes up; by less for lower rows, so that their order is kept too. A search
that is at fault would need more than such a nudge. The float64 margin says how near the tie was.
"""

from typing import NamedTuple

import numpy as np

from s2t_np import search
from s2t_np.model import S2T
from s2t_np.ops import log_softmax

NUDGES = 1e-7, 1e-6, 1e-5  # times the largest logit; float32 logits are off by up to half of the last on either side
# Trials of each: the first nudges upstream's tokens only, the others all logits at random as well. Where many rows are
# level, as in speech of words that a model does not know, one in ten hits all of upstream's order.
TRIALS = 50


class Task(NamedTuple):
    """One search: what is heard, and how to search."""

    features: np.ndarray  # (T, M)
    options: dict
    prefix: tuple[int, ...] = ()
    padded_length: int | None = None

    def hypotheses(self, model: S2T) -> list[search.Hypothesis]:
        """Ours, best first."""
        return model.generate(self.features, prefix=self.prefix, padded_length=self.padded_length, **self.options)

    def solve(self, model: S2T) -> list[tuple[int, ...]]:
        """The tokens of ours."""
        return [h.tokens for h in self.hypotheses(model)]


class Followed:
    """A cache that remembers what each beam has said."""

    def __init__(self, cache, beams: int):
        self.cache, self.said = cache, [()] * beams

    def reorder(self, parents: np.ndarray) -> None:
        """As the cache does, for the memory as well."""
        self.cache.reorder(parents)
        self.said = [self.said[parent] for parent in parents]

    def append(self, tokens: np.ndarray) -> None:
        self.said = [(*said, int(token)) for said, token in zip(self.said, tokens, strict=True)]


def favour(said: tuple[int, ...], rows: list[tuple[int, ...]], size: int) -> np.ndarray:
    """How much to raise each of `size` tokens after what was said: 1 where the best row goes on so, less for others."""
    lift = np.zeros(size)
    for rank, row in reversed(list(enumerate(rows))):
        if len(said) < len(row) and row[: len(said)] == said:
            lift[row[len(said)]] = 1 - rank / len(rows)
    return lift


def nudged(model: S2T, task: Task, rows: list[tuple[int, ...]], nudge: float, trial: int) -> list[tuple[int, ...]]:
    """What our search returns when no logit is moved by more than `nudge` times the largest, in favour of `rows`."""
    random, noise = np.random.default_rng(trial), 0.5 * (trial > 0)
    port = model.decoder(model.encode(task.features, task.padded_length))

    def nudged_step(tokens, followed):
        logits = port.step(tokens, followed.cache).logits
        followed.append(tokens)
        lift = np.array([favour(said, rows, logits.shape[1]) for said in followed.said])
        lift = (1 - noise) * lift + noise * random.uniform(-1, 1, logits.shape)
        return search.next_token(logits + nudge * np.abs(logits).max() * lift)

    decoder = search.Decoder(lambda beams: Followed(port.start(beams), beams), nudged_step)
    options = model.generation_config.replace(**task.options)
    return [h.tokens for h in search.generate(decoder, options, task.prefix)]


def margin(reference: S2T, task: Task, ours, theirs) -> str:
    """How far apart the float64 model holds the tokens where the first two rows that differ part."""
    row = next(i for i, other in enumerate(theirs) if ours[i : i + 1] != [other])
    pairs = list(zip(*ours[row : row + 1], theirs[row], strict=False))
    common = next((u for u, (a, b) in enumerate(pairs) if a != b), None)
    if common is None:
        return f"row {row} ends elsewhere"
    memory = reference.encode(task.features, task.padded_length)
    log_probs = log_softmax(reference.logits(memory, theirs[row][:common])[-1])
    gap = abs(log_probs[pairs[common][0]] - log_probs[pairs[common][1]])
    where = "" if gap < 1e-3 else ": the tie was between rows that went on differently"
    return f"row {row} parts at token {common}, float64 log-probabilities {gap:.1e} apart{where}"


def explain(model: S2T, reference: S2T, task: Task, ours, theirs) -> str | None:
    """Why ours and theirs, lists of token rows, differ, or None where no near tie explains it.

    `reference` is the model in float64. The smallest nudge that will do is reported.
    """
    for nudge in NUDGES:
        for trial in range(TRIALS):
            if nudged(model, task, theirs, nudge, trial) == theirs:
                found = f"near tie, logits nudged by {nudge:g} of the largest give upstream's rows"
                return f"{found}; {margin(reference, task, ours, theirs)}; {task.options} {task.prefix}"
    return None
