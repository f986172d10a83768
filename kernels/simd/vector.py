"""Sixteen float32 side by side, as a value that kernels compute with.

    v = load(at(x, i)); s = s + v * v; store(at(y, j), exp(s - splat(m)))

`at(x, index)` is the address of an element and `move(address, floats)` one further on. `skip(x, count)` is x without
its first elements, in the same type.

A `Vec` is an LLVM vector; on a processor with narrower registers LLVM splits it. Written out like this, the lanes are
what the source says: no kernel depends on what the auto-vectoriser finds. With NUMBA_DISABLE_JIT=1 a Vec is a numpy
array of 16, and the same source runs.

`exp` is the classic: x = n ln 2 + r with |r| <= ln(2)/2 in two steps (Cody and Waite 1980), a polynomial for e**r
(Cephes' expf), 2**n put together from bits. At most 1.5 units in the last place; exp(-inf) = 0 and below -104 as well,
denormal results are right, above 88.7 comes inf, NaN stays NaN. `exp_falling` is for arguments up to 80, as softmax has
them: results below the smallest normal number are 0, and it takes 16 instructions instead of 26.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.compiler import external
from ..build.device_types import vector_type
from ..build.options import COMPILED
from ..cpu import detect
from ..layout import LANES

F32, I32, I64, BYTES = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()
VECTOR, INTEGERS = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES)


vec = vector_type("Vec", VECTOR)  # Numba's type of an LLVM vector of 16 floats


def constant(value: float, kind=VECTOR):
    """An LLVM vector with `value` in all lanes."""
    return ir.Constant(kind, [value] * kind.count)


def spread(builder, scalar, kind=VECTOR):
    """An LLVM vector with the run-time `scalar` in all lanes."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
    first = ir.Constant(ir.VectorType(I32, kind.count), None)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), first)


def call(builder, name: str, kind, *arguments):
    """Call the LLVM intrinsic `name`, all of whose arguments and result are of type `kind`."""
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    return builder.call(external(builder.module, function_type, name), arguments)


def multiply_add(builder, a, b, c):
    """a b + c of any vectors, fused where the processor can (elsewhere LLVM would call a library for every lane)."""
    if detect().has_fma:
        bits = "f32" if a.type.element == F32 else "f64"
        return call(builder, f"llvm.fma.v{a.type.count}{bits}", a.type, a, b, c)
    return builder.fadd(builder.fmul(a, b), c)


@intrinsic
def _at(typing, array, offset):
    def build(context, builder, sig, args):
        return builder.add(args[0], builder.mul(args[1], ir.Constant(I64, array.itemsize)))

    return types.int64(array, types.int64), build


@intrinsic
def _skip(typing, array, count):
    def build(context, builder, sig, args):
        return builder.add(args[0], builder.mul(args[1], ir.Constant(I64, array.itemsize)))

    return array(array, types.int64), build


@intrinsic
def _move(typing, address, offset):
    def build(context, builder, sig, args):
        return builder.add(args[0], builder.shl(args[1], ir.Constant(I64, 2)))

    return types.int64(types.int64, types.int64), build


@intrinsic
def _load(typing, address):
    def build(context, builder, sig, args):
        return builder.load(builder.inttoptr(args[0], VECTOR.as_pointer()), align=4)

    return vec(types.int64), build


@intrinsic
def _store(typing, address, value):
    def build(context, builder, sig, args):
        builder.store(args[1], builder.inttoptr(args[0], VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, vec), build


@intrinsic
def _splat(typing, x):
    def build(context, builder, sig, args):
        return spread(builder, args[0])

    return vec(types.float32), build


@intrinsic
def _fma(typing, a, b, c):
    def build(context, builder, sig, args):
        return multiply_add(builder, *args)

    return vec(vec, vec, vec), build


@intrinsic
def _maximum(typing, a, b):
    def build(context, builder, sig, args):
        return _larger(builder, *args)

    return vec(vec, vec), build


@intrinsic
def _sqrt(typing, a):
    def build(context, builder, sig, args):
        return call(builder, "llvm.sqrt.v16f32", VECTOR, *args)

    return vec(vec), build


@intrinsic
def _load_first(typing, address, count):
    """The first `count` of 16 floats, then zeros; nothing beyond them is read."""

    def build(context, builder, sig, args):
        base, result = builder.inttoptr(args[0], F32.as_pointer()), ir.Constant(VECTOR, None)
        last = builder.sub(args[1], ir.Constant(I64, 1))
        for lane in range(LANES):
            inside = builder.icmp_signed("<=", ir.Constant(I64, lane), last)
            scalar = builder.load(builder.gep(base, [builder.select(inside, ir.Constant(I64, lane), last)]), align=4)
            value = builder.select(inside, scalar, ir.Constant(F32, 0.0))
            result = builder.insert_element(result, value, ir.Constant(I32, lane))
        return result

    return vec(types.int64, types.int64), build


@intrinsic
def _put(typing, address, value):
    """Store one float."""

    def build(context, builder, sig, args):
        builder.store(args[1], builder.inttoptr(args[0], F32.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), build


@intrinsic
def _prefetch(typing, address):
    """Ask for the line at an address, which need not be one that may be read, to be in the second-level cache soon."""

    def build(context, builder, sig, args):
        hints = (ir.Constant(I32, hint) for hint in (0, 2, 1))  # to read, keep it near but not nearest, data
        kind = ir.FunctionType(ir.VoidType(), [BYTES, I32, I32, I32])
        function = external(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [builder.inttoptr(args[0], BYTES), *hints])
        return context.get_dummy_value()

    return types.void(types.int64), build


def _across(combine):
    """An intrinsic that combines all lanes of a Vec into one float: halves onto each other."""

    @intrinsic
    def reduce(typing, a):
        def build(context, builder, sig, args):
            (a,) = args
            for distance in (8, 4, 2, 1):
                mask = ir.Constant(INTEGERS, [(lane + distance) % LANES for lane in range(LANES)])
                a = combine(builder, a, builder.shuffle_vector(a, a, mask))
            return builder.extract_element(a, ir.Constant(I32, 0))

        return types.float32(vec), build

    return reduce


def _larger(builder, a, b):
    return builder.select(builder.fcmp_ordered("<", a, b), b, a)


_total, _greatest = _across(lambda builder, a, b: builder.fadd(a, b)), _across(_larger)


def _fold(builder, a, b):
    """Every four lanes become (a0 + a2, b0 + b2, a1 + a3, b1 + b3)."""
    low = [4 * (i // 4) + i % 4 // 2 + LANES * (i % 2) for i in range(LANES)]
    halves = [ir.Constant(INTEGERS, [i + more for i in low]) for more in (0, 2)]
    return builder.fadd(*(builder.shuffle_vector(a, b, half) for half in halves))


@intrinsic
def _totals(typing, a, b, c, d):
    """The totals of four Vecs, in the first four lanes: half the work of four times `total`."""

    def build(context, builder, sig, args):
        a, b, c, d = args
        sums = _fold(builder, _fold(builder, a, c), _fold(builder, b, d))
        for distance in (8, 4):
            mask = ir.Constant(INTEGERS, [(lane + distance) % LANES for lane in range(LANES)])
            sums = builder.fadd(sums, builder.shuffle_vector(sums, sums, mask))
        return sums

    return vec(vec, vec, vec, vec), build


# e**r on |r| <= ln(2)/2 is 1 + r + r**2 (sum of EXP[i] r**i): Cephes' coefficients, highest power first
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # their sum is ln 2; n LN2_HIGH is exact for |n| < 2**15


ROUND = 1.5 * 2**23  # added to a small number, it pushes the fraction out of the mantissa


def _power_of_two(builder, n):
    """2.0**n for integers in [-126, 127], from the bits of the exponent."""
    bits = builder.shl(builder.add(n, constant(127, INTEGERS)), constant(23, INTEGERS))
    return builder.bitcast(bits, VECTOR)


@intrinsic
def _exp(typing, x):
    def build(context, builder, sig, args):
        low, high = constant(-104.0), constant(89.0)
        x = builder.select(builder.fcmp_ordered("<", args[0], low), low, args[0])
        x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
        shifted = multiply_add(builder, x, constant(1.4426950408889634), constant(ROUND))
        n = builder.fsub(shifted, constant(ROUND))
        r = multiply_add(builder, n, constant(-LN2_HIGH), x)
        r = multiply_add(builder, n, constant(-LN2_LOW), r)
        p = constant(EXP[0])
        for coefficient in EXP[1:]:
            p = multiply_add(builder, p, r, constant(coefficient))
        p = builder.fadd(multiply_add(builder, p, builder.fmul(r, r), r), constant(1.0))
        n = builder.sub(builder.bitcast(shifted, INTEGERS), builder.bitcast(constant(ROUND), INTEGERS))
        half = builder.ashr(n, constant(1, INTEGERS))  # in two factors, so that denormal results come out right
        p = builder.fmul(p, _power_of_two(builder, half))
        return builder.fmul(p, _power_of_two(builder, builder.sub(n, half)))

    return vec(vec), build


SMALLEST = -87.33654  # ln of the smallest normal number


@intrinsic
def _exp_falling(typing, x):
    def build(context, builder, sig, args):
        low, origin = constant(SMALLEST), ROUND + 127
        x = builder.select(builder.fcmp_ordered("<", args[0], low), low, args[0])
        shifted = multiply_add(builder, x, constant(1.4426950408889634), constant(origin))
        n = builder.fsub(shifted, constant(origin))
        r = multiply_add(builder, n, constant(-LN2_HIGH), x)
        r = multiply_add(builder, n, constant(-LN2_LOW), r)
        p = constant(EXP[0])
        for coefficient in (*EXP[1:], 1.0, 1.0):
            p = multiply_add(builder, p, r, constant(coefficient))
        power = builder.bitcast(builder.shl(builder.bitcast(shifted, INTEGERS), constant(23, INTEGERS)), VECTOR)
        vanished = builder.fcmp_ordered("<=", x, low)
        return builder.select(vanished, constant(0.0), builder.fmul(p, power))

    return vec(vec), build


def _plain_at(array, offset):
    return array[offset:]


def _plain_load(address):
    return address[:LANES].copy()


def _plain_store(address, value):
    address[:LANES] = value


def _plain_load_first(address, count):
    return np.pad(address[: min(count, LANES)], (0, max(0, LANES - count)))


def _plain_put(address, value):
    address[0] = value


def _plain_prefetch(address):
    """Nothing to be done."""


def _plain_totals(*vectors):
    return np.tile(np.sum(vectors, axis=1), LANES // 4)


def _plain_splat(x):
    return np.full(LANES, x, np.float32)


def _plain_exp(x):
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(x)


if COMPILED:
    skip = _skip
    at, move, load, store, splat, fma, maximum = _at, _move, _load, _store, _splat, _fma, _maximum
    sqrt, exp, total, greatest, load_first, put, prefetch = _sqrt, _exp, _total, _greatest, _load_first, _put, _prefetch
    exp_falling, totals = _exp_falling, _totals
else:
    skip = _plain_at
    at, move, load, store, splat, maximum = _plain_at, _plain_at, _plain_load, _plain_store, _plain_splat, np.maximum
    sqrt, exp, total, greatest, load_first = np.sqrt, _plain_exp, np.sum, np.max, _plain_load_first
    exp_falling, totals, put, prefetch = _plain_exp, _plain_totals, _plain_put, _plain_prefetch

    def fma(a, b, c):
        """a b + c."""
        return a * b + c
