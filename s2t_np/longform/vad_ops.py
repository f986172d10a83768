"""The arithmetic of the detector and of the speech check, as far as it takes time, in plain numpy.

`VadOps` is a table of it, as `Ops` is of the model's; the kernels have another, and a Backend holds one of the two.
Here F is the number of frequencies and B that of bands.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..features import BLOCK_FRAMES, frames, power_spectrum

NEIGHBOURS = 15  # frequencies, about 230 Hz: what is narrower is a line, what is wider is the envelope
LAG = 3  # frames, 60 ms: how long a line has to stay


class Measures(NamedTuple):
    """Of every frame; means are over its frequencies."""

    power: np.ndarray  # (T,) the sum
    flatness: np.ndarray  # (T,) the mean of log(geometric / arithmetic mean of neighbouring frequencies)
    tonality: np.ndarray  # (T - LAG,) the correlation of the spectral lines with those LAG frames later


@functools.lru_cache(maxsize=8)
def taper(window: int) -> np.ndarray:
    """The Hann window that frames of `window` samples are multiplied with: (window,), read-only."""
    shape = np.hanning(window)
    shape.flags.writeable = False
    return shape


class VadOps(NamedTuple):
    """Functions, each with the arguments of its readable twin below."""

    band_powers: Callable
    frame_measures: Callable


def band_powers(samples: np.ndarray, taper: np.ndarray, hop: int, length: int, edges: np.ndarray) -> np.ndarray:
    """|DFT|^2 of each frame, summed over bands: (N,) samples, taken as float32 -> (B, T) float64.

    A frame begins every `hop` samples, is multiplied with the taper (window,) and padded with zeros to `length`; only
    whole frames count. Band b has the frequencies edges[b] .. edges[b+1] - 1, where 1 <= edges[b] < edges[b+1] <=
    length // 2. Each frame is worked out by itself, so that its numbers do not depend on the others.
    """
    framed = frames(np.asarray(samples, np.float32), len(taper), hop)
    out = np.empty((len(edges) - 1, len(framed)))
    for start in range(0, len(framed), BLOCK_FRAMES):
        power = power_spectrum(framed[start : start + BLOCK_FRAMES] * taper, length)
        out[:, start : start + BLOCK_FRAMES] = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1).T
    return out


def frame_measures(power: np.ndarray, scale: float) -> Measures:
    """Measures of frames from power spectra (F, T), after `power * scale + 1`: `scale` turns the floor into 1.

    The envelope of a spectrum is the mean of its logarithm over NEIGHBOURS frequencies around each, its lines are what
    stands out of that.
    """
    relative = (power * scale + 1).astype(np.float32)
    log = np.log(relative)
    envelope = smoothed(log)
    flatness = (envelope - np.log(smoothed(relative))).mean(axis=0)
    return Measures(relative.sum(axis=0), flatness, correlation(log - envelope))


def smoothed(x: np.ndarray) -> np.ndarray:
    """The mean of NEIGHBOURS rows around each; the first and the last stand for those beyond: (F, T) -> (F, T)."""
    side = NEIGHBOURS // 2
    sums = running_sums(x[np.clip(np.arange(-side, len(x) + side), 0, len(x) - 1)], NEIGHBOURS)
    sums /= NEIGHBOURS
    return sums


def running_sums(x: np.ndarray, count: int) -> np.ndarray:
    """The sum of each row and the `count` - 1 after it: (N, ...) -> (N - count + 1, ...), N at least `count`.

    Sums of 1, 2, 4, ... rows are made by doubling and put together, in the same order everywhere. Unlike differences of
    one long cumulative sum they lose nothing of a small number that comes after large ones, in any precision.
    """
    rows, total, width, begin = len(x) - count + 1, 0, 1, 0
    while True:
        if count & width:
            total, begin = np.add(total, x[begin : begin + rows], out=total if begin else None), begin + width
        width *= 2
        if width > count:
            return total
        x = x[: -width // 2] + x[width // 2 :]


def correlation(lines: np.ndarray) -> np.ndarray:
    """The correlation of each column with the one LAG later: (F, T) -> (T - LAG,)."""
    centred = lines - lines.mean(axis=0)
    return normalized((centred[:, :-LAG] * centred[:, LAG:]).sum(axis=0), np.square(centred).sum(axis=0))


def normalized(products: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Sums of products (T - LAG,) over the norms of both, of squares (T,): from -1 to 1, 0 where there are no lines."""
    norms = np.sqrt(squares)
    return products / np.maximum(norms[:-LAG] * norms[LAG:], np.finfo(np.float32).tiny)


NUMPY_VAD = VadOps(band_powers, frame_measures)
