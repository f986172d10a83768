"""The host's side of the filterbank kernel: what does not depend on the samples, and the call."""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Doubles, Floats, OutDoubles, OutFloats, OutWords, Words
from ..build.entry import Entry
from ..threads import get_threads, parallel


class Tables(NamedTuple):
    """Tables that do not depend on the samples."""

    window: Doubles  # (window,) float64, with all constant factors
    roots: Doubles  # (2 L,) float64: e^(-2 pi i n / L), real and imaginary part
    places: Words  # (H,) int64: where the transform leaves frequency k
    filters: Words  # (3 M,) int64: first bin, bins, place of the first weight
    weights: Doubles  # float64, filter after filter
    samples: int  # samples in a window
    points: int  # L, of the transform
    bins: int  # M


class FbankFramesCall(NamedTuple):
    """The arguments of `fbank_frames`."""

    state: OutWords
    samples: Floats
    frames: int
    hop: int
    tables: Tables
    preemphasis: float
    floor: float
    scratch: OutDoubles
    out: OutFloats


fbank_frames = Entry("ops.fbank", "fbank_frames", FbankFramesCall)


def places(points: int) -> np.ndarray:
    """Return where the transform of `points`, a power of 2, leaves each frequency: (points,) int64."""
    if points == 1:
        return np.zeros(1, np.int64)
    radix = 4 if points % 4 == 0 else 2
    k = np.arange(points)
    return k % radix * (points // radix) + places(points // radix)[k // radix]


def tables(window: np.ndarray, bank: np.ndarray, scale: float) -> Tables:
    """From the window (window,), the mel filters (H, M) and the factor of the samples."""
    points = len(bank)
    phase = np.arange(2 * points) * (-2 * np.pi / (2 * points))
    roots = np.stack([np.cos(phase), np.sin(phase)], axis=1).reshape(-1)
    rows = [np.flatnonzero(column) for column in bank.T]
    counts = np.array([len(row) for row in rows])
    first = [row[0] if len(row) else 0 for row in rows]
    filters = np.stack([first, counts, np.cumsum(counts) - counts], axis=1).astype(np.int64).reshape(-1)
    weights = np.concatenate([bank[row, m] for m, row in enumerate(rows)])
    sizes = len(window), 2 * points, len(counts)
    return Tables(window * (scale / 2), roots, places(points), filters, weights, *sizes)


def fbank(samples: np.ndarray, hop: int, tables: Tables, preemphasis: float, floor: float) -> np.ndarray:
    """Samples (N,) -> (T, M) float32; samples are taken as float32."""
    samples, (window, length) = np.ascontiguousarray(samples, np.float32), (len(tables.window), len(tables.roots) // 2)
    frames = 0 if len(samples) < window else 1 + (len(samples) - window) // hop
    out, scratch = np.empty((frames, len(tables.filters) // 3), np.float32), np.empty(get_threads() * 12 * length)
    parallel(fbank_frames, 1, samples, frames, hop, tables, preemphasis, floor, scratch, out.reshape(-1))
    return out
