"""Numba types of device code: addresses with which it indexes memory, and vectors.

    x[i], x[i] = v          an element of Floats, Doubles, Words
    plan[row, column]       an element of a table
    plan[row]               a row of a table, as Words

An index may be any integer, also a negative one: x[-1] is the element before x[0]. Nothing is checked. What is
without owners needs no reference counts, so Numba's runtime never appears in the machine code.

`vector_type` makes a type whose values are LLVM vectors, with +, -, * and / of two of them.
"""

import operator

from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, models, register_model, type_callable, typeof_impl

from .arguments import PointerTo

I64 = ir.IntType(64)
ELEMENTS = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "int64": I64}


class Pointer(types.Type):
    """The address of the first of many elements, or of rows of `columns` elements."""

    def __init__(self, dtype: str, columns: int = 0):
        self.dtype, self.columns = getattr(types, dtype), columns
        self.element, self.itemsize = ELEMENTS[dtype], self.dtype.bitwidth // 8
        super().__init__(f"Pointer({dtype}, {columns})")

    def to(self, builder, address, index):
        """The LLVM pointer to an element."""
        offset = builder.mul(index, I64(self.itemsize))
        return builder.inttoptr(builder.add(address, offset), self.element.as_pointer())


@register_model(Pointer)
class PointerModel(models.PrimitiveModel):
    """A pointer is an int64."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, I64)


@typeof_impl.register(PointerTo)
def typeof_pointer(value: PointerTo, context):
    """So that numba.typeof knows annotations."""
    return Pointer(value.dtype, value.columns)


@type_callable(operator.getitem)
def type_getitem(context):
    """An element, or the row of a table."""

    def typer(pointer, index):
        if not isinstance(pointer, Pointer):
            return None
        if isinstance(index, types.Integer):
            return Pointer(str(pointer.dtype)) if pointer.columns else pointer.dtype
        return pointer.dtype if pointer.columns and isinstance(index, types.BaseTuple) and len(index) == 2 else None

    return typer


@type_callable(operator.setitem)
def type_setitem(context):
    """Elements only; rows are not assigned."""

    def typer(pointer, index, value):
        fits = isinstance(pointer, Pointer) and not pointer.columns and isinstance(index, types.Integer)
        return types.none if fits else None

    return typer


def _int64(context, builder, value, kind):
    return context.cast(builder, value, kind, types.int64)


@lower_builtin(operator.getitem, Pointer, types.Integer)
def lower_getitem(context, builder, sig, args):
    pointer, index = sig.args[0], _int64(context, builder, args[1], sig.args[1])
    if pointer.columns:
        return builder.add(args[0], builder.mul(index, I64(pointer.columns * pointer.itemsize)))
    return builder.load(pointer.to(builder, args[0], index), align=pointer.itemsize)


@lower_builtin(operator.getitem, Pointer, types.BaseTuple)
def lower_table_getitem(context, builder, sig, args):
    pointer, kinds = sig.args
    row, column = (_int64(context, builder, builder.extract_value(args[1], i), kinds[i]) for i in (0, 1))
    index = builder.add(builder.mul(row, I64(pointer.columns)), column)
    return builder.load(pointer.to(builder, args[0], index), align=pointer.itemsize)


@lower_builtin(operator.setitem, Pointer, types.Integer, types.Any)
def lower_setitem(context, builder, sig, args):
    pointer, index = sig.args[0], _int64(context, builder, args[1], sig.args[1])
    value = context.cast(builder, args[2], sig.args[2], pointer.dtype)
    builder.store(value, pointer.to(builder, args[0], index), align=pointer.itemsize)
    return context.get_dummy_value()


ARITHMETIC = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}


def vector_type(name: str, vector: ir.VectorType) -> types.Type:
    """A type whose values are LLVM vectors of that type."""
    kind = type(name, (types.Type,), {})(name)

    @register_model(type(kind))
    class Model(models.PrimitiveModel):
        def __init__(self, manager, kind):
            super().__init__(manager, kind, vector)

    for operation, instruction in ARITHMETIC.items():
        _arithmetic(kind, operation, instruction)
    return kind


def _arithmetic(kind: types.Type, operation, instruction: str) -> None:
    """Let `operation` take two values of that kind."""

    @type_callable(operation)
    def type_operation(context):
        return lambda a, b: kind if (a, b) == (kind, kind) else None

    @lower_builtin(operation, kind, kind)
    def lower_operation(context, builder, sig, args):
        return getattr(builder, instruction)(*args)
