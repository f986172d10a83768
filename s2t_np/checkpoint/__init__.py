"""From a checkpoint folder to {name: array}: one file per format, nothing in any of them executed.

    safetensors.py    model.safetensors, read and written
    torch_zip.py      pytorch_model.bin since torch 1.6; stored_zip.py finds the entries of the archive
    torch_legacy.py   pytorch_model.bin before that
    torch_objects.py  what both describe in their pickle; pickle_ops.py is the machine that interprets it
    mapped.py         bytes of a file, as numbers

Arrays are read-only views of the mapped file wherever the file holds their numbers as they are.
"""

import os
from pathlib import Path

import numpy as np

from ..errors import ModelError
from . import safetensors, torch_legacy, torch_zip
from .mapped import Malformed, blame, map_file, shown

SAFETENSORS, TORCH = "model.safetensors", "pytorch_model.bin"


def read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """{name: array} of the weights in a checkpoint folder, in the types they have there (bfloat16 as float32).

    model.safetensors is preferred; otherwise pytorch_model.bin. Raises ModelError.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise ModelError(f"{folder}: no such folder, expected one that holds {SAFETENSORS} or {TORCH}")
    for name, read in ((SAFETENSORS, safetensors.read), (TORCH, read_torch)):
        if os.path.lexists(folder / name):
            return read(folder / name)
    raise ModelError(f"{folder}: {describe_missing(folder)}")


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """{name: array} of a pytorch_model.bin in either format, told by its first bytes. Raises ModelError."""
    with blame(path):
        head = map_file(path)[:16].tobytes()
        if head.startswith(b"PK"):
            return torch_zip.read(path)
        if head.startswith(torch_legacy.MAGIC_PICKLE[:4]):
            return torch_legacy.read(path)
        raise Malformed(
            f"begins with {shown(head)}, expected a file of torch.save (a zip archive or torch's magic number)"
        )


def describe_missing(folder: Path) -> str:
    """Why there are no weights to read, and what would help."""
    for name in (SAFETENSORS, TORCH):
        if os.path.lexists(folder / f"{name}.index.json"):
            return f"holds only an index of sharded weights ({name}.index.json); save the model as one {SAFETENSORS}"
    with blame(folder):
        found = ", ".join(sorted(os.listdir(folder))[:8]) or "nothing"
    return f"neither {SAFETENSORS} nor {TORCH} is there (found: {found}); download one of them"
