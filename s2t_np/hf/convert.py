"""From any checkpoint this project reads to a folder that this project and transformers both load.

The folder holds `model.safetensors` (the tensors of `weights.expected_shapes` under their own names; a tied head and
the sinusoids, which both programs compute, are left out), the JSON files, the vocabulary and its sentencepiece model,
and the card and licence that came with them. It is built under a hidden name next to its destination, loaded once to
prove that it loads, and renamed: it is there complete or not at all.
"""

import dataclasses
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..backend import NUMPY
from ..checkpoint import safetensors
from ..checkpoint.hub import naming_damage
from ..config import UTTERANCE_FILE, write_json
from ..errors import ModelError, OptionError
from ..loading import Checkpoint, Network, load_folder, model_of, read
from ..settings.architecture import ArchitectureOptions
from ..system.atomic_folders import atomic_folder
from ..weights import check
from .from_fairseq import write_files
from .generation_options import generation_json

DTYPES = {"float32": np.float32, "float16": np.float16}
COPIED = (
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "sentencepiece.bpe.model",
    UTTERANCE_FILE,  # ours: transformers ignores it
    "README.md",
    "LICENSE",
    "NOTICE",
)
WRITTEN = ("config.json", "model.safetensors")
# Files that --force may remove together with the folder it replaces: other forms of the same model, and nothing else.
REPLACEABLE = {*COPIED, *WRITTEN, "SHA256SUMS", "pytorch_model.bin", "tf_model.h5", ".gitattributes"}


class Converted(NamedTuple):
    """The result of a conversion."""

    folder: Path
    tensors: int
    parameters: int
    size: int  # bytes of model.safetensors


def cast(tensors: dict[str, np.ndarray], dtype: str, source: str) -> dict[str, np.ndarray]:
    """All tensors in `dtype`, rounded to nearest. Raises ModelError naming a tensor whose values do not fit."""
    converted = {}
    for name, tensor in tensors.items():
        with np.errstate(over="ignore"):  # looked for below, where it can be named
            converted[name] = np.ascontiguousarray(tensor, dtype=DTYPES[dtype])
        if not np.isfinite(converted[name]).all():
            largest = np.abs(tensor).max()
            raise ModelError(f"{source}: {name} reaches {largest:.3g}, beyond what {dtype} can hold")
    return converted


def write_folder(parts: Checkpoint, target: Path, dtype: str) -> tuple[int, int]:
    """Fill the empty folder `target`; returns the number of tensors and of parameters. Raises ModelError."""
    if parts.fairseq is not None:
        write_files(parts.fairseq, target)
    else:
        copy_files(parts.network, target)
    return write_network(parts.network, target, dtype)


def copy_files(network: Network, target: Path) -> None:
    """Copy everything but the weights and config.json from the network's folder."""
    if not (network.source / "generation_config.json").exists():  # a checkpoint older than that file
        write_json(target / "generation_config.json", generation_json(network.generation_config))
    for name in COPIED:
        if (network.source / name).exists():
            shutil.copyfile(network.source / name, target / name)


def write_network(network: Network, target: Path, dtype: str) -> tuple[int, int]:
    """Write config.json and model.safetensors; returns how many tensors and parameters. Raises ModelError.

    Options of the architecture that transformers does not know are refused by name.
    """
    if unknown := network.config.unknown_to_transformers():
        raise ModelError(
            f"{network.source}: the network has {unknown}, which transformers does not know; use the checkpoint "
            "itself, --model takes it"
        )
    source = str(network.source)
    tensors = cast(check(network.tensors, network.config, source), dtype, source)
    safetensors.write(target / "model.safetensors", tensors, {"format": "pt"})  # the mark transformers looks for
    left_out = {"dtype", "torch_dtype", *(field.name for field in dataclasses.fields(ArchitectureOptions))}
    kept = {key: value for key, value in network.raw.items() if key not in left_out}
    write_json(target / "config.json", kept | {"dtype": dtype})
    return len(tensors), sum(tensor.size for tensor in tensors.values())


def check_apart(source: Path, target: Path) -> None:
    """Raise OptionError where `target` is the folder `source`, by whatever name, or one around it."""
    for folder in (source.resolve(), *source.resolve().parents):
        if target.exists() and folder.exists() and target.samefile(folder):
            raise OptionError(f"{target} is or holds the model to convert, {source}; choose another destination")


def check_target(target: Path, force: bool) -> None:
    """Raise OptionError where writing to `target` could lose files that the user did not mean to lose."""
    if not target.exists():
        return
    if not target.is_dir():
        raise OptionError(f"{target} is a file, expected a folder to write")
    names = sorted(entry.name for entry in target.iterdir())
    if names and not force:
        raise OptionError(f"{target} is not empty; choose another destination, or --force to replace the model there")
    if foreign := [name for name in names if name not in REPLACEABLE or (target / name).is_dir()]:
        raise OptionError(f"{target} holds {foreign[0]}, which is not part of a model; not even --force replaces it")


def convert(source: Path, target: Path, dtype: str = "float32", force: bool = False) -> Converted:
    """Write the model in the folder `source` to the folder `target`, as float32 or float16.

    With `force`, a model already at `target` is replaced. Raises ModelError for a source that would not load,
    OptionError for a target that cannot be written without losing something, OSError.
    """
    if dtype not in DTYPES:
        raise OptionError(f"dtype is {dtype!r:.40}, expected one of {', '.join(DTYPES)}")
    source, target = Path(source).resolve(), Path(target).resolve()
    check_apart(source, target)
    check_target(target, force)
    with naming_damage(source):
        parts = read(source)
    model_of(parts, NUMPY, np.float32)
    with atomic_folder(target) as folder:
        tensors, parameters = write_folder(parts, folder, dtype)
        load_folder(folder, NUMPY, np.float32)
    return Converted(target, tensors, parameters, (target / "model.safetensors").stat().st_size)
