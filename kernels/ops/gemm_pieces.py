"""`gemm.linear_units` in AMX's registers: floats in three pieces of 8 bits (`simd/tile_pieces.py` says which products).

The pieces of activations are laid out once for all matrices that they meet (`split_unit`), or come so out of the
product before (`split_relu_units`). Those of a panel are laid out before a group of units uses it: pieces take half as
much memory again as floats, and reading them for every group would take longer than the arithmetic.
"""

from ..build.device import inlined, linked
from ..layout import BLOCK_INPUTS, BLOCK_PIECES, INT8, LANES, PANEL, RELU
from ..simd.operands import Ahead, Bias, Operand, Output, TileSize
from ..simd.tile_amx import HAS_FLOAT_TILES, LINES_AHEAD, MOST_UNITS, configure_tiles, release_tiles
from ..simd.tile_pieces import PIECE, store_pieces, tile_of_pieces, tile_pieces
from ..simd.transpose import transpose
from ..simd.vector import load, move, splat, store
from .gemm import rows_from
from .matrices import Units, UnitWeights, no_operand


@inlined
def blocks_of(depth):
    """The number of blocks of that many inputs."""
    return (depth + BLOCK_INPUTS - 1) // BLOCK_INPUTS


@inlined
def words_of_unit(inputs, dtype):
    """Words that products take of a unit with that many inputs, in whole blocks: bytes, or pieces."""
    return inputs // 4 * LANES if dtype == INT8 else inputs // BLOCK_INPUTS * BLOCK_PIECES


def split_unit(x: int, depth: int, y: int):
    """16 positions, addresses: x [depth][16] -> pieces y [block][piece][16][16]; zeros follow the last input."""
    for block in range(depth // BLOCK_INPUTS):
        for i in range(LANES):
            place = move(x, (block * BLOCK_INPUTS + i) * LANES)
            store_pieces(move(y, block * BLOCK_PIECES + i * LANES), load(place), load(move(place, LANES * LANES)))
    rest = depth % BLOCK_INPUTS
    if rest:
        last, here = move(x, (depth - rest) * LANES), move(y, depth // BLOCK_INPUTS * BLOCK_PIECES)
        for i in range(LANES):
            first = second = splat(0.0)
            if i < rest:
                first = load(move(last, i * LANES))
            if i + LANES < rest:
                second = load(move(last, (i + LANES) * LANES))
            store_pieces(move(here, i * LANES), first, second)


@inlined
def _square_of(panel, inputs, spare, y):
    """16 outputs of up to 16 inputs of a panel as rows, at y; zeros follow the last input."""
    if inputs >= LANES:
        transpose(panel, PANEL, y)
    else:
        for i in range(LANES):
            row = splat(0.0)
            if i < inputs:
                row = load(move(panel, i * PANEL))
            store(move(spare, i * LANES), row)
        transpose(spare, LANES, y)


def split_panel(panel: int, depth: int, y: int, squares: int):
    """A panel [input][32] -> pieces [half of the outputs][block][piece][16 outputs][16 words] at y."""
    blocks, second = blocks_of(depth), move(squares, PIECE)
    for half in range(2):
        for block in range(blocks):
            x, left = move(panel, block * BLOCK_INPUTS * PANEL + half * LANES), depth - block * BLOCK_INPUTS
            here = move(y, (half * blocks + block) * BLOCK_PIECES)
            _square_of(x, left, here, squares)
            _square_of(move(x, LANES * PANEL), left - LANES, here, second)
            for o in range(0, PIECE, LANES):
                store_pieces(move(here, o), load(move(squares, o)), load(move(second, o)))


@inlined
def _multiply_panels(tile, x, units, depth, w, outputs, out, panel_step, after, room):
    """All panels with a certain tile; out is `panel_step` words further on for the next one."""
    blocks = blocks_of(depth)
    pieces = move(room, 2 * PIECE)
    configure_tiles()
    for o in range(0, outputs, PANEL):
        panel, to = move(w.weights, o // PANEL * w.panel), o // PANEL * panel_step
        ahead, brought = move(panel, w.panel) if o + PANEL < outputs else after, 0
        split_panel(panel, depth, pieces, room)
        for u in range(0, units, MOST_UNITS):
            tile(
                TileSize(PANEL, min(MOST_UNITS, units - u), blocks),
                Operand(pieces, blocks * BLOCK_PIECES, BLOCK_PIECES),
                Operand(move(x.words, u * x.words_unit), BLOCK_PIECES, x.words_unit),
                Bias(move(w.bias, o * w.bias_step), w.bias_step, w.zeros, 0),
                Output(
                    Operand(move(out.y.address, to + u * out.y.step), out.y.row, out.y.step),
                    rows_from(out.accumulate, o, u * out.accumulate.step),
                    out.lower_bound,
                ),
                Ahead(move(ahead, brought), LANES),
            )
            brought = min(brought + MOST_UNITS // 2 * blocks * LINES_AHEAD * LANES, depth * PANEL - LANES)
    release_tiles()


def linear_units_pieces(
    x: Units, units: int, depth: int, w: UnitWeights, outputs: int, out: Output, after: int, room: int
):
    """`gemm.linear_units` over units whose pieces are at x.words; `room` is the address of room for a panel's."""
    _multiply_panels(tile_pieces, x, units, depth, w, outputs, out, PANEL * out.y.row, after, room)


def split_relu_units(x: Units, units: int, depth: int, w: UnitWeights, outputs: int, y: Operand, after: int, room: int):
    """The pieces of max(W x + b, 0), as `split_unit` lays them out: a block of y for each panel, y.step to a unit."""
    out = Output(y, no_operand(w.zeros), RELU)
    _multiply_panels(tile_of_pieces, x, units, depth, w, outputs, out, BLOCK_PIECES, after, room)


if HAS_FLOAT_TILES:
    split_unit, split_panel, linear_units_pieces = linked(split_unit), linked(split_panel), linked(linear_units_pieces)
    split_relu_units = linked(split_relu_units)
