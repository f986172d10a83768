"""The host's side of the kernel for the measures of frames."""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Doubles, OutDoubles, OutWords
from ..build.entry import Entry
from ..layout import DOUBLE_LANES
from ..pool import LENT, lend_aligned
from ..threads import get_threads, parallel


class FrameMeasuresCall(NamedTuple):
    """The arguments of `frame_measures`."""

    state: OutWords
    power: Doubles  # (F, T), flat
    scale: float
    bins: int  # F
    frames: int  # T
    row: int  # numbers in a row of `lines`
    side: int  # frequencies on either side whose mean is the envelope
    lag: int  # at most DOUBLE_LANES
    scratch: OutDoubles  # (2 F 8,) for each thread
    lines: OutDoubles  # (F row,)
    out: OutDoubles  # (4 T,)


entry = Entry("ops.measures", "frame_measures", FrameMeasuresCall)


def frame_measures(power: np.ndarray, scale: float, side: int, lag: int) -> np.ndarray:
    """Spectra (F, T) -> (4, T): power, flatness, squares of the lines, their products with those `lag` frames later.

    The last `lag` products mean nothing.
    """
    bins, frames = power.shape
    row, out, threads = (-(-frames // DOUBLE_LANES) + 1) * DOUBLE_LANES, np.empty((4, frames)), get_threads()
    sizes = 4 * DOUBLE_LANES * bins * threads, 2 * bins * row
    rooms = (room.view(np.float64) for room in lend_aligned(LENT, *sizes))
    parallel(entry, 2, threads, power.reshape(-1), scale, bins, frames, row, side, lag, *rooms, out.reshape(-1))
    return out
