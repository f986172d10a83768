"""House rules about the rooms inside a package: the direction of imports, and how many arguments a function takes.

As in house.py, each rule takes the sources that it judges and returns its violations.
"""

from pathlib import PurePosixPath

from .house import Sources, functions, imported

# Rooms inside a folder, lowest first; a room may import from the lines above its own.
INNER_ORDER = {
    "kernels": (
        ("aligned", "cpu", "doors", "forks", "layout"),
        ("build", "pool"),
        ("threads", "weights"),
        ("simd",),
        ("ops",),
        ("decoder", "encoder"),
        ("backend",),
        ("__init__",),
    ),
    "s2t_np/settings": (
        ("fields", "hub_places"),
        ("architecture", "generation_refusals"),
        ("generation_config",),
        ("__init__",),
    ),
    "s2t_np/training": (
        ("derivatives", "specaugment"),
        ("curves", "log", "optimizer", "store", "vocabulary"),
        ("initial", "recipe"),
        ("data", "learner"),
        ("checkpoints", "saliency", "validation"),
        ("loop", "run_folder"),
        ("__init__",),
    ),
    "s2t_np/training/derivatives": (
        ("dropout", "loss", "operations", "parameters", "ragged"),
        ("attention", "convolution", "ctc"),
        ("layers",),
        ("decoder", "encoder"),
        ("network",),
        ("__init__",),
    ),
    "s2t_np/inspect": (("plot", "trace"), ("experiments",), ("explorer", "golden"), ("__init__",)),
}
MOST_ARGUMENTS = 7
AS_UPSTREAM = {"s2t_np/hf/model.py: Speech2TextForConditionalGeneration.generate"}  # its signature is transformers'


def inner_upward_imports(sources: Sources) -> list[str]:
    """Imports between the rooms of a folder of INNER_ORDER that do not lead to a lower room, and rooms without a place.

    Where every import leads to a lower line, no two rooms can import each other.
    """
    found = []
    for folder, order in INNER_ORDER.items():
        level = {room: i for i, line in enumerate(order) for room in line}
        parts = list(PurePosixPath(folder).parts)
        inside = {path: text for path, text in sources.items() if path.startswith(f"{folder}/")}
        for path, text in inside.items():
            room = PurePosixPath(path).parts[len(parts)].removesuffix(".py")
            if room not in level:
                found.append(f"{path}: room {room} has no place in INNER_ORDER")
                continue
            for module, _ in imported(path, text):
                names = module.split(".")
                target = names[len(parts)] if names[: len(parts)] == parts and len(names) > len(parts) else room
                if target != room and level.get(target, len(order)) >= level[room]:
                    found.append(f"{path}: {room} imports {target}")
    return found


def many_arguments(sources: Sources) -> list[str]:
    """Functions of more than MOST_ARGUMENTS arguments, `self` not counted: they should take a named structure."""
    found = []
    for path, text in sources.items():
        for name, node, _, _ in functions(path, text):
            a = node.args
            names = [x.arg for x in [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg] if x]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > MOST_ARGUMENTS and name not in AS_UPSTREAM:
                found.append(f"{name}: {count} arguments")
    return found
