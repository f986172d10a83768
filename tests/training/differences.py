"""Central differences: the derivative by trying, against which the derivatives by hand are held."""

import numpy as np

# Five points: the error of the difference is of the fourth order in the step, and the roundings stay small.
STEPS = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}


def directional(f, x: np.ndarray, direction: np.ndarray, step: float = 1e-3) -> float:
    """How fast f() changes while x, which is changed in place and put back, moves along a direction."""
    original, total = x.copy(), 0.0
    for count, weight in STEPS.items():
        x[...] = original + count * step * direction
        total += weight * f()
    x[...] = original
    return total / step


def worst(f, pairs, floor: float = 1e-3, step: float = 1e-3) -> float:
    """The greatest relative error of gradients: `pairs` of an array that f() depends on and its claimed gradient.

    Along random directions, and along single numbers. Derivatives below `floor` are held to it absolutely. A small
    `step` stays clear of the corners of ReLUs.
    """
    rng, errors = np.random.default_rng(0), [0.0]
    for x, gradient in pairs:
        assert gradient.shape == x.shape and gradient.dtype == x.dtype
        directions = [rng.standard_normal(x.shape)]
        for place in rng.integers(0, x.size, 3):
            directions.append(np.zeros(x.shape))
            directions[-1].reshape(-1)[place] = 1
        for direction in directions:
            direction /= np.sqrt((direction**2).sum())
            tried, claimed = directional(f, x, direction, step), float((gradient * direction).sum())
            errors.append(abs(tried - claimed) / max(abs(tried), abs(claimed), floor))
    return max(errors)
