"""Matrix products over packed weights, y = max(x W^T + b + accumulate, lower_bound), in both directions of `tile.py`.

Plain twins: ops.linear and ops.linear_relu.

    linear_panel    32 outputs of some rows: weights in the lanes; for few rows, where time is reading weights
    linear_units    units of 16 positions [I][16] -> [O][16]: positions in the lanes; for the encoder

A panel of weights is read once and used for all rows, while they wait in the processor's cache.
"""

from ..aligned import CACHE_LINE
from ..build.device import inlined, linked
from ..layout import CHAIN, LANES, NO_FLOOR, PANEL
from ..simd.operands import Ahead, Bias, Operand, Output, TileSize
from ..simd.tile import FULL_ROWS, FULL_VECTORS, MAX_ROWS, STEPS, tile
from ..simd.tile_float16 import tile_half
from ..simd.vector import move
from .matrices import Units, UnitWeights, prefetch_lines

PARTS = -(-PANEL // FULL_ROWS)  # tiles of a panel whose sums fit the registers, as many rows in each as in the others


@inlined
def rows_from(operand, r, address_offset):
    """The operand from row r on, its address moved by some floats as well."""
    return Operand(move(operand.address, r * operand.row + address_offset), operand.row, operand.step)


@inlined
def _floats_from(x, r, i):
    """The floats of Rows from row r, a multiple of 8, and input i on."""
    floats = x.floats
    place = r // LANES * x.unit + r % LANES if floats.row == 1 else r * floats.row
    return Operand(move(floats.address, place + i * floats.step), floats.row, floats.step)


@inlined
def prefetching(soon, following, rows, steps, line, together):
    """Return what the tiles of a part of a panel prefetch: from where on, how much each, and words from turn to turn.

    A part is `steps` of `line` words each. Few rows are through with it at once, and prefetch what comes soon. Many
    read it from the first-level cache, and their tiles share the part that follows, line by line. (80 rows through a
    feed-forward block of 256 and 2048 features, one core of an Emerald Rapids whose roofs are 237 GFLOP/s and 950 of
    bytes: 156 and 500, with the tile of bytes prefetching as for few rows 135 and 394.)
    """
    if rows <= MAX_ROWS:
        return soon, 0, line
    turns = max(1, steps // STEPS if together else steps)
    step = min(2 * CACHE_LINE, max(1, steps * line // (turns * -(-rows // MAX_ROWS))))
    return following, turns * step, step


@inlined
def _linear_panel(tile, line, x, rows, depth, panel, out):
    """`linear_panel` with a certain tile, for which a step of the panel is `line` words."""
    for first in range(0, depth, CHAIN):
        last, part = first + CHAIN >= depth, min(CHAIN, depth - first)
        columns, vector = (panel.zeros, 0) if first else (panel.bias, LANES)
        sums, bound = out.y if first else out.accumulate, out.lower_bound if last else NO_FLOOR
        weights = move(panel.weights, first * line)
        following, together = panel.following if last else move(weights, part * line), x.floats.row == 1
        ahead, share, step = prefetching(move(weights, panel.ahead), following, rows, part, line, together)
        for r in range(0, rows, MAX_ROWS):
            tile(
                TileSize(min(MAX_ROWS, rows - r), 2, part),
                _floats_from(x, r, first),
                Operand(weights, line, line // 2),
                Bias(panel.zeros, 0, columns, vector),
                Output(rows_from(out.y, r, 0), rows_from(sums, r, 0), bound),
                Ahead(move(ahead, r // MAX_ROWS * share), step),
            )


@inlined
def linear_panel(x, rows, depth, panel, out):
    """One panel: Rows x -> out, 32 columns. Sums are cut into chains of CHAIN.

    Rounding errors grow with the length of a chain (the second convolution's 2560 would double those of the encoder).
    """
    _linear_panel(tile, PANEL, x, rows, depth, panel, out)


@inlined
def linear_panel_half(x, rows, depth, panel, out):
    """The same over a panel of halves."""
    _linear_panel(tile_half, PANEL // 2, x, rows, depth, panel, out)


@linked
def linear_units(x: Units, units: int, depth: int, w: UnitWeights, outputs: int, out: Output, after: int):
    """All of `outputs`: Units x -> out, whose rows are the outputs and whose steps are the units.

    With `depth` below I, a part of the sum is taken; out.accumulate may then be out.y, which holds the other parts.
    While one panel is used the next is prefetched, so that arithmetic hides the reading of weights; `after` is the
    address of what follows the last. All tiles share the next panel, a line a turn at most; what those of one or two
    units leave is asked for before them (a second of sound on one thread 11.0 -> 9.3 ms, half a second 9.1 -> 7.2;
    bytes gain nothing).

    Versions (an encoder's run of 10 s held to AVX2, one thread's processor time, medians of trees in turn; float16 as
    float32): tiles of 8 x 2, whose last two rows leave a third of the registers idle, and the next panel brought by the
    first tiles 106.3 ms; tiles of 5 or 6 rows 2 % less; of one unit at a time, which stays in the first-level cache
    with the panel, 3 %; the next panel brought by all tiles 101.9. With AVX-512 only the last differs: 60.6 and 60.2.
    """
    tiles = PARTS * -(-units // FULL_VECTORS)
    step = min(CACHE_LINE, -(-PANEL * STEPS // tiles))  # from turn to turn
    brought = depth // STEPS * step  # by a tile
    rest = max(0, PANEL * STEPS // CACHE_LINE - tiles) * (depth // STEPS) if w.panel else 0  # lines; halves are shorter
    y, sums, bound = out.y, out.accumulate, out.lower_bound
    for o in range(0, outputs, PANEL):
        panel = move(w.weights, o // PANEL * w.panel)
        ahead = move(panel, w.panel) if o + PANEL < outputs else after
        prefetch_lines(move(ahead, tiles * brought), rest)
        for i in range(tiles):
            u, r = i // PARTS * FULL_VECTORS, i % PARTS * PANEL // PARTS
            tile(
                TileSize((i % PARTS + 1) * PANEL // PARTS - r, min(FULL_VECTORS, units - u), depth),
                Operand(move(panel, r), 1, PANEL),
                Operand(move(x.floats, u * x.unit), LANES, x.unit),
                Bias(move(w.bias, (o + r) * w.bias_step), w.bias_step, w.zeros, 0),
                Output(rows_from(y, o + r, u * y.step), rows_from(sums, o + r, u * sums.step), bound),
                Ahead(move(ahead, min(i * brought, depth * PANEL)), step),
            )
