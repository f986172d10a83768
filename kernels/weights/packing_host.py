"""The host's side of packing: a matrix and what its kernel writes."""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Floats, OutFloats, Words
from ..build.entry import Entry
from ..layout import LANES, PANEL


class PackRowsCall(NamedTuple):
    """The arguments of `pack_rows`."""

    weight: Floats  # (rows, I, taps), as a checkpoint has it
    order: Words  # (32 count,): the row of each output, -1 where there is none
    count: int  # panels
    outputs: int  # those that have a scale
    inputs: int  # I
    taps: int
    dtype: int  # FLOAT32, INT8 or FLOAT16
    panels: OutFloats  # (count, taps I, 32) floats or halves, (count, taps I / 4, 32, 4) bytes
    terms: OutFloats  # bytes only: (1 + chunks, 32 count), scales and the sums of each chunk
    rows: OutFloats  # memory for the rows of a panel, (32, width), and for one more
    width: int  # taps I in whole vectors


pack_rows = Entry("ops.packing", "pack_rows", PackRowsCall)


def pack(weight: np.ndarray, order: np.ndarray, outputs: int, dtype: int, *target: np.ndarray) -> None:
    """Rows of a weight (rows, I, taps) into `target`, panels and terms: see PackRowsCall."""
    _, inputs, taps = weight.shape
    width = -(-inputs * taps // LANES) * LANES
    rows = np.empty(PANEL * width + max(width, LANES * LANES), np.float32)
    flat = np.ascontiguousarray(weight, np.float32).reshape(-1), order.astype(np.int64, copy=False)
    target = [array.reshape(-1) for array in target]
    pack_rows(*flat, len(order) // PANEL, outputs, inputs, taps, dtype, *target, rows, width)
