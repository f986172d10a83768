"""Weights in several files: an index says which tensor lies in which, `model.safetensors.index.json` or
`pytorch_model.bin.index.json`:

    {"metadata": {"total_size": ...},
     "weight_map": {"model.decoder.embed_tokens.weight": "model-00001-of-00002.safetensors", ...}}

The shards are in the folder of the index. Each is read as a checkpoint of its own; together they must hold exactly the
tensors that the index names, each in the file it names.
"""

from collections.abc import Callable
from pathlib import Path

from ..config import read_json
from ..errors import ModelError
from ..settings.fields import show

WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # one of them; the first is preferred
INDEXES = tuple(f"{name}.index.json" for name in WEIGHTS)
SUFFIXES = (".safetensors", ".bin")
MOST_SHARDS = 1000


def shard_names(index: Path) -> list[str]:
    """The files that an index names, in order. Raises ModelError."""
    return sorted(set(weight_map(index).values()))


def weight_map(index: Path) -> dict[str, str]:
    """Tensor -> file, as an index has it; the files are plain names in that folder. Raises ModelError."""
    entries = read_json(index).get("weight_map")
    if not isinstance(entries, dict) or not entries:
        raise ModelError(f"{index}: has no weight_map, expected an object of tensors and their files")
    for tensor, file in entries.items():
        if not isinstance(file, str) or Path(file).name != file or "\\" in file or Path(file).suffix not in SUFFIXES:
            raise ModelError(f"{index}: {show(tensor)} is in {show(file)}, expected a file of the same folder")
    if (count := len(set(entries.values()))) > MOST_SHARDS:
        raise ModelError(f"{index}: names {count} files, expected at most {MOST_SHARDS}")
    return entries


def read(index: Path, read_file: Callable[[Path], dict]) -> dict:
    """{name: tensor} of all shards; `read_file` reads one. Raises ModelError."""
    expected = weight_map(index)
    tensors = {}
    for shard in shard_names(index):
        part = read_file(index.parent / shard)
        named = {name for name, file in expected.items() if file == shard}
        if odd := sorted(named ^ part.keys()):
            where = "names a tensor that is not" if odd[0] in named else "does not name a tensor that is"
            raise ModelError(f"{index}: {where} in {shard}: {show(odd[0])}; download all files again")
        tensors |= part
    return tensors
