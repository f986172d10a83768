"""The names that the pickle of a torch checkpoint may use, and the tensors that it describes.

A tensor in such a pickle is a call `_rebuild_tensor_v2(storage, offset, size, stride, ...)`, and a storage is a
persistent id ('storage', type, key, location, count). Interpreting the pickle (`pickle_ops`) leaves only descriptions,
`Storage` and `Tensor`; the numbers come last (`torch_files.py`). Arguments mean what torch/_utils.py and
torch/serialization.py say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from .file_bytes import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    Element,
    FileBytes,
    Malformed,
    is_natural,
    is_shape,
    shown,
)
from .pickle_ops import MAX_STEPS, ORDERED, Call, ForbiddenGlobal, Global, OrderedDict, expect, interpret

FAIRSEQ = "is a fairseq checkpoint (args or cfg with model), expected one of transformers"
CONVERTED = "name it NAME.pt and give it as the model, with config.yaml beside it"
FAIRSEQ_PACKAGES = {"argparse", "fairseq", "omegaconf"}


@dataclass(frozen=True, eq=False)
class Storage:
    """A row of `count` numbers that lies elsewhere in the file, under `key`."""

    element: Element
    key: str
    count: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


Locate = Callable[[Storage], int]  # the byte at which a storage's numbers begin; it raises Malformed


def rebuild_tensor(arguments: tuple) -> Tensor:
    """torch._utils._rebuild_tensor(storage, offset, size, stride)."""
    if len(arguments) != 4:
        raise Malformed(f"its pickle makes a tensor of {len(arguments)} arguments, expected 4")
    storage, offset, size, stride = arguments
    expect(storage, Storage, "the storage of a tensor")
    if not is_natural(offset) or type(size) is not tuple or not is_shape(size):
        raise Malformed(f"its pickle has a tensor of offset {shown(offset)} and size {shown(size)}")
    if type(stride) is not tuple or len(stride) != len(size) or not all(map(is_natural, stride)):
        raise Malformed(f"its pickle has a tensor of size {shown(size)} with strides {shown(stride)}")
    return Tensor(storage, offset, size, stride)


def rebuild_tensor_v2(arguments: tuple) -> Tensor:
    """torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata])."""
    if len(arguments) not in (6, 7):
        raise Malformed(f"its pickle makes a tensor of {len(arguments)} arguments, expected 6 or 7")
    if len(arguments) == 7 and expect(arguments[6], dict, "the metadata of a tensor"):
        raise Malformed("its pickle has a tensor with metadata (conjugated or negated), expected plain numbers")
    return rebuild_tensor(arguments[:4])


def rebuild_parameter(arguments: tuple) -> Tensor:
    """torch._utils._rebuild_parameter(data, requires_grad, backward_hooks), _with_state(..., state): the data."""
    if len(arguments) not in (3, 4):
        raise Malformed(f"its pickle makes a parameter of {len(arguments)} arguments, expected 3 or 4")
    return expect(arguments[0], Tensor, "the data of a parameter")


def rebuild_from_type(arguments: tuple) -> Tensor:
    """torch._tensor._rebuild_from_type_v2(function, type, arguments, state): a tensor with Python attributes.

    The attributes are dropped. Only the functions above may be named, so that descriptions do not nest.
    """
    if len(arguments) != 4:
        raise Malformed(f"its pickle makes a tensor with attributes of {len(arguments)} arguments, expected 4")
    function, kind, inner, _state = arguments
    if type(function) is not Call or function.function not in (rebuild_tensor_v2, rebuild_tensor, rebuild_parameter):
        raise Malformed(f"its pickle makes a tensor with attributes by a {type(function).__name__}")
    expect(kind, PlainType, "the type of a tensor")
    return function.function(expect(inner, tuple, "arguments"))


class PlainType(NamedTuple):
    """The stand-in for torch.Tensor and torch.nn.Parameter, named with tensors that have attributes."""

    name: str


STORAGE_TYPES = {
    "DoubleStorage": F64,
    "FloatStorage": F32,
    "HalfStorage": F16,
    "BFloat16Storage": BF16,
    "LongStorage": I64,
    "IntStorage": I32,
    "ShortStorage": I16,
    "CharStorage": I8,
    "ByteStorage": U8,
    "BoolStorage": BOOL,
}

# The whole list of what a pickle may name. Nothing in it is torch's; nothing in it does more than describe.
ALLOWED: dict[Global, object] = {
    Global("collections", "OrderedDict"): ORDERED,
    Global("torch._utils", "_rebuild_tensor"): Call(rebuild_tensor),
    Global("torch._utils", "_rebuild_tensor_v2"): Call(rebuild_tensor_v2),
    Global("torch._utils", "_rebuild_parameter"): Call(rebuild_parameter),
    Global("torch._utils", "_rebuild_parameter_with_state"): Call(rebuild_parameter),
    Global("torch._tensor", "_rebuild_from_type_v2"): Call(rebuild_from_type),
    Global("torch", "Tensor"): PlainType("Tensor"),
    Global("torch.nn.parameter", "Parameter"): PlainType("Parameter"),
} | {Global("torch", name): element for name, element in STORAGE_TYPES.items()}


class Described(NamedTuple):
    """The object that a pickle describes, its storages by key, and the position after it."""

    made: object
    storages: dict[str, Storage]
    end: int


Interpreter = Callable[[FileBytes, int, int], Described]  # program, position, fields of a persistent id


def interpret_objects(program, at: int, parts: int, table=ALLOWED, max_steps: int = MAX_STEPS) -> Described:
    """Run a pickle of torch's that may name what `table` holds. Raises Malformed.

    `parts` is the number of fields in a persistent id: 5 in the zip format, 6 in the stream.
    """
    storages: dict[str, Storage] = {}
    find = partial(find_storage, parts=parts, storages=storages)
    made, end = interpret(program, at, table, find, max_steps)
    return Described(made, storages, end)


def interpret_checkpoint(program, at: int, parts: int) -> Described:
    """Run the pickle of a state dict: tensors by name. Raises Malformed."""
    try:
        made, storages, end = interpret_objects(program, at, parts)
    except ForbiddenGlobal as error:
        if error.wanted.module.partition(".")[0] in FAIRSEQ_PACKAGES or error.in_sight & {"args", "cfg"}:
            raise Malformed(f"{FAIRSEQ} ({error.told})", CONVERTED) from None
        raise
    return Described(check_state_dict(made), storages, end)


def find_storage(identity, parts: int, storages: dict[str, Storage]) -> Storage:
    """The storage a persistent id describes; the same one whenever the key is the same."""
    if type(identity) is not tuple or len(identity) != parts or identity[0] != "storage":
        raise Malformed(f"its pickle has a persistent id that is not a tuple ('storage', ...) of {parts} parts")
    _, element, key, _location, count = identity[:5]
    if not isinstance(element, Element) or type(key) is not str or not is_natural(count):
        raise Malformed("its pickle has a storage without type, key and count")
    if any(part is not None for part in identity[5:]):
        raise Malformed("its pickle has a view of a storage, as torch wrote before 0.4", "save it with a newer torch")
    storage = storages.setdefault(key, Storage(element, key, count))
    if (storage.element, storage.count) != (element, count):
        raise Malformed(f"its pickle describes storage {shown(key)} in two ways, expected one")
    return storage


def check_state_dict(made) -> dict[str, Tensor]:
    """A checkpoint is a dict of tensors by name, or holds one under "state_dict" with notes on the training."""
    if type(made) not in (dict, OrderedDict):
        raise Malformed(f"its pickle holds a {type(made).__name__}, expected a dict of tensors")
    if "model" in made and ("args" in made or "cfg" in made):
        raise Malformed(FAIRSEQ, CONVERTED)
    if type(made.get("state_dict")) in (dict, OrderedDict):
        made = made["state_dict"]
    for name, value in made.items():
        if type(name) is not str or type(value) is not Tensor:
            keys = ", ".join(shown(key) for key in list(made)[:5])
            raise Malformed(
                f"its entry {shown(name)} is a {type(value).__name__}, expected tensors by name (its keys: {keys})",
                "save the model's state_dict() by itself",
            )
    return made
