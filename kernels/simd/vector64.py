"""Eight float64 side by side, for what float32 is too coarse for: the filterbank, a frame in each lane.

    v = load(x, i); store(y, j, log(maximum(v, splat(floor))))

Places are a pointer and an index. As in `vector.py`, LLVM splits
vectors that are wider than the processor's registers, and with NUMBA_DISABLE_JIT=1 they are numpy arrays of 8.

`log` is for normal positive numbers, inf and NaN: x = 2**n m with m in [2/3, 4/3), s = (m - 1) / (m + 1), and
ln x = n ln 2 + 2 (s + s**3 / 3 + ... + s**13 / 13), whose next term is below 1e-11.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.device_types import vector_type
from ..build.options import COMPILED
from ..layout import DOUBLE_LANES
from .vector import F32, I32, I64, constant, multiply_add, spread

F64 = ir.DoubleType()
DOUBLE_VECTOR, LONGS = ir.VectorType(F64, DOUBLE_LANES), ir.VectorType(I64, DOUBLE_LANES)


doubles = vector_type("Vec64", DOUBLE_VECTOR)  # Numba's type of an LLVM vector of 8 doubles


@intrinsic
def _load(typing, array, index):
    def build(context, builder, sig, args):
        address = sig.args[0].to(builder, *args)
        return builder.load(builder.bitcast(address, DOUBLE_VECTOR.as_pointer()), align=8)

    return doubles(array, types.int64), build


@intrinsic
def _store(typing, array, index, value):
    def build(context, builder, sig, args):
        address = sig.args[0].to(builder, *args[:2])
        builder.store(args[2], builder.bitcast(address, DOUBLE_VECTOR.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, doubles), build


@intrinsic
def _splat(typing, x):
    def build(context, builder, sig, args):
        return spread(builder, args[0], DOUBLE_VECTOR)

    return doubles(types.float64), build


@intrinsic
def _fma(typing, a, b, c):
    def build(context, builder, sig, args):
        return multiply_add(builder, *args)

    return doubles(doubles, doubles, doubles), build


@intrinsic
def _maximum(typing, a, b):
    """The larger of two; NaN if a is NaN."""

    def build(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", *args), args[1], args[0])

    return doubles(doubles, doubles), build


@intrinsic
def _gather(typing, array, index, stride, count):
    """Every stride-th float32 or float64 from an index on, `count` of them; the other lanes repeat the last."""

    def build(context, builder, sig, args):
        last, result = (
            builder.sub(args[3], ir.Constant(I64, 1)),
            ir.Constant(ir.VectorType(sig.args[0].element, DOUBLE_LANES), ir.Undefined),
        )
        base, size = sig.args[0].to(builder, *args[:2]), sig.args[0].itemsize
        for lane in range(DOUBLE_LANES):
            step = ir.Constant(I64, lane)
            step = builder.select(builder.icmp_signed("<", step, last), step, last)
            scalar = builder.load(builder.gep(base, [builder.mul(step, args[2])]), align=size)
            result = builder.insert_element(result, scalar, ir.Constant(I32, lane))
        return result if size == 8 else builder.fpext(result, DOUBLE_VECTOR)

    return doubles(array, types.int64, types.int64, types.int64), build


@intrinsic
def _scatter(typing, array, index, stride, count, value):
    """The first `count` lanes, as float32 where those are, to every stride-th element from an index on."""

    def build(context, builder, sig, args):
        base, size = sig.args[0].to(builder, *args[:2]), sig.args[0].itemsize
        lanes = args[4] if size == 8 else builder.fptrunc(args[4], ir.VectorType(F32, DOUBLE_LANES))
        for lane in range(DOUBLE_LANES):
            with builder.if_then(builder.icmp_signed(">", args[3], ir.Constant(I64, lane))):
                scalar = builder.extract_element(lanes, ir.Constant(I32, lane))
                builder.store(scalar, builder.gep(base, [builder.mul(ir.Constant(I64, lane), args[2])]), align=size)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, types.int64, doubles), build


TWO_THIRDS = 0x3FE5555555555555  # the bits of 2/3


@intrinsic
def _log(typing, x):
    def build(context, builder, sig, args):
        (x,), one = args, constant(1.0, DOUBLE_VECTOR)
        above = builder.sub(builder.bitcast(x, LONGS), constant(TWO_THIRDS, LONGS))
        exponent = builder.ashr(above, constant(52, LONGS))
        power = builder.shl(exponent, constant(52, LONGS))
        m = builder.bitcast(builder.sub(builder.bitcast(x, LONGS), power), DOUBLE_VECTOR)
        s = builder.fdiv(builder.fsub(m, one), builder.fadd(m, one))
        square, series = builder.fmul(s, s), constant(2 / 13, DOUBLE_VECTOR)
        for odd in (11, 9, 7, 5, 3, 1):
            series = multiply_add(builder, series, square, constant(2 / odd, DOUBLE_VECTOR))
        n = builder.sitofp(exponent, DOUBLE_VECTOR)
        result = multiply_add(builder, n, constant(float(np.log(2.0)), DOUBLE_VECTOR), builder.fmul(series, s))
        return builder.select(builder.fcmp_ordered("<", x, constant(float("inf"), DOUBLE_VECTOR)), result, x)

    return doubles(doubles), build


def _plain_load(array, index):
    return array[index : index + DOUBLE_LANES].copy()


def _plain_store(array, index, value):
    array[index : index + DOUBLE_LANES] = value


def _plain_splat(x):
    return np.full(DOUBLE_LANES, x)


def _plain_fma(a, b, c):
    return a * b + c


def _plain_gather(array, index, stride, count):
    return array[index + np.minimum(np.arange(DOUBLE_LANES), count - 1) * stride].astype(np.float64)


def _plain_scatter(array, index, stride, count, value):
    array[index + np.arange(count) * stride] = value[:count]


if COMPILED:
    load, store, splat, fma, maximum, gather, scatter, log = (
        *(_load, _store, _splat, _fma, _maximum, _gather, _scatter, _log),
    )
else:
    load, store, splat, fma, maximum = _plain_load, _plain_store, _plain_splat, _plain_fma, np.maximum
    gather, scatter, log = _plain_gather, _plain_scatter, np.log
