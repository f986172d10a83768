"""`gemm_int8.linear_units_int8` for x86 without VNNI: bytes are widened to 16 bits once, then multiplied in pairs.

A chunk of all units is widened before the first panel, a chunk of a panel before the first unit: one operation for
thirty-two and for sixteen times as many products, where the tile of bytes has one for two.
"""

from ..build.device import inlined, linked
from ..layout import CHUNK, LANES, NO_FLOOR, PAIRS_OF_PANEL, PAIRS_OF_UNIT, PANEL
from ..simd.operands import Ahead, Operand, Output, TileSize
from ..simd.tile import MAX_ROWS
from ..simd.tile_pairs import HAS_PAIRS, tile_units, widen_signed, widen_unsigned
from ..simd.vector import move
from .gemm import rows_from
from .gemm_int8 import terms_of
from .matrices import Matrix, MatrixSlice, Units, panel_offset


@inlined
def _widen_panel(panel, quads, pairs):
    """A chunk of a panel, [input / 4][32] words -> [input / 4][even | odd][32] words of two inputs."""
    for i in range(quads):
        for half in range(0, PANEL, LANES):
            target = move(pairs, 2 * i * PANEL + half)
            widen_signed(move(panel, i * PANEL + half), target, move(target, PANEL))


@inlined
def _widen_units(x, units, first, quads, pairs):
    """A chunk of some units, [input / 4][16] words -> [input / 4][even | odd][16] words of two inputs."""
    for u in range(units):
        for i in range(quads):
            target = move(pairs, u * PAIRS_OF_UNIT + 2 * i * LANES)
            source = move(x.words, u * x.words_unit + (first // 4 + i) * LANES)
            widen_unsigned(source, target, move(target, LANES))


def linear_units_pairs(x: Units, units: int, matrix: Matrix, part: MatrixSlice, out: Output, after: int, room: int):
    """A slice of a matrix times some units; `room` is the address of PAIRS_OF_PANEL and units * PAIRS_OF_UNIT words."""
    stride = panel_offset(matrix.dtype, matrix.inputs, PANEL, 0)
    weights = move(matrix.weights, panel_offset(matrix.dtype, matrix.inputs, part.output, part.input))
    pairs_of_units = move(room, PAIRS_OF_PANEL)
    for first in range(0, part.inputs, CHUNK):
        quads, chunk = (min(CHUNK, part.inputs - first) + 3) // 4, (part.input + first) // CHUNK
        y, sums = out.y, out.y if first else out.accumulate
        bound = out.lower_bound if first + CHUNK >= part.inputs else NO_FLOOR
        _widen_units(x, units, first, quads, pairs_of_units)
        for o in range(0, part.outputs, PANEL):
            panel = move(weights, o // PANEL * stride + first // 4 * PANEL)
            ahead, brought = move(panel, stride) if o + PANEL < part.outputs else after, 0
            _widen_panel(panel, quads, room)
            for u in range(units):
                x_scale = move(x.scales, u * x.scales_unit + first // CHUNK * LANES)
                for r in range(0, PANEL, MAX_ROWS):
                    tile_units(
                        TileSize(MAX_ROWS, 1, 2 * quads),
                        Operand(move(room, r), 1, PANEL),
                        Operand(move(pairs_of_units, u * PAIRS_OF_UNIT), LANES, PAIRS_OF_UNIT),
                        terms_of(matrix, part.output + o + r, chunk, x_scale, x.scales_unit),
                        Output(rows_from(y, o + r, u * y.step), rows_from(sums, o + r, u * sums.step), bound),
                        Ahead(move(ahead, brought), LANES),
                    )
                    brought = min(brought + quads // 2 * LANES, quads * PANEL - LANES)


if HAS_PAIRS:
    linear_units_pairs = linked(linear_units_pairs)
