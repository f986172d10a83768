"""The parts of a matrix product: activations, packed weights, and which part of a matrix is multiplied.

Where weights are floats or halves, products read floats, or their pieces (`gemm_pieces.py`); where they are bytes, they
read the bytes and scales that `quantize.py` makes of the same numbers. Structures hold the addresses of all, and a
product uses what it needs.
"""

from typing import NamedTuple

from ..build.device import inlined
from ..layout import FLOAT16, INT8, LANES, PANEL
from ..simd.operands import Operand
from ..simd.vector import move, prefetch

AHEAD = 2048  # words before its use at which few rows prefetch a weight: from memory, a quarter faster
JUMP_LINES = 64  # cache lines prefetched where reading will jump to


class Rows(NamedTuple):
    """Activations of some positions, a row each: as floats, and as words of four bytes with a scale for each chunk.

    Floats may lie side by side instead, in units of 16 rows, [input][16].
    """

    floats: Operand
    words: Operand
    scales: Operand
    unit: int  # floats from one unit to the next


class Units(NamedTuple):
    """Activations in units of 16 positions, [feature][16]."""

    floats: int  # address
    unit: int  # floats from one to the next
    words: int
    words_unit: int
    scales: int
    scales_unit: int
    pieces: int  # 1 where words are pieces of floats, which AMX multiplies


class Panel(NamedTuple):
    """32 outputs of a matrix: their weights, and terms, of which float weights have the bias only."""

    weights: int  # address
    ahead: int  # words after the weight in use, to be prefetched by few rows
    following: int  # address of the weights after these, to be prefetched by many rows
    bias: int  # address of 32, or of zeros
    scale: int
    zero_point: int  # zero point of the first chunk of inputs
    chunk: int  # words to the zero points of the next chunk
    zeros: int  # address of LANES zeros


class Panels(NamedTuple):
    """Several panels of a matrix in a row."""

    first: Panel
    count: int
    words: int  # from one panel's weights to the next
    bias: int  # from one panel's bias to the next: PANEL, or 0 where there is none


class Matrix(NamedTuple):
    """A packed matrix."""

    dtype: int  # weight dtype: FLOAT32, INT8 or FLOAT16
    weights: int  # address
    terms: int  # address of the bias, or with bytes of bias, scale and zero points
    inputs: int
    outputs: int  # in whole panels
    zeros: int  # address of LANES zeros


class MatrixSlice(NamedTuple):
    """Some outputs of a matrix, over some of its inputs."""

    output: int  # the first
    outputs: int
    input: int  # the first, at the beginning of a chunk
    inputs: int


class UnitWeights(NamedTuple):
    """Panels of floats for `gemm.linear_units`."""

    weights: int  # address of the first
    panel: int  # floats from one to the next
    bias: int  # address
    bias_step: int  # 1, or 0 for a bias of zeros
    zeros: int  # address of LANES zeros


@inlined
def no_operand(zeros):
    """Return what stands for a matrix of zeros."""
    return Operand(zeros, 0, 0)


@inlined
def panel_words(depth, dtype):
    """Words of 32 bits of one panel with `depth` inputs."""
    if dtype == INT8:
        return (depth + 3) // 4 * PANEL
    return depth * (PANEL // 2) if dtype == FLOAT16 else depth * PANEL


@inlined
def panel_offset(dtype, inputs, output, begin):
    """Words from a matrix' first weight to the panel of an output, from input `begin` on."""
    return output // PANEL * panel_words(inputs, dtype) + panel_words(begin, dtype)


@inlined
def panel_of(weights, following, terms, outputs, zeros):
    """The Panel of weights and terms (addresses); a matrix has `outputs` in whole panels."""
    return Panel(weights, AHEAD, following, terms, move(terms, outputs), move(terms, 2 * outputs), outputs, zeros)


@inlined
def prefetch_lines(address, lines):
    """Prefetch some lines that will be read: where reading jumps, no processor guesses where to."""
    for i in range(0, lines * LANES, LANES):
        prefetch(move(address, i))
