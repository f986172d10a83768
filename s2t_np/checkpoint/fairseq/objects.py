"""What a fairseq checkpoint's pickle may name beyond tensors, as descriptions: nothing is imported, made or called.

fairseq saves its whole training state, and its settings in three layouts (an `argparse.Namespace` of 2020, a dict that
holds one, an OmegaConf `DictConfig`), with dates, numpy numbers and enumerations of fairseq's own in between. Each name
of a package in `PACKAGES` becomes a `Blueprint`: which class, with which arguments, and the state that would be set.
What is wanted of it, the settings of model and task, is read out of the description (`settings`). Every other name ends
the reading, as in `torch_objects`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..file_bytes import Malformed, shown
from ..pickle_ops import Blank, Call, Global, OrderedDict
from ..torch_objects import ALLOWED

# module (or package, ending in a dot) -> names; None stands for every name in it
PACKAGES: dict[str, frozenset[str] | None] = {
    "argparse": frozenset({"Namespace"}),
    "typing": None,
    "enum": None,
    "__builtin__": frozenset({"dict", "list", "tuple", "set", "int", "long", "float", "str", "unicode", "bool"}),
    "builtins": frozenset({"dict", "list", "tuple", "set", "int", "float", "str", "bool"}),
    "copy_reg": frozenset({"_reconstructor"}),
    "_codecs": frozenset({"encode"}),
    "numpy": frozenset({"dtype", "ndarray"}),
    "numpy.core.multiarray": frozenset({"scalar", "_reconstruct"}),
    "numpy._core.multiarray": frozenset({"scalar", "_reconstruct"}),
    "torch": frozenset({"Size", "device", "float16", "float32", "float64", "int64"}),
    "omegaconf.": None,
    "fairseq.": None,
    "hydra.": None,
}
KNOWN = ALLOWED | {Global("collections", "defaultdict"): Call(lambda arguments: OrderedDict())}
MAX_DEPTH = 6  # levels of settings within settings; the deepest needed is cfg.model._content.NAME._val
SCALAR = (str, int, float, bool, type(None))


@dataclass(eq=False)
class Blueprint(Blank):
    """An object that a pickle describes: its class, the arguments it would be made from, and its attributes."""

    kind: Global
    arguments: tuple = ()
    state: object = None


def allowed(wanted: Global) -> bool:
    """Whether a name belongs to the harmless packages above."""
    package = wanted.module.partition(".")[0] + "."
    for place in (wanted.module, package):
        if place in PACKAGES and (PACKAGES[place] is None or wanted.name in PACKAGES[place]):
            return True
    return False


class Names(Mapping):
    """The table of what a pickle may name: the tensors of torch, and descriptions of the packages above."""

    def __getitem__(self, wanted: Global) -> object:
        if wanted in KNOWN:
            return KNOWN[wanted]
        if not allowed(wanted):
            raise KeyError(wanted)
        return Call(lambda arguments: Blueprint(wanted, arguments))

    def __iter__(self):
        return iter(KNOWN)

    def __len__(self) -> int:
        return len(KNOWN)


def settings(value, role: str) -> dict[str, object]:
    """The plain settings of a Namespace, a dict or a DictConfig: {name: scalar, or tuple of scalars}.

    Other values (a nested group, a tensor) are left out: no setting of the network is one. Raises Malformed where
    `value` is something else.
    """
    found = content(value, 0)
    if not isinstance(found, dict):
        raise Malformed(f"its {role} is a {kind_of(value)}, expected a Namespace, a dict or a DictConfig")
    plain = ((name, scalar(entry)) for name, entry in found.items() if type(name) is str)
    return {name: entry for name, entry in plain if entry is not Ellipsis}


def content(value, depth: int):
    """The content of a description: a Namespace's attributes, an OmegaConf container's entries, a node's value."""
    if depth > MAX_DEPTH:
        raise Malformed("its settings are nested too deeply, expected those that fairseq writes")
    if not isinstance(value, Blueprint):
        return value
    if isinstance(value.state, dict):
        for attribute in ("_content", "_val"):
            if value.kind.module.startswith("omegaconf.") and attribute in value.state:
                return content(value.state[attribute], depth + 1)
        return value.state
    if value.arguments and value.kind.module.startswith("fairseq."):  # an enumeration: Choice("value")
        return content(value.arguments[0], depth + 1)
    return value


def scalar(value):
    """A plain value, or a tuple of plain values; Ellipsis for anything else."""
    value = content(value, 0)
    if isinstance(value, list | tuple):
        entries = tuple(content(entry, 0) for entry in value)
        return entries if all(isinstance(entry, SCALAR) for entry in entries) else Ellipsis
    return value if isinstance(value, SCALAR) else Ellipsis


def kind_of(value) -> str:
    """The name of a value's type, or of the class it describes."""
    return f"{value.kind.module}.{value.kind.name}" if isinstance(value, Blueprint) else type(value).__name__


def member(value, name: str, role: str):
    """Entry `name` of a dict or a DictConfig; None where it has none. Raises Malformed where `value` is neither."""
    found = content(value, 0)
    if not isinstance(found, dict):
        raise Malformed(f"its {role} is a {shown(kind_of(value))}, expected a dict or a DictConfig")
    return found.get(name)
