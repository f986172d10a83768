"""The host's side of the power spectrum: its tables, its buffers."""

import functools
from typing import NamedTuple

import numpy as np

from ..build.arguments import Doubles, Words
from ..pool import LENT, lend_floats


class Transform(NamedTuple):
    """Tables for the transform of L real numbers, H = L / 2."""

    roots: Doubles  # (2 L,) float64: e^(-2 pi i n / L), real and imaginary part
    places: Words  # (H,) int64: where the transform leaves frequency k
    length: int  # L


def places(points: int) -> np.ndarray:
    """Return where the transform of `points`, a power of 2, leaves each frequency: (points,) int64."""
    if points == 1:
        return np.zeros(1, np.int64)
    radix = 4 if points % 4 == 0 else 2
    k = np.arange(points)
    return k % radix * (points // radix) + places(points // radix)[k // radix]


@functools.lru_cache(maxsize=16)
def transform(length: int) -> Transform:
    """The tables for `length` real numbers, a power of 2 from 2 on."""
    phase = np.arange(length) * (-2 * np.pi / length)
    roots = np.stack([np.cos(phase), np.sin(phase)], axis=1).reshape(-1)
    return Transform(roots, places(length // 2), length)


def scratch(length: int, threads: int) -> np.ndarray:
    """Room for all threads, uninitialised: for each 12 L float64, of frames [L][8] and their power [L / 2][8]."""
    return lend_floats(LENT, 2 * 12 * length * threads).view(np.float64)
