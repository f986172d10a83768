"""Copying rows of floats."""

from ..build.device import inlined
from .vector import LANES, at, load, store


@inlined
def copy_row(source, target, width):
    """Copy `width` floats."""
    vectors = width - width % LANES
    for i in range(0, vectors, LANES):
        store(at(target, i), load(at(source, i)))
    for i in range(vectors, width):
        target[i] = source[i]
