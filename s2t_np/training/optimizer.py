"""Adam, the learning rate, and the limit on the gradient's length.

Adam (Kingma and Ba 2015) keeps for every weight a running mean of its gradient and of the gradient's square; a step is
their quotient, so that weights with small gradients move as far as those with large ones. The rate rises linearly while
these means are still poor, then falls: with the square root of the updates (Vaswani et al. 2017, section 5.3), or
linearly to zero at an end that is known.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .derivatives.parameters import Parameters

BETA_1, BETA_2, EPSILON = 0.9, 0.98, 1e-8
BLOCK = 1 << 15  # numbers worked on at a time: all five arrays of a block stay in the cache


def inverse_square_root(update: int, peak: float, warmup: int) -> float:
    """The learning rate of update 1, 2, 3, ...: a line up to `peak` at `warmup`, then peak sqrt(warmup / update)."""
    warmup = max(1, warmup)
    return peak * min(update / warmup, math.sqrt(warmup / update))


def polynomial_decay(update: int, peak: float, warmup: int, last: int) -> float:
    """The learning rate of update 1, 2, 3, ...: a line up to `peak` at `warmup`, and a line down to zero after `last`.

    It is fairseq's schedule of this name with its default power of 1, one update later so that the last one counts.
    """
    return peak * min(update / max(1, warmup), max(0, last + 1 - update) / max(1, last + 1 - warmup))


def squared_length(arrays: Iterable[np.ndarray]) -> float:
    """The sum of all squares."""
    return sum(float(np.dot(a.reshape(-1), a.reshape(-1))) for a in arrays)


def clip(gradients: Parameters, longest: float) -> float:
    """Shorten the gradient in place to `longest` if it is longer, all its arrays alike; returns what its length was.

    `longest` 0 leaves it as it is.
    """
    length = math.sqrt(squared_length(gradients.values()))
    factor = longest / (length + 1e-6) if longest else 1.0
    if factor < 1:
        for gradient in gradients.values():
            gradient *= gradient.dtype.type(factor)
    return length


def adam_step(w, gradient, mean, square, rate: float, count: int) -> None:
    """One step of Adam in place, the `count`-th, on four arrays (N,) of one type.

    mean and square start at zero and would be too small in the first steps: both are divided by what is missing.
    """
    mean += (1 - BETA_1) * (gradient - mean)
    square *= BETA_2
    square += (1 - BETA_2) * np.square(gradient)
    deviation = np.sqrt(square)
    deviation *= 1 / math.sqrt(1 - BETA_2**count)
    deviation += EPSILON
    np.divide(mean, deviation, out=deviation)
    deviation *= rate / (1 - BETA_1**count)
    w -= deviation


@dataclass
class Adam:
    """The running means of every weight, by name, and how many steps were taken."""

    means: Parameters = field(default_factory=dict)
    squares: Parameters = field(default_factory=dict)
    count: int = 0

    @classmethod
    def start(cls, parameters: Parameters, names: Iterable[str]) -> "Adam":
        """With means of zero for these of the parameters, the ones to be trained."""
        names = list(names)
        zeros = [{name: np.zeros_like(parameters[name]) for name in names} for _ in range(2)]
        return cls(*zeros)

    def step(self, parameters: Parameters, gradients: Parameters, rate: float) -> None:
        """Move, in place, all parameters that this optimizer knows against their gradients."""
        self.count += 1
        for name, mean in self.means.items():
            arrays = parameters[name], gradients[name], mean, self.squares[name]
            flat = [np.ascontiguousarray(a).reshape(-1) for a in arrays]
            for start in range(0, mean.size, BLOCK):
                adam_step(*(a[start : start + BLOCK] for a in flat), rate, self.count)
