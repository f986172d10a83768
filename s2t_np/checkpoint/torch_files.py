"""The tensors of a file of torch.save, in either layout: arrays, or still in the file.

Read all at once, tensors that share a storage (tied weights) share memory here too. Read one after the other, each is
read by itself, whatever it shares. Of what is not asked for, such as the state of an optimizer, nothing is read.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from . import torch_legacy, torch_zip
from .file_bytes import FileBytes, Malformed, blame, elements, open_file, opened, shown
from .torch_objects import Interpreter, Locate, Tensor, interpret_checkpoint
from .unread import Unread


def read(path: Path) -> dict[str, np.ndarray]:
    """{name: array}: read-only, bfloat16 widened to float32. Nothing in the file is executed. Raises ModelError."""
    with blame(path), opened(path) as data:
        return tensor_arrays(data, *describe(data, interpret_checkpoint))


def open_tensors(path: Path) -> dict[str, Unread]:
    """The same tensors, which are read when they are asked for. Raises ModelError."""
    with blame(path):
        data = open_file(path)
        return unread_tensors(path, data, *describe(data, interpret_checkpoint))


def describe(data: FileBytes, interpreter: Interpreter) -> tuple[object, Locate]:
    """Return what the file's pickle describes, and the function that finds a storage. Raises Malformed."""
    head = data[:16].tobytes()
    if head.startswith(b"PK"):
        return torch_zip.describe(data, interpreter)
    if head.startswith(torch_legacy.MAGIC_PICKLE[:4]):
        return torch_legacy.describe(data, interpreter)
    raise Malformed(f"begins with {shown(head)}, expected a file of torch.save (a zip archive or torch's magic number)")


def tensor_arrays(data: FileBytes, tensors: dict[str, Tensor], locate: Locate) -> dict[str, np.ndarray]:
    """{name: array}, read-only; each storage is read once. Raises Malformed, OSError."""
    places = located(tensors, locate)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    loaded = {key: elements(data, places[key], s.count, s.element) for key, s in storages.items()}
    return {name: view(tensor, loaded[tensor.storage.key]) for name, tensor in tensors.items()}


def unread_tensors(path: Path, data: FileBytes, tensors: dict[str, Tensor], locate: Locate) -> dict[str, Unread]:
    """{name: tensor}, each read when it is asked for. Raises Malformed."""
    places = located(tensors, locate)
    return {name: unread(path, tensor, data, places[tensor.storage.key]) for name, tensor in tensors.items()}


def unread(path: Path, tensor: Tensor, data: FileBytes, place: int) -> Unread:
    """A tensor whose storage begins at a byte: of the storage, only the part that it touches is read."""
    element, count = tensor.storage.element, past(tensor) - tensor.offset
    begin = place + tensor.offset * element.stored.itemsize

    def read(target: memoryview | None) -> np.ndarray:
        with blame(path):
            return view(replace(tensor, offset=0), elements(data, begin, count, element, target))

    kind = np.float32 if element.upper_half else element.stored
    return Unread(tensor.size, kind, count * element.stored.itemsize, read)


def located(tensors: dict[str, Tensor], locate: Locate) -> dict[str, int]:
    """{key: the byte at which the storage begins}, when all views are inside their storages. Raises Malformed."""
    for name, tensor in tensors.items():
        check_reach(name, tensor)
    return {tensor.storage.key: locate(tensor.storage) for tensor in tensors.values()}


def past(tensor: Tensor) -> int:
    """The element of its storage after the last that a view touches: offset + sum((n - 1) * stride) + 1."""
    steps = zip(tensor.size, tensor.stride, strict=True)
    return tensor.offset + (0 if 0 in tensor.size else 1 + sum((n - 1) * step for n, step in steps))


def check_reach(name: str, tensor: Tensor) -> None:
    """Raise Malformed for a view that reaches beyond its storage."""
    if (reached := past(tensor)) > tensor.storage.count:
        raise Malformed(f"tensor {shown(name)} reaches element {reached} of a storage of {tensor.storage.count}")


def view(tensor: Tensor, numbers: np.ndarray) -> np.ndarray:
    """The strided view of a storage's numbers, (count,) -> size. Strides of axes that hold one element mean nothing."""
    width = numbers.itemsize
    strides = [step * width if n > 1 else width for n, step in zip(tensor.size, tensor.stride, strict=True)]
    if 0 in tensor.size:
        return numbers[:0].reshape(tensor.size)
    return np.ndarray(tensor.size, numbers.dtype, numbers, tensor.offset * width, strides)
