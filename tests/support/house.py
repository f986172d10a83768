"""How the house rules are checked: functions from source text to a list of violations, empty where the rule is kept.

They read source with `ast` and run nothing. Each takes the texts it judges as an argument, so that test_house.py can
also give it a text that breaks the rule and see it found.
"""

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

Sources = dict[str, str]  # path from the repository root, with /, -> text

# Rooms of s2t_np, lowest first. A room may import from the lines above its own; within a line nobody knows the others.
ORDER = (
    ("errors", "ops", "activations"),
    ("settings",),
    ("config", "system"),
    ("arguments", "audio", "checkpoint", "features", "search", "tokenizer"),
    ("parts", "together"),
    ("layers",),
    ("encoder", "decoder"),
    ("architectures",),
    ("hotwords", "weights"),
    ("longform",),
    ("backend",),
    ("sending",),
    ("model",),
    ("ensemble",),
    ("loading",),
    ("hf", "batch", "formats"),
    ("evaluation", "inspect", "transcriber"),
    ("training",),
    ("serve",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
# Only inside the function that needs them:
LATE = {
    "scipy",
    "yaml",
    "soundfile",
    "sentencepiece",
    "huggingface_hub",
    "s2t_np_kernels",
    "matplotlib",
    "av",
    "fsspec",
    "aiohttp",
    "sounddevice",
    "sacrebleu",
    "starlette",
    "uvicorn",
    "multipart",
    "websockets",
    "ray",
}
ORACLES = {"torch", "torchaudio", "transformers", "safetensors", "kaldi_native_fbank"} | {
    "onnx",
    "onnxruntime",
    "openvino",
    "optimum",
}
TOOLS_WITH_ORACLES = {
    f"tools/{name}.py"
    for name in (
        "upstream/torch_worker",
        "upstream/train_worker",
        "upstream/peer_worker",
        "make_fairseq_answers",
        "fuzz/readers",
    )
}
KERNELS_MAY = {"numpy", "llvmlite", "kernels"} | sys.stdlib_module_names
# Device code and what compiles it; the rest of kernels is what a run imports, which does without Numba.
KNOW_THE_MODEL = ("kernels/backend.py", "kernels/doors.py")  # the face, and the errors it raises
DEVICE_ROOMS = ("simd", "ops", "decoder", "encoder")
COMPILING = {
    f"kernels/build/{name}.py" for name in ("__main__", "compiler", "device", "device_types", "in_process", "modules")
}
# Numba's names that kernels use: all of them stand in its manual (User Manual "Creating C callbacks with @cfunc" and
# "Types and signatures", Extending Numba "High-level" and "Low-level extension API").
NUMBA_NAMES = {
    *("cfunc", "typeof", "types", "extending.intrinsic", "extending.lower_builtin", "extending.models"),
    *("extending.register_jitable", "extending.register_model", "extending.type_callable", "extending.typeof_impl"),
    *("types.BaseTuple", "types.Integer", "types.Any", "types.Type", "types.none", "types.void"),
    *("types.int64", "types.float32", "types.float64"),
}
MODEL_ROOMS = ("ops", "layers", "encoder", "decoder", "features")


def package_of(path: str) -> list[str]:
    """The package a file belongs to, as its relative imports count: s2t_np/search/beam.py -> [s2t_np, search]."""
    return list(PurePosixPath(path).parts[:-1])


def imported(path: str, text: str) -> Iterator[tuple[str, bool]]:
    """Every name a file imports, absolute, and whether at once or late, in a function: ("s2t_np.ops.Ops", True)."""
    tree = ast.parse(text)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    late = {id(node) for function in ast.walk(tree) if isinstance(function, kinds) for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, id(node) not in late) for name in node.names)
        if isinstance(node, ast.ImportFrom):
            package = package_of(path)
            start = package[: len(package) - node.level + 1] if node.level else []
            source = [*start, *([node.module] if node.module else [])]
            yield from ((".".join([*source, name.name]), id(node) not in late) for name in node.names)


def room_of(module: str) -> str:
    """s2t_np.search.beam.best -> search; s2t_np.load and s2t_np itself -> __init__."""
    parts = module.split(".")
    rooms = {room for line in ORDER for room in line}
    return parts[1] if len(parts) > 1 and parts[1] in rooms else "__init__"


def upward_imports(sources: Sources) -> list[str]:
    """Imports within s2t_np that do not lead to a lower room, and rooms that nobody has placed."""
    level = {room: i for i, line in enumerate(ORDER) for room in line}
    found = []
    for path, text in sources.items():
        room = PurePosixPath(path).parts[1].removesuffix(".py")
        if room not in level:
            found.append(f"{path}: room {room} has no place in ORDER")
            continue
        for module, _ in imported(path, text):
            target = room_of(module)
            if module.split(".")[0] == "s2t_np" and target != room and level[target] >= level[room]:
                found.append(f"{path}: {room} imports {target}")
    return found


def foreign_imports(sources: Sources) -> list[str]:
    """What s2t_np imports at once, beside numpy and the standard library, and late, beside LATE."""
    always = {"numpy", "s2t_np"} | sys.stdlib_module_names
    found = []
    for path, text in sources.items():
        for module, at_once in imported(path, text):
            name = module.split(".")[0]
            if name not in (always if at_once else always | LATE):
                found.append(f"{path}: imports {name}" + " at once" * at_once)
            if name == "s2t_np_kernels" and path != "s2t_np/backend.py":
                found.append(f"{path}: imports kernels, which only backend.py may")
    return found


def is_device(path: str) -> bool:
    """Whether a file of kernels is device code, or compiles it: only then may it import Numba."""
    room, name = PurePosixPath(path).parts[1], PurePosixPath(path).stem
    return path in COMPILING or (room in DEVICE_ROOMS and name != "__init__" and not name.endswith(("host", "columns")))


def kernel_imports(sources: Sources) -> list[str]:
    """What kernels imports beside numpy, llvmlite and itself; its face may know s2t_np, device code Numba.

    The running process never imports device code at once, so a run does without Numba.
    """
    found = []
    for path, text in sources.items():
        besides = {"numba"} if is_device(path) else {"s2t_np"} if path in KNOW_THE_MODEL else set()
        for module, at_once in imported(path, text):
            if module.split(".")[0] not in KERNELS_MAY | besides:
                found.append(f"{path}: imports {module}")
            files = {f"{name.replace('.', '/')}.py" for name in (module, module.rpartition(".")[0])}
            if at_once and not is_device(path) and any(file in sources and is_device(file) for file in files):
                found.append(f"{path}: imports device code, {module}")
    return found


def numba_names(sources: Sources) -> set[str]:
    """All names of Numba's that files use: those they import, and attributes of its modules."""
    used = set()
    for text in sources.values():
        tree = ast.parse(text)
        modules = {"numba": "", "types": "types."} if "numba" in text else {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "numba":
                used |= {f"{node.module}.{name.name}".removeprefix("numba.") for name in node.names}
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                used.add(modules[node.value.id] + node.attr)
    return used


def oracle_imports(sources: Sources) -> list[str]:
    """torch and its like, anywhere but in the tools named above and in tests/parity."""
    return [
        f"{path}: imports {module}"
        for path, text in sources.items()
        for module, _ in imported(path, text)
        if module.split(".")[0] in ORACLES and path not in TOOLS_WITH_ORACLES and not path.startswith("tests/parity/")
    ]


def oracle_oracles(sources: Sources) -> list[str]:
    """Oracles that import what they judge."""
    return [
        f"{path}: imports {module}"
        for path, text in sources.items()
        for module, _ in imported(path, text)
        if module.split(".")[0] in ("s2t_np", "s2t_np_kernels", "tools")
    ]


def long_files(sources: Sources, most: int = 350) -> list[str]:
    """Files of too many lines."""
    counts = {path: len(text.splitlines()) for path, text in sources.items()}
    return [f"{path}: {count} lines" for path, count in counts.items() if count > most]


def without_introduction(sources: Sources) -> list[str]:
    """Files that do not say at the top what they are for."""
    return [path for path, text in sources.items() if text.strip() and not ast.get_docstring(ast.parse(text))]


def functions(path: str, text: str) -> Iterator[tuple[str, ast.FunctionDef, int, bool]]:
    """Every function: its name, its node, the lines of its body, and whether it is public (nested ones are not).

    Lines are those with code on them; a docstring, comments and blank lines are free.
    """
    lines = text.splitlines()

    def within(node, prefix, public):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                body = child.body[1:] if ast.get_docstring(child) else child.body
                code = lines[body[0].lineno - 1 : child.end_lineno] if body else []
                count = sum(bool(line.strip()) and not line.strip().startswith("#") for line in code)
                yield f"{path}: {prefix}{child.name}", child, count, public and not child.name.startswith("_")
                yield from within(child, f"{prefix}{child.name}.", False)
            elif isinstance(child, ast.ClassDef):
                yield from within(child, f"{prefix}{child.name}.", public and not child.name.startswith("_"))
            else:
                yield from within(child, prefix, public)

    return within(ast.parse(text), "", True)


def long_functions(sources: Sources, median: int = 8, most: int = 25) -> list[str]:
    """Functions with too long a body, and a median that is too high."""
    counts = {name: count for path, text in sources.items() for name, _, count, _ in functions(path, text)}
    found = [f"{name}: {count} lines" for name, count in counts.items() if count > most]
    middle = statistics.median(counts.values())
    return found + ([f"the median body has {middle} lines"] if middle > median else [])


def undocumented(sources: Sources, free: int = 5) -> list[str]:
    """Public functions without a docstring, but for those of so few lines that they speak for themselves.

    A method may leave the word to one of the same name in a base class.
    """
    every = [function for path, text in sources.items() for function in functions(path, text)]
    explained = {node.name for name, node, _, _ in every if ast.get_docstring(node) and "." in name.split(": ")[1]}
    return [
        name
        for name, node, count, public in every
        if public and count > free and not ast.get_docstring(node)
        if not ("." in name.split(": ")[1] and node.name in explained)
    ]


def shapeless(sources: Sources) -> list[str]:
    """Public functions of the model rooms that take or return arrays and give no shape."""
    shape = re.compile(r"\([^()]*,[^()]*\)|\([A-Z]\)|any shape|last axis")
    found = []
    for path, text in sources.items():
        for name, node, _, public in functions(path, text):
            annotations = ast.unparse(node.args) + ast.unparse(node.returns or ast.Constant(None))
            if public and "ndarray" in annotations and not shape.search(ast.get_docstring(node) or ""):
                found.append(name)
    return found


def definitions(text: str) -> Iterator[tuple[str, str]]:
    """(name, source of its value) of the constants at a file's top, written in capitals, and (name, "class")."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, "class"
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _constants(target, node.value)


def _constants(target, value) -> Iterator[tuple[str, str]]:
    """The constants of one assignment; of `A, B = 1, 2` each with its own value."""
    if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z][A-Z0-9_]*", target.id):
        yield target.id, ast.unparse(value)
    if isinstance(target, ast.Tuple):
        values = value.elts if isinstance(value, ast.Tuple) else [None] * len(target.elts)
        for i, (name, own) in enumerate(zip(target.elts, values, strict=False)):
            yield from _constants(name, own or ast.parse(f"({ast.unparse(value)})[{i}]").body[0].value)


def homonyms(sources: Sources) -> list[str]:
    """Constants of one name with different values, and classes of one name, in different files.

    A file columns.py is used by its own name only, as in `columns.FC1`, so its constants are nobody else's.
    """
    first, found = {}, []
    for path, text in sources.items():
        found += [f"{path}: imports {name} by itself" for name, _ in imported(path, text) if ".columns." in name]
        for name, value in definitions(text) if not path.endswith("/columns.py") else ():
            where, before = first.setdefault(name, (path, value))
            if where != path and (value == "class" or value != before):
                found.append(f"{path}: {name} is another thing in {where}")
    return found
