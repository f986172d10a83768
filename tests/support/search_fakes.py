"""Decoders without a model, and a slow beam search, for the tests of the search room. Imports neither package.

A fake decoder is a function from the tokens so far to logits; its cache is the list of each row's tokens, so a search
that reorders wrongly is answered for the wrong tokens. The logits of a step are the search's to write into.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

LogitsOf = Callable[[tuple[int, ...]], np.ndarray]


@dataclass
class FakeCache:
    """The rows' tokens so far."""

    rows: list[tuple[int, ...]]

    def reorder(self, parents):
        assert parents.shape == (len(self.rows),)
        self.rows = [self.rows[p] for p in parents]


@dataclass
class FakeDecoder:
    """A decoder over `logits_of`; counts its steps. Has the two fields of the port that a decoder must offer."""

    logits_of: LogitsOf
    steps: int = field(default=0)

    def start(self, rows):
        return FakeCache([()] * rows)

    def step(self, tokens, cache):
        assert tokens.shape == (len(cache.rows),)
        self.steps += 1
        cache.rows = [(*row, int(token)) for row, token in zip(cache.rows, tokens, strict=True)]
        return np.stack([self.logits_of(row) for row in cache.rows])


def random_logits(seed: int, size: int, eos: int = 2, eos_bonus: float = 0.0, spread: float = 2.0) -> LogitsOf:
    """Normal logits (V,), a function of the tokens so far and of the seed."""
    known: dict[tuple[int, ...], np.ndarray] = {}

    def logits_of(tokens):
        if tokens not in known:
            known[tokens] = np.random.default_rng([seed, *tokens]).normal(0, spread, size).astype(np.float32)
            known[tokens][eos] += eos_bonus
        return known[tokens]

    return logits_of


def table_logits(table: dict[tuple[int, ...], dict[int, float]], size: int) -> LogitsOf:
    """Logits from written-down probabilities: tokens so far -> {next token: probability}; elsewhere EOS, 2, is sure."""

    def logits_of(tokens):
        logits = np.full(size, -np.inf, np.float32)
        for token, probability in table.get(tokens, {2: 1.0}).items():
            logits[token] = math.log(probability)
        return logits

    return logits_of


def log_probs_of(logits: np.ndarray) -> np.ndarray:
    """log softmax in float64: (V,)."""
    logits = np.asarray(logits, np.float64)
    return logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())


def transcript_log_probs(logits_of: LogitsOf, tokens, prompt_length: int) -> list[float]:
    """What the decoder gives each token after the prompt, asked one position at a time."""
    return [log_probs_of(logits_of(tuple(tokens[:u])))[tokens[u]] for u in range(prompt_length, len(tokens))]


def slow_beam_search(
    logits_of: LogitsOf, prompt, beams: int, max_length: int, early_stopping, length_penalty: float, eos: int = 2
) -> list[tuple[tuple[int, ...], float]]:
    """Beam search in lists and float64: the best (tokens, score), best first."""
    running, finished = [(0.0, tuple(prompt))], []
    while running:
        everything = [
            (total + log_prob, (*tokens, token))
            for total, tokens in running
            for token, log_prob in enumerate(log_probs_of(logits_of(tokens)))
        ]
        top = sorted(everything, key=lambda pair: -pair[0])[: 2 * beams]
        count = len(top[0][1]) - len(prompt)
        ended = [tokens[-1] == eos or len(tokens) == max_length for _, tokens in top]
        finished += [
            (s / count**length_penalty, t) for (s, t), end in list(zip(top, ended, strict=True))[:beams] if end
        ]
        finished = sorted(finished, key=lambda pair: -pair[0])[:beams]
        running = [pair for pair, end in zip(top, ended, strict=True) if not end][:beams]
        if running and len(finished) == beams:
            if early_stopping is True:
                break
            far = max_length - len(prompt) if early_stopping == "never" and length_penalty > 0 else count
            if running[0][0] / far**length_penalty <= finished[-1][0]:
                break
    return [(tokens, score) for score, tokens in finished]


def every_transcript(logits_of: LogitsOf, prompt, max_length: int, length_penalty: float, eos: int = 2):
    """All transcripts there are with their scores, by brute force: [(tokens, score)], best first."""
    done, growing = [], [(0.0, tuple(prompt))]
    while growing:
        total, tokens = growing.pop()
        for token, log_prob in enumerate(log_probs_of(logits_of(tokens))):
            longer, score = (*tokens, token), total + log_prob
            if token == eos or len(longer) == max_length:
                done.append((longer, score / (len(longer) - len(prompt)) ** length_penalty))
            else:
                growing.append((score, longer))
    return sorted(done, key=lambda pair: -pair[1])
