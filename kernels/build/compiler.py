"""From a Python function to machine code: the only file that imports Numba, and only imported when there is a need.

Numba types the function and lowers it to LLVM; the wrappers by which Python would call it are left out, and its code is
emitted as an object file, which `objects.py` puts into memory in this run as in all later ones.

For this the kernels are a target of their own in Numba's list (`target_extension`), a CPU whose code is never run from
here. Numba's CPU target optimises every helper by itself, emits it, loads it into memory, where nobody calls it, then
optimises its callers with it once more, and emits them. Here a kernel is optimised once, when all of its helpers are in
it, and emitted once: 8.4 s for all instead of 11.0. The code is smaller (log-softmax by a quarter) and not slower:
encoder and generation take 1 % less time; only the filterbank takes 0.53 ms instead of 0.50.
"""

import contextlib
import functools
import gc
import operator
from collections.abc import Iterator

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba.core import compiler, typed_passes, untyped_passes
from numba.core.cgutils import get_or_insert_function
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext
from numba.core.registry import CPUDispatcher, CPUTarget
from numba.core.target_extension import CPU, dispatcher_registry, jit_registry, target_override, target_registry
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from .lazy_numba import now
from .object_loader import ROW, Compiled, llvm_types

types = numba.types


class Library(JITCodeLibrary):
    """A function and what it calls, on their way into an object file."""

    def _optimize_functions(self, module):
        module.data_layout = str(self.codegen.target_data)

    def _optimize_final_module(self):
        """Nothing yet: see `emit`."""

    def _finalize_specific(self):
        """Nothing is loaded."""

    def get_pointer_to_function(self, name):
        """There is none; but callers want it complete."""
        self._ensure_finalized()
        return 0

    def emit(self, beside) -> bytes:
        """The object file, of optimised code and of a module `beside` it."""
        manager = self.codegen._module_pass_manager()
        passes, *builder = manager if isinstance(manager, tuple) else (manager,)  # a pair since Numba 0.62
        passes.run(self._final_module, *builder)
        self._final_module.link_in(beside)
        return self.codegen._tm.emit_object(self._final_module)


class Codegen(JITCPUCodegen):
    """The same code for the same processor, but no engine gets it."""

    _library_class = Library

    def _add_module(self, module):
        """Not into the engine."""

    def set_env(self, name, environment):
        """What functions need that raise exceptions; kernels do not."""


class Context(CPUContext):
    """How types and operations become code: as on any CPU."""

    def init(self):
        super().init()
        self._internal_codegen = Codegen("s2t-np")


class Target(CPUTarget):
    """The two contexts of the target."""

    @functools.cached_property
    def _toplevel_target_context(self):
        return Context(self.typing_context, self._target_name)


NAME = "s2t_np"
TARGET = Target(NAME)


class ObjectFile(CPU):
    """The target's place in Numba's list: what is defined for any CPU holds for it."""


class Helper(CPUDispatcher):
    """A function for this target only."""

    targetdescr = TARGET


class Pipeline(compiler.CompilerBase):
    """Numba's way from Python to LLVM without what kernels have no use for, a sixteenth of the time."""

    SKIPPED = (
        untyped_passes.InlineClosureLikes,
        untyped_passes.DeadBranchPrune,
        typed_passes.InlineOverloads,
        typed_passes.NopythonRewrites,
    )

    def define_pipelines(self):
        passes = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [entry for entry in passes.passes if entry[0] not in self.SKIPPED]
        return [passes]


target_registry[NAME] = ObjectFile
dispatcher_registry[ObjectFile] = Helper
jit_registry[ObjectFile] = functools.partial(numba.jit, _target=NAME)


def helper(function, options: dict):
    """A function that is compiled into its callers."""
    wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(_target=NAME, pipeline_class=Pipeline, **options, **wrappers)(function)


def kinds_of(signature) -> list[str]:
    """What `objects` needs to know of the arguments, those in tuples one by one."""
    kinds = []
    for kind in signature.args:
        for leaf in kind if isinstance(kind, types.BaseTuple) else [kind]:
            named = {types.int64: "i", types.float32: "f", types.float64: "d", types.boolean: "b"}
            kinds.append(f"{leaf.dtype} {leaf.ndim}" if isinstance(leaf, types.Array) else named[leaf])
    return kinds


def _check_convention(function, kinds: list[str]) -> None:
    """Raise RuntimeError if this version of Numba hands arguments over in another way than `objects` does."""
    spelled = [str(argument.type) for argument in function.arguments][2:]
    found = ["ptr" if kind.endswith("*") else kind for kind in spelled]  # before Numba 0.62, pointers have types
    if found != (expected := [name for kind in kinds for name in llvm_types(kind)]):
        raise RuntimeError(f"Numba {numba.__version__} passes {found}, expected {expected}")


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Numba's intermediate forms are many objects, none of them garbage: looking through them takes a second in all."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _caller(symbol: str, kinds: list[str]):
    """A module with the function that calls `symbol` with a row of words (`objects.Entry`); pointers are words too."""
    source, word = ir.Module(), ir.IntType(64)
    scalars = {"i": word, "f": ir.FloatType(), "d": ir.DoubleType(), "b": ir.IntType(8)}
    slots = [word, word] + [scalars.get(kind, word) for kind in kinds for _ in llvm_types(kind)]
    callee = ir.Function(source, ir.FunctionType(ir.IntType(32), slots), symbol)
    caller = ir.Function(source, ir.FunctionType(ir.IntType(32), [word.as_pointer()]), symbol + ROW)
    builder = ir.IRBuilder(caller.append_basic_block())
    places = [builder.gep(caller.args[0], [ir.Constant(word, i)]) for i in range(len(slots))]
    numbers = [builder.load(builder.bitcast(at, slot.as_pointer())) for at, slot in zip(places, slots, strict=True)]
    builder.ret(builder.call(callee, numbers))
    module = llvm.parse_assembly(str(source))
    module.triple, module.data_layout = (
        TARGET.target_context.codegen()._tm.triple,
        str(TARGET.target_context.codegen().target_data),
    )
    return module


def machine_code(function, signature, options: dict) -> Compiled:
    """Compile `function` for that signature, which gives no result; `options` are those of numba.njit."""
    flags = compiler.Flags()
    TARGET.options.parse_as_flags(flags, {"nopython": True} | options)
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    contexts = TARGET.typing_context, TARGET.target_context
    with global_compiler_lock, _without_collections(), target_override(NAME):
        for context in contexts:
            context.refresh()
        types = signature.args, signature.return_type
        result = compiler.compile_extra(*contexts, function, *types, flags, {}, pipeline_class=Pipeline)
        result.library.finalize()
    module, symbol = result.library._final_module, result.fndesc.llvm_func_name
    kinds = kinds_of(signature)
    _check_convention(module.get_function(symbol), kinds)
    called = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    code = result.library.emit(_caller(symbol, kinds))
    return Compiled(symbol, kinds, called, code)


def declare(part) -> None:
    """Teach Numba that `part` is a function which kernels reach by its name."""
    signature = now(part.signature)

    class Template(AbstractTemplate):
        key = part

        def generic(self, args, kws):
            return signature if len(args) == len(signature.args) else None

    infer_global(part, types.Function(Template))

    @lower_builtin(part, *signature.args)
    def call(context, builder, sig, args):
        kind = context.call_conv.get_function_type(sig.return_type, sig.args)
        target = get_or_insert_function(builder.module, kind, part.name)
        return context.call_conv.call_function(builder, target, sig.return_type, sig.args, args)[1]


def vector_type(name: str, vector):
    """A type of Numba's whose values are LLVM vectors, with +, -, * and /."""
    kind = type(name, (types.Type,), {})(name)

    @register_model(type(kind))
    class Model(models.PrimitiveModel):
        def __init__(self, manager, kind):
            super().__init__(manager, kind, vector)

    for operation, instruction in ARITHMETIC.items():
        _arithmetic(kind, operation, instruction)
    return kind


ARITHMETIC = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}


def _arithmetic(kind, operation, instruction: str) -> None:
    """Let `operation` take two values of that kind."""

    @infer_global(operation)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            return signature(kind, kind, kind) if args == (kind, kind) else None

    @lower_builtin(operation, kind, kind)
    def lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args)
