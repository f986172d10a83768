"""Compare two arrays: their distance, and whether one is the other in disguise.

These are the disguises that need no knowledge of the model: another order or number of axes, a factor, an offset, moved
rows or columns, less precision. Mistakes that only a speech model can make are in the folder `mistakes`.
"""

import itertools
from collections.abc import Iterator

import numpy as np


def difference(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """found - expected in float64, 0 where both are the same infinity or NaN, inf where only one is: the same shape."""
    with np.errstate(invalid="ignore", over="ignore"):
        out = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return np.where(same, 0.0, np.where(np.isnan(out), np.inf, out))


def rms_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference; inf where one is finite and the other not, or there is nothing."""
    if found.shape != expected.shape or not found.size:
        return np.inf
    error = difference(found, expected)
    largest = error.max()
    return float(largest) if largest in (0, np.inf) else float(largest * np.sqrt(np.mean(np.square(error / largest))))


def layouts(found: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Views of `found` in another shape, each with its name: unchanged, without axes of 1, transposed, flat."""
    if found.shape == shape:
        yield "", found
        return
    squeezed = found.squeeze()
    if squeezed.shape == tuple(n for n in shape if n != 1):
        yield extra_axis(found.shape, shape), squeezed.reshape(shape)
    if squeezed.ndim == len(shape):
        also = extra_axis(found.shape, shape) + ", " if found.ndim > squeezed.ndim else ""
        for axes in itertools.permutations(range(len(shape))):
            if squeezed.transpose(axes).shape == shape and axes != tuple(range(len(shape))):
                yield f"{also}transposed", squeezed.transpose(axes)
    elif found.size == np.prod(shape):
        yield "flattened or split into other axes", found.reshape(shape)


def extra_axis(found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """The name of an axis of length 1 that should not be there, or is missing."""
    if len(found) > len(expected):
        return "an extra batch axis" if found[0] == 1 else "an extra axis of length 1"
    return "an axis of length 1 is missing"


def factor(found: np.ndarray, expected: np.ndarray) -> float | None:
    """a of found = a * expected by least squares; None if it is not defined."""
    power = float(np.vdot(expected, expected))
    return float(np.vdot(found, expected)) / power if power and np.isfinite(found).all() else None


def line(found: np.ndarray, expected: np.ndarray) -> tuple[float, float] | None:
    """a and b of found = a * expected + b by least squares; None if they are not defined."""
    centred = expected - expected.mean()
    power = float(np.vdot(centred, centred))
    if not power or not np.isfinite(found).all():
        return None
    a = float(np.vdot(found, centred)) / power
    return a, float(found.mean() - a * expected.mean())


def moved_rows(found: np.ndarray, expected: np.ndarray, most: int = 3) -> Iterator[tuple]:
    """(k, a, b) for small k: both arrays cut to the rows they share if row i + k of `found` is row i of `expected`.

    k is 0 only if they differ in length.
    """
    if found.ndim != expected.ndim or found.shape[1:] != expected.shape[1:]:
        return
    for k in range(-most, most + 1):
        a, b = found[max(k, 0) :], expected[max(-k, 0) :]
        count = min(len(a), len(b))
        if (k or len(found) != len(expected)) and count > len(expected) // 2:
            yield k, a[:count], b[:count]


def permutations(x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """x with its last axis, or its first, in another order."""
    width = x.shape[-1]
    if width % 2 == 0 and width > 1:
        paired = x.reshape(*x.shape[:-1], 2, width // 2)
        yield "the two halves of its columns are swapped", paired[..., ::-1, :].reshape(x.shape)
        yield "columns are interleaved that should be two halves", paired.swapaxes(-1, -2).reshape(x.shape)
        pairs = x.reshape(*x.shape[:-1], width // 2, 2)
        yield "columns are two halves that should be interleaved", pairs.swapaxes(-1, -2).reshape(x.shape)
    yield "its columns run backwards", x[..., ::-1]
    if x.ndim > 1:
        yield "its rows run backwards", x[::-1]


def rounded(found: np.ndarray) -> str | None:
    """The narrower type that holds every number of `found` exactly: "float16", "bfloat16", or None."""
    x = np.ascontiguousarray(found, np.float32)
    with np.errstate(over="ignore"):
        if np.array_equal(x.astype(np.float16).astype(np.float32), x):
            return "float16"
    return "bfloat16" if not (x.view(np.uint32) & 0xFFFF).any() else None
