"""Matrix products over weights of bytes, in both directions; the functions of `gemm.py`.

Where those read floats, these read words of bytes with their scales (`quantize.py`), and in place of a bias the terms
of a matrix, one after the other: bias, scale, then the zero points of each chunk, each (outputs in whole panels).
"""

from ..build.device import inlined, linked
from ..layout import CHUNK, LANES, NO_FLOOR, PANEL
from ..simd.operands import Ahead, Int8Terms, Operand, Output, TileSize
from ..simd.tile import MAX_ROWS
from ..simd.tile_amx import BLOCK, HAS_TILES, LINES_AHEAD, TILE_ROWS, configure_tiles, release_tiles
from ..simd.tile_amx import tile_rows as tile_of_many_rows
from ..simd.tile_int8 import tile_rows, tile_units
from ..simd.vector import move
from .gemm import prefetching, rows_from
from .matrices import Matrix, MatrixSlice, Units, panel_offset


@inlined
def squares_of_rows(words, rows, weights, quads, terms, out, following):
    """The rows of a panel that fill AMX's registers, 32 or 16 at a time; returns how many. None if inputs do not.

    `following` is the address of the weights after these, to be prefetched.
    """
    begun, blocks = 0, quads // BLOCK
    if words.step == 1 and quads % BLOCK == 0 and rows >= TILE_ROWS:
        configure_tiles()
        while rows - begun >= TILE_ROWS:
            here = min(PANEL, (rows - begun) // TILE_ROWS * TILE_ROWS)
            x_scale = move(terms.x_scale, begun * terms.x_scale_step)
            tile_of_many_rows(
                TileSize(here, 2, blocks),
                Operand(move(words.address, begun * words.row), words.row, BLOCK),
                Operand(weights, BLOCK * PANEL, LANES),
                Int8Terms(terms.scale, terms.zero_point, terms.bias, x_scale, terms.x_scale_step),
                Output(rows_from(out.y, begun, 0), rows_from(out.accumulate, begun, 0), out.lower_bound),
                Ahead(move(following, begun // TILE_ROWS * blocks * LINES_AHEAD * LANES), LANES),
            )
            begun += here
        release_tiles()
    return begun


@inlined
def linear_panel_int8(x, rows, depth, panel, out):
    """One panel: Rows x -> out, 32 columns."""
    for first in range(0, depth, CHUNK):
        quads, chunk = (min(CHUNK, depth - first) + 3) // 4, first // CHUNK
        bias, sums = panel.zeros if first else panel.bias, out.y if first else out.accumulate
        weights, last = move(panel.weights, first // 4 * PANEL), first + CHUNK >= depth
        bound, together = out.lower_bound if last else NO_FLOOR, x.words.row == 1
        following = panel.following if last else move(weights, quads * PANEL)
        ahead, share, step = prefetching(move(weights, panel.ahead), following, rows, quads, PANEL, together)
        zero_point, x_scales = (
            move(panel.zero_point, chunk * panel.chunk),
            move(x.scales.address, chunk * x.scales.step),
        )
        terms = Int8Terms(panel.scale, zero_point, bias, x_scales, x.scales.row)
        words, results = rows_from(x.words, 0, first // 4 * x.words.step), Output(out.y, sums, bound)
        begun = 0
        if HAS_TILES:
            begun = squares_of_rows(words, rows, weights, quads, terms, results, following)
        for r in range(begun, rows, MAX_ROWS):
            x_scale = move(x_scales, r * x.scales.row)
            tile_rows(
                TileSize(min(MAX_ROWS, rows - r), 2, quads),
                rows_from(words, r, 0),
                Operand(weights, PANEL, LANES),
                Int8Terms(panel.scale, zero_point, bias, x_scale, x.scales.row),
                Output(rows_from(out.y, r, 0), rows_from(sums, r, 0), bound),
                Ahead(move(ahead, r // MAX_ROWS * share), step),
            )


@inlined
def terms_of(matrix, output, chunk, x_scale, x_scale_step):
    """The terms of the outputs from `output` on, for a chunk of the matrix' inputs."""
    bias = matrix.zeros if chunk else move(matrix.terms, output)
    scale, zero_point = move(matrix.terms, matrix.outputs + output), (2 + chunk) * matrix.outputs + output
    return Int8Terms(scale, move(matrix.terms, zero_point), bias, x_scale, x_scale_step)


@linked
def linear_units_int8(x: Units, units: int, matrix: Matrix, part: MatrixSlice, out: Output, after: int):
    """A slice of a matrix times some units: Units x -> out, whose rows are outputs and whose steps are units."""
    stride = panel_offset(matrix.dtype, matrix.inputs, PANEL, 0)
    weights = move(matrix.weights, panel_offset(matrix.dtype, matrix.inputs, part.output, part.input))
    for first in range(0, part.inputs, CHUNK):
        quads, chunk = (min(CHUNK, part.inputs - first) + 3) // 4, (part.input + first) // CHUNK
        y, sums = out.y, out.y if first else out.accumulate
        bound = out.lower_bound if first + CHUNK >= part.inputs else NO_FLOOR
        for o in range(0, part.outputs, PANEL):
            panel = move(weights, o // PANEL * stride + first // 4 * PANEL)
            ahead, brought = move(panel, stride) if o + PANEL < part.outputs else after, 0
            for u in range(0, units, 2):
                x_scale = move(x.scales, u * x.scales_unit + first // CHUNK * LANES)
                for r in range(0, PANEL, MAX_ROWS):
                    tile_units(
                        TileSize(MAX_ROWS, min(2, units - u), quads),
                        Operand(move(panel, r), 1, PANEL),
                        Operand(move(x.words, u * x.words_unit + first // 4 * LANES), LANES, x.words_unit),
                        terms_of(matrix, part.output + o + r, chunk, x_scale, x.scales_unit),
                        Output(rows_from(y, o + r, u * y.step), rows_from(sums, o + r, u * sums.step), bound),
                        Ahead(move(ahead, brought), LANES),
                    )
                    brought = min(brought + quads // 4 * LANES, quads * PANEL - LANES)
