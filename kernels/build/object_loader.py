"""Machine code in memory: object files, made by LLVM for this processor, put where they can be called.

llvmlite alone does this; neither Numba nor the source is looked at.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import llvmlite.binding as llvm

from ..cpu import compiler_target


class Code(NamedTuple):
    """An object file."""

    defines: list[str]  # functions that others may call
    needs: list[str]  # functions that it calls elsewhere
    data: bytes


class Unusable(Exception):
    """Machine code that this process cannot run."""


@functools.cache
def target_machine():
    """LLVM's code generator for the processor and features that Numba would compile for."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = compiler_target()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=name, features=features, opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


def code_of(module) -> Code:
    """The object file of an LLVM module, as it is: nothing is optimised."""
    machine = target_machine()
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    functions = list(module.functions)
    needs = [f.name for f in functions if f.is_declaration and not f.name.startswith("llvm.")]
    defines = [f.name for f in functions if not f.is_declaration and f.linkage == llvm.Linkage.external]
    return Code(defines, needs, machine.emit_object(module))


@functools.cache
def _engine():
    """The owner of all code in memory."""
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())


def load(codes: Iterable[Code]) -> dict[str, int]:
    """Put object files that may call each other into memory; the addresses of their functions by name.

    Raises Unusable if they call a function that is nowhere: the linker would end the process.
    """
    engine, codes = _engine(), list(codes)  # the engine first: with it LLVM knows the symbols of this process
    defined = [name for code in codes for name in code.defines]
    needed = {name for code in codes for name in code.needs} - set(defined)
    if missing := sorted(name for name in needed if llvm.address_of_symbol(name) is None):
        raise Unusable(f"kernels call {missing[0]}, which is not there")
    for code in codes:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code.data))
    engine.finalize_object()
    return {name: engine.get_function_address(name) for name in defined}
