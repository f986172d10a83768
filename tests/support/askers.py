"""Utterances for the scheduler that need no model: each asks a number of times, and checks every answer."""

import numpy as np


def asker(name, count: int, log: list | None = None):
    """Asks (name, 0), (name, 1), ...; expects each one back, reversed; returns what it was given."""
    given = []
    for i in range(count):
        if log is not None:
            log.append((name, i))
        answer = yield (name, i)
        assert answer == (i, name), answer
        given.append(answer)
    return name, len(given)


def failing(name, count: int, error: Exception):
    """Asks as often, then raises."""
    yield from asker(name, count)
    raise error


class Step:
    """A step that answers askers, and remembers how many asked each time."""

    def __init__(self):
        self.widths: list[int] = []

    def __call__(self, asks):
        self.widths.append(len(asks))
        return [(i, name) for name, i in asks]


def lengths(seed: int, count: int) -> list[int]:
    """Numbers of steps, some of them zero."""
    return np.random.default_rng(seed).integers(0, 9, count).tolist()
