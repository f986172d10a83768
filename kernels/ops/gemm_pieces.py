"""`gemm.linear_units` in AMX's registers: floats in three pieces of 8 bits (`simd/tile_pieces.py` says which products).

The pieces of activations are laid out once for all matrices that they meet (`split_unit`), with positions in rows, or
come so out of the product before (`split_relu_units`). Those of a panel are made before a group of units uses it:
pieces take half as much memory again as floats, and reading them for every group would take longer than the arithmetic.
"""

from ..build.device import inlined, linked
from ..layout import BLOCK_INPUTS, BLOCK_PIECES, LANES, NO_FLOOR, PANEL, RELU
from ..simd.operands import Ahead, Bias, Operand, Output, TileSize
from ..simd.tile_amx import HAS_FLOAT_TILES, MOST_UNITS, configure_tiles, release_tiles
from ..simd.tile_pieces import PIECE, store_pieces, tile_of_pieces, tile_pieces, tile_rows
from ..simd.transpose import transpose
from ..simd.vector import load, move, splat, store
from .gemm import rows_from
from .matrices import Units, UnitWeights, no_operand


@inlined
def blocks_of(depth):
    """The number of blocks of that many inputs."""
    return (depth + BLOCK_INPUTS - 1) // BLOCK_INPUTS


@inlined
def words_of_unit(inputs, pieces):
    """Words that products take of a unit with that many inputs, in whole blocks: bytes, or pieces."""
    return inputs // BLOCK_INPUTS * BLOCK_PIECES if pieces else inputs // 4 * LANES


@inlined
def _row(x, i, inputs):
    """The vector of input i; zeros after the last of that many inputs. `x` is the address of input i."""
    row = splat(0.0)
    if i < inputs:
        row = load(x)
    return row


@inlined
def _positions(x, inputs, spare, y):
    """A square of 16 inputs of a unit, or fewer, with positions as rows, at y; zeros follow the last input."""
    if inputs >= LANES:
        transpose(x, LANES, y)
    else:
        for i in range(LANES):
            store(move(spare, i * LANES), _row(move(x, i * LANES), i, inputs))
        transpose(spare, LANES, y)


def split_unit(x: int, depth: int, y: int, squares: int):
    """16 positions, addresses: x [depth][16] -> pieces y [block][piece][16 positions][16 words]; zeros fill it up.

    `squares`: room for two.
    """
    second = move(squares, PIECE)
    for block in range(blocks_of(depth)):
        inputs, left, here = move(x, block * BLOCK_INPUTS * LANES), depth - block * BLOCK_INPUTS, block * BLOCK_PIECES
        _positions(inputs, left, move(y, here), squares)
        _positions(move(inputs, PIECE), left - LANES, move(y, here), second)
        for i in range(0, PIECE, LANES):
            store_pieces(move(y, here + i), load(move(squares, i)), load(move(second, i)))


def split_panel(panel: int, depth: int, y: int):
    """A panel [input][32] -> pieces [half of the outputs][block][piece][16 words][16 outputs] at y."""
    blocks = blocks_of(depth)
    for half in range(2):
        for block in range(blocks):
            x, left = move(panel, block * BLOCK_INPUTS * PANEL + half * LANES), depth - block * BLOCK_INPUTS
            here = move(y, (half * blocks + block) * BLOCK_PIECES)
            for i in range(LANES):
                low, high = move(x, i * PANEL), move(x, (i + LANES) * PANEL)
                if left >= BLOCK_INPUTS:
                    store_pieces(move(here, i * LANES), load(low), load(high))
                else:
                    store_pieces(move(here, i * LANES), _row(low, i, left), _row(high, i + LANES, left))


@inlined
def _multiply_panels(tile, x, units, depth, w, outputs, out, panel_step, after, room):
    """All panels with a certain tile; out is `panel_step` words further on for the next one."""
    blocks, pieces = blocks_of(depth), room
    configure_tiles()
    for o in range(0, outputs, PANEL):
        panel, to = move(w.weights, o // PANEL * w.panel), o // PANEL * panel_step
        ahead = move(panel, w.panel) if o + PANEL < outputs else after
        split_panel(panel, depth, pieces)
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
                Ahead(ahead, 0 if u else LANES),
            )
    release_tiles()


def linear_units_pieces(
    x: Units, units: int, depth: int, w: UnitWeights, outputs: int, out: Output, after: int, room: int
):
    """`gemm.linear_units` over units whose pieces are at x.words; `room` is the address of room for a panel's."""
    _multiply_panels(tile_pieces, x, units, depth, w, outputs, out, PANEL * out.y.row, after, room)


def rows_of_units(x: Units, units: int, depth: int, w: UnitWeights, outputs: int, y: Operand, after: int, room: int):
    """W x + b as rows of 16 outputs, y [outputs / 16][unit][16 positions][16]; y.row is the way to the next outputs."""
    out = Output(y, no_operand(w.zeros), NO_FLOOR)
    _multiply_panels(tile_rows, x, units, depth, w, outputs, out, 2 * y.row, after, room)


def split_relu_units(x: Units, units: int, depth: int, w: UnitWeights, outputs: int, y: Operand, after: int, room: int):
    """The pieces of max(W x + b, 0), as `split_unit` lays them out: a block of y for each panel, y.step to a unit."""
    out = Output(y, no_operand(w.zeros), RELU)
    _multiply_panels(tile_of_pieces, x, units, depth, w, outputs, out, BLOCK_PIECES, after, room)


if HAS_FLOAT_TILES:
    split_unit, split_panel, linear_units_pieces = linked(split_unit), linked(split_panel), linked(linear_units_pieces)
    rows_of_units, split_relu_units = linked(rows_of_units), linked(split_relu_units)
