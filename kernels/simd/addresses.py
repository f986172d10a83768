"""Arrays whose addresses arrive as numbers: those that every call of a bound kernel has anew."""

import ctypes

import numpy as np
from numba import types
from numba.extending import intrinsic

from ..build.arguments import Floats, Words
from ..build.compiler import typeof
from ..build.options import COMPILED


def _at(kind):
    """The function that turns an address into an array of that kind."""

    @intrinsic
    def array_at(typing, address):
        def build(context, builder, sig, args):
            return args[0]

        return typeof(kind)(types.int64), build

    return array_at


def _plain_at(kind):
    """The same as a view of all memory from there on."""
    return lambda address: np.ctypeslib.as_array((kind * (1 << 40)).from_address(int(address)))


if COMPILED:
    floats_at, words_at = _at(Floats), _at(Words)
else:
    floats_at, words_at = _plain_at(ctypes.c_float), _plain_at(ctypes.c_int64)
