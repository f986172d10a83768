"""The host's side of the filterbank kernel: what does not depend on the samples, and the call."""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Doubles, Floats, OutDoubles, OutFloats, OutWords, Words
from ..build.entry import Entry
from ..threads import get_threads, parallel
from .fourier_host import Transform, scratch, transform


class Tables(NamedTuple):
    """Tables that do not depend on the samples."""

    window: Doubles  # (window,) float64, with all constant factors
    transform: Transform
    filters: Words  # (3 M,) int64: first bin, bins, place of the first weight
    weights: Doubles  # float64, filter after filter
    samples: int  # samples in a window
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


def tables(window: np.ndarray, bank: np.ndarray, scale: float) -> Tables:
    """From the window (window,), the mel filters (H, M) and the factor of the samples."""
    rows = [np.flatnonzero(column) for column in bank.T]
    counts = np.array([len(row) for row in rows])
    first = [row[0] if len(row) else 0 for row in rows]
    filters = np.stack([first, counts, np.cumsum(counts) - counts], axis=1).astype(np.int64).reshape(-1)
    weights = np.concatenate([bank[row, m] for m, row in enumerate(rows)])
    return Tables(window * (scale / 2), transform(2 * len(bank)), filters, weights, len(window), len(counts))


def fbank(samples: np.ndarray, hop: int, tables: Tables, preemphasis: float, floor: float) -> np.ndarray:
    """Samples (N,) -> (T, M) float32; samples are taken as float32."""
    samples = np.ascontiguousarray(samples, np.float32)
    frames = 0 if len(samples) < tables.samples else 1 + (len(samples) - tables.samples) // hop
    out, threads = np.empty((frames, tables.bins), np.float32), get_threads()
    room = scratch(tables.transform.length, threads)
    parallel(fbank_frames, 1, threads, samples, frames, hop, tables, preemphasis, floor, room, out.reshape(-1))
    return out
