"""`gemm_int8.linear_units_int8` in AMX's registers, which multiply four times as fast as vectors do.

They take weights in rows of 64 inputs. Panels have them in words of four, 32 outputs side by side, so a chunk of a
panel is laid out in rows before a group of units uses it, as panels of halves are widened.
"""

from ..build.device import inlined, linked
from ..layout import CHUNK, LANES, NO_FLOOR, PANEL
from ..simd.operands import Ahead, Operand, Output, TileSize
from ..simd.tile_amx import BLOCK, HAS_TILES, LINES_AHEAD, MOST_UNITS, configure_tiles, release_tiles, tile_units
from ..simd.transpose import transpose
from ..simd.vector import load, move, splat, store
from .gemm import rows_from
from .gemm_int8 import terms_of
from .matrices import Matrix, MatrixSlice, Units, panel_offset

SQUARE = BLOCK * LANES  # words of a register
ROOM = CHUNK // 4 * PANEL  # words of a chunk of a panel; after them is a square


@inlined
def _last_block(panel, words, square, y):
    """Fewer than 16 words of 16 outputs as rows; zeros follow, so that what activations have there does not matter."""
    for i in range(BLOCK):
        place = move(square, i * LANES)
        if i < words:
            store(place, load(move(panel, i * PANEL)))
        else:
            store(place, splat(0.0))
    transpose(square, LANES, y)


@inlined
def _lay_in_rows(panel, words, rows):
    """A chunk of a panel, [input / 4][32] words -> [half of the outputs][block][16 outputs][16 words] at `rows`."""
    blocks = (words + BLOCK - 1) // BLOCK
    for half in range(2):
        for block in range(blocks):
            x = move(panel, block * BLOCK * PANEL + half * LANES)
            y = move(rows, (half * blocks + block) * SQUARE)
            if words - block * BLOCK < BLOCK:
                _last_block(x, words - block * BLOCK, move(rows, ROOM), y)
            else:
                transpose(x, PANEL, y)


def linear_units_amx(x: Units, units: int, matrix: Matrix, part: MatrixSlice, out: Output, after: int, room: int):
    """A slice of a matrix times some units; `room` is the address of CHUNK_ROWS words."""
    stride = panel_offset(matrix.dtype, matrix.inputs, PANEL, 0)
    weights = move(matrix.weights, panel_offset(matrix.dtype, matrix.inputs, part.output, part.input))
    configure_tiles()
    for first in range(0, part.inputs, CHUNK):
        words, chunk = (min(CHUNK, part.inputs - first) + 3) // 4, (part.input + first) // CHUNK
        y, sums, blocks = out.y, out.y if first else out.accumulate, (words + BLOCK - 1) // BLOCK
        bound = out.lower_bound if first + CHUNK >= part.inputs else NO_FLOOR
        for o in range(0, part.outputs, PANEL):
            panel = move(weights, o // PANEL * stride + first // 4 * PANEL)
            ahead, brought = move(panel, stride) if o + PANEL < part.outputs else after, 0
            _lay_in_rows(panel, words, room)
            for u in range(0, units, MOST_UNITS):
                x_scale = move(x.scales, u * x.scales_unit + first // CHUNK * LANES)
                tile_units(
                    TileSize(PANEL, min(MOST_UNITS, units - u), blocks),
                    Operand(room, blocks * SQUARE, SQUARE),
                    Operand(move(x.words, u * x.words_unit + first // 4 * LANES), SQUARE, x.words_unit),
                    terms_of(matrix, part.output + o, chunk, x_scale, x.scales_unit),
                    Output(rows_from(y, o, u * y.step), rows_from(sums, o, u * sums.step), bound),
                    Ahead(move(ahead, brought), LANES),
                )
                brought = min(brought + MOST_UNITS // 2 * blocks * LINES_AHEAD * LANES, words * PANEL - LANES)
    release_tiles()


if HAS_TILES:
    linear_units_amx = linked(linear_units_amx)
