"""Copying rows of floats."""

from ..build.device import inlined
from .tile_float16 import HALF_LANES, store_half
from .vector import LANES, at, load, move, store


@inlined
def copy_row(source, target, width):
    """Copy `width` floats."""
    vectors = width - width % LANES
    for i in range(0, vectors, LANES):
        store(at(target, i), load(at(source, i)))
    for i in range(vectors, width):
        target[i] = source[i]


@inlined
def narrow_row(source, target, width):
    """`width` floats, in whole vectors, as halves; both are addresses."""
    for i in range(width // LANES):
        store_half(move(target, i * HALF_LANES), load(move(source, i * LANES)))
