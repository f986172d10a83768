"""The host's side of the kernel for the power in bands."""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Doubles, Floats, OutDoubles, OutWords, Words
from ..build.entry import Entry
from ..pool import LENT, lend_floats
from ..threads import get_threads, parallel
from .fourier_host import Transform, scratch, transform


class BandPowersCall(NamedTuple):
    """The arguments of `band_powers`."""

    state: OutWords
    samples: Floats
    frames: int
    hop: int
    taper: Doubles  # (window,)
    window: int
    transform: Transform
    edges: Words  # (B + 1,)
    bands: int  # B
    scratch: OutDoubles
    out: OutDoubles


entry = Entry("ops.bands", "band_powers", BandPowersCall)


def band_powers(samples: np.ndarray, taper: np.ndarray, hop: int, length: int, edges: np.ndarray) -> np.ndarray:
    """Samples (N,) float32, taper (window,), edges (B+1,) -> (B, T) float64; L is `length`."""
    samples, window, bands = np.ascontiguousarray(samples, np.float32), len(taper), len(edges) - 1
    frames = 0 if len(samples) < window else 1 + (len(samples) - window) // hop
    out, shape, threads = lend_floats(LENT, 2 * bands * frames), (taper * 0.5, window, transform(length)), get_threads()
    out, room = out.view(np.float64), scratch(length, threads)
    parallel(entry, 1, threads, samples, frames, hop, *shape, edges, bands, room, out)
    return out.reshape(bands, frames)
