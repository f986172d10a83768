"""Matrix products over packed weights: y = max(x W^T + b + added, floor), in both directions of `tile.py`.

Plain twins: ops.linear and ops.linear_relu. `floor` is 0 for a ReLU and -inf for none.

    linear_panel    32 outputs of some rows: weights in the lanes; for few rows, where reading weights is all the time
    linear_units    units of 16 positions [I][16] -> [O][16]: positions in the lanes; for the encoder

A panel of weights is read once and used for all rows, while they wait in the cache. Operands are tuples of an address
and strides in floats, as in `tile.py`.
"""

from ..build.arguments import Address1, Address2, Single
from ..build.device import inlined, linked
from ..layout import CHAIN, NO_FLOOR, PANEL
from ..simd.tile import MAX_ROWS, STEPS, tile
from ..simd.tile_float16 import tile_half
from ..simd.vector import LANES, move

LINE = 16  # floats in a cache line
AHEAD = 2048  # words: how far before its use few rows ask for a weight; from memory, that is a quarter faster


@inlined
def _next(r, rows, part, line, ahead):
    """Where, behind a part of the panel, what row r's tile brings closer begins; words from line to line.

    Few rows are through with a part at once. Many read it from the first-level cache, and each tile has time for an
    eighth of the part behind it: 64 rows of 2560 take 142 GFLOP/s of one core so, 120 when asked as few rows ask.
    """
    if rows <= MAX_ROWS:
        return ahead, line
    return part * line + r // MAX_ROWS * (part // STEPS) * LINE, LINE


@inlined
def _panel(tile, line, x, rows, depth, weight, bias, zeros, added, floor, y):
    """`linear_panel` with a certain tile, for which a step of the panel is `line` words."""
    for first in range(0, depth, CHAIN):
        last, part = first + CHAIN >= depth, min(CHAIN, depth - first)
        offset, sums = (zeros, 0) if first else (bias, LANES), y if first else added
        for r in range(0, rows, MAX_ROWS):
            ahead, step = _next(r, rows, part, line, weight[1])
            tile(
                min(MAX_ROWS, rows - r),
                2,
                part,
                (move(x[0], r * x[1] + first * x[2]), x[1], x[2]),
                (move(weight[0], first * line), line, line // 2),
                (zeros, 0),
                offset,
                (move(sums[0], r * sums[1]), sums[1], sums[2]),
                floor if last else NO_FLOOR,
                (move(y[0], r * y[1]), y[1], y[2]),
                (move(weight[0], first * line + ahead), step),
            )


@inlined
def linear_panel(x, rows, depth, weight, bias, zeros, added, floor, y):
    """One panel: x (address, row, step), `weight` (address, how far ahead) -> y (address, row, vector), 32 wide.

    `added` is as y, or zeros with strides 0; `zeros` is an address of 16 zeros. Sums are cut into parts of CHAIN:
    rounding errors grow with the length of a chain (the second convolution's 2560 would double those of the encoder).
    """
    _panel(tile, PANEL, x, rows, depth, weight, bias, zeros, added, floor, y)


@inlined
def linear_panel_half(x, rows, depth, weight, bias, zeros, added, floor, y):
    """The same over a panel of halves."""
    _panel(tile_half, PANEL // 2, x, rows, depth, weight, bias, zeros, added, floor, y)


@linked
def linear_units(
    x: Address1,
    units: int,
    depth: int,
    weight: Address1,
    bias: Address1,
    outputs: int,
    zeros: int,
    added: Address2,
    floor: Single,
    y: Address2,
    after: int,
):
    """All of `outputs`: x (address, unit) in units [I][16] -> y (address, row, unit), rows the outputs, of 16.

    weight (address, floats of a panel), bias (address, 1) or zeros with stride 0, `added` as y. With
    `depth` below I, a part of the sum is taken; `added` may then be y, which holds the other parts. While one panel is
    used the next is fetched, so that reading weights hides behind arithmetic; `after` is the address of what comes
    behind the last.
    """
    reach = depth // STEPS * LINE  # of the next panel is what one tile brings closer
    for o in range(0, outputs, PANEL):
        panel = move(weight[0], o // PANEL * weight[1])
        ahead = move(panel, weight[1]) if o + PANEL < outputs else after
        brought = 0
        for u in range(0, units, 2):
            for r in range(0, PANEL, MAX_ROWS):
                tile(
                    MAX_ROWS,
                    min(2, units - u),
                    depth,
                    (move(panel, r), 1, PANEL),
                    (move(x[0], u * x[1]), LANES, x[1]),
                    (move(bias[0], (o + r) * bias[1]), bias[1]),
                    (zeros, 0),
                    (move(added[0], u * added[2] + (o + r) * added[1]), added[1], added[2]),
                    floor,
                    (move(y[0], u * y[2] + (o + r) * y[1]), y[1], y[2]),
                    (move(ahead, brought), LINE if brought + reach <= depth * PANEL else 0),
                )
                brought = min(brought + reach, depth * PANEL - LINE)
