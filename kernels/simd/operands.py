"""The small structures in which device functions say where things lie in memory.

Addresses are those of float32 numbers (`vector.at`), strides are counted in floats. A stride of 0 uses the same numbers
again: with an address of LANES zeros, it stands for an operand that is absent.
"""

from typing import NamedTuple

from ..build.arguments import Single


class Operand(NamedTuple):
    """A matrix: what belongs to row r and step i begins row * r + step * i floats after the address."""

    address: int
    row: int
    step: int


class Output(NamedTuple):
    """The destination of a product: y = max(sum + accumulate, lower_bound). For both matrices a step is a vector of
    LANES.
    """

    y: Operand
    accumulate: Operand  # a residual, or the sum so far; zeros with strides 0 if there is none
    lower_bound: Single  # 0 for a ReLU, -inf for none


class TileSize(NamedTuple):
    """The size of a tile: rows (1 to 8) by vectors (1 or 2) of results, each a sum of `depth` products."""

    rows: int
    vectors: int
    depth: int


class Bias(NamedTuple):
    """The bias of a tile: a scalar for each row and a vector for each column. Zeros with stride 0: none."""

    rows: int  # address
    row: int  # stride
    columns: int  # address
    vector: int  # stride


class Int8Terms(NamedTuple):
    """Terms that turn integer sums into results: addresses of the weights' terms, and the scales of the activations."""

    scale: int  # address of the scale of each output
    zero_point: int  # int32, what the sum of each output begins with
    bias: int
    x_scale: int
    x_scale_step: int  # stride, from row to row or from vector to vector


class Ahead(NamedTuple):
    """The data needed soon: at every turn of the loop, one line is prefetched, or two of `step` words."""

    address: int
    step: int
