"""Read the weights of a checkpoint folder as {name: array}: one module per file format, nothing in a file is executed.

    safetensors.py    model.safetensors, read and written
    torch_zip.py      pytorch_model.bin since torch 1.6; stored_zip.py finds the entries of the archive
    torch_legacy.py   pytorch_model.bin before that
    torch_objects.py  the tensors that both describe in their pickle; pickle_ops.py interprets it
    torch_files.py    their numbers, in either layout
    sharded.py        weights in several files, found through an index
    file_bytes.py     bytes of a file, as numbers; unread.py reads them tensor by tensor
    hub.py            the folder of a model: bundled, given, cached, downloaded (hub_cache.py, hub_download.py)
    official.py       the twenty released checkpoints, and what each does
    digests.py        whether a file is what was announced; folders.py says what a wrong folder holds instead

Arrays are read-only, and in memory of this process: a file may change or go once it has been read.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import ModelError
from . import safetensors, sharded
from .file_bytes import blame
from .sharded import INDEXES, WEIGHTS
from .unread import Unread


def read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """{name: array} of the weights in a checkpoint folder, in the types they have there (bfloat16 as float32).

    model.safetensors is preferred, then its shards, then pytorch_model.bin and its shards. Raises ModelError.
    """
    return tensors_of(Path(folder), read_file)


def open_tensors(folder: Path) -> dict[str, Unread]:
    """The same tensors, which are read when they are asked for. Raises ModelError."""
    return tensors_of(Path(folder), open_file)


def tensors_of(folder: Path, read_file: Callable[[Path], dict]) -> dict:
    """The tensors of a checkpoint folder under their usual names; `read_file` reads one file. Raises ModelError."""
    if not os.path.isdir(folder):
        raise ModelError(f"{folder}: no such folder, expected one that holds {' or '.join(WEIGHTS)}")
    for name, index in zip(WEIGHTS, INDEXES, strict=True):
        if os.path.lexists(folder / name):
            return usual_names(read_file(folder / name))
        if os.path.lexists(folder / index):
            return usual_names(sharded.read(folder / index, read_file))
    raise ModelError(f"{folder}: {describe_missing(folder)}")


def usual_names(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors under the names of Speech2TextForConditionalGeneration.

    "module." comes off, which DataParallel puts before every name; "model." goes before the names of a base model
    (`Speech2TextModel`), which has no head of its own, as transformers does when it loads one.
    """
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    if tensors and all(name.startswith(("encoder.", "decoder.")) for name in tensors):
        tensors = {f"model.{name}": tensor for name, tensor in tensors.items()}
    return tensors


def read_file(path: Path) -> dict[str, np.ndarray]:
    """{name: array} of one weights file, its format told by its name. Raises ModelError."""
    return safetensors.read(path) if path.suffix == ".safetensors" else torch().read(path)


def open_file(path: Path) -> dict[str, Unread]:
    """The same, which are read when they are asked for. Raises ModelError."""
    return safetensors.open_tensors(path) if path.suffix == ".safetensors" else torch().open_tensors(path)


def torch():
    """The module for both layouts of torch.save, imported when a folder has one."""
    from . import torch_files

    return torch_files


def describe_missing(folder: Path) -> str:
    """A message for a folder without weights: the files found there, and what to do."""
    with blame(folder):
        found = ", ".join(sorted(os.listdir(folder))[:8]) or "nothing"
    return f"neither {WEIGHTS[0]} nor {WEIGHTS[1]} is there (found: {found}); download one of them"
