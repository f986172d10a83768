"""Matrix products over weights of bytes, in both directions; the functions and operands of `linear.py`.

Where those take floats x, these take words of bytes with their scales (`quantize.py`), and in place of a bias the terms
of a matrix, one behind the other: bias, scale, then comp for each chunk, each (outputs in whole panels).
"""

from ..build.arguments import Address1, Address2, Single
from ..build.device import inlined, linked
from ..layout import CHUNK, NO_FLOOR, PANEL
from ..simd.tile import MAX_ROWS
from ..simd.tile_int8 import tile_rows, tile_units
from ..simd.vector import LANES, move


@inlined
def linear_panel_int8(x, scales, rows, depth, weight, terms, zeros, added, floor, y):
    """One panel: words x (address, row, step) with scales (address, row, chunk) -> y (address, row, vector), 32 wide.

    weight (address, how far ahead), terms (bias, scale, comp: addresses of this panel's; words from chunk to chunk).
    """
    for first in range(0, depth, CHUNK):
        quads, chunk = (min(CHUNK, depth - first) + 3) // 4, first // CHUNK
        bias, sums = terms[0] if first == 0 else zeros, y if first else added
        for r in range(0, rows, MAX_ROWS):
            tile_rows(
                min(MAX_ROWS, rows - r),
                2,
                quads,
                (move(x[0], r * x[1] + first // 4 * x[2]), x[1], x[2]),
                (move(weight[0], first // 4 * PANEL), PANEL, LANES),
                (terms[1], move(terms[2], chunk * terms[3]), bias),
                (move(scales[0], r * scales[1] + chunk * scales[2]), scales[1]),
                (move(sums[0], r * sums[1]), sums[1], sums[2]),
                floor if first + CHUNK >= depth else NO_FLOOR,
                (move(y[0], r * y[1]), y[1], y[2]),
                (move(weight[0], first // 4 * PANEL + weight[1]), PANEL),
            )


@linked
def linear_units_int8(
    x: Address1,
    scales: Address1,
    units: int,
    begin: int,
    depth: int,
    weight: Address1,
    terms: Address1,
    outputs: int,
    zeros: int,
    added: Address2,
    floor: Single,
    y: Address2,
    after: int,
):
    """All outputs: words x (address, unit) with scales (address, unit) -> y (address, row, unit).

    The sum takes inputs begin .. begin+depth-1, whole chunks; x and scales begin there. weight (address of input
    `begin`, words of a panel), terms (address, outputs in whole panels).
    """
    for first in range(0, depth, CHUNK):
        quads, chunk = (min(CHUNK, depth - first) + 3) // 4, (begin + first) // CHUNK
        for o in range(0, outputs, PANEL):
            panel = move(weight[0], o // PANEL * weight[1] + first // 4 * PANEL)
            ahead, brought = move(panel, weight[1]) if o + PANEL < outputs else after, 0
            for u in range(0, units, 2):
                for r in range(0, PANEL, MAX_ROWS):
                    bias = zeros if begin + first else move(terms[0], o + r)
                    sums = y if first else added
                    tile_units(
                        MAX_ROWS,
                        min(2, units - u),
                        quads,
                        (move(panel, r), 1, PANEL),
                        (move(x[0], u * x[1] + first // 4 * LANES), LANES, x[1]),
                        (move(terms[0], terms[1] + o + r), move(terms[0], (2 + chunk) * terms[1] + o + r), bias),
                        (move(scales[0], u * scales[1] + first // CHUNK * LANES), scales[1]),
                        (move(sums[0], u * sums[2] + (o + r) * sums[1]), sums[1], sums[2]),
                        floor if first + CHUNK >= depth else NO_FLOOR,
                        (move(y[0], u * y[2] + (o + r) * y[1]), y[1], y[2]),
                        (move(ahead, brought), LANES),
                    )
                    brought = min(brought + quads // 4 * LANES, quads * PANEL - LANES)
