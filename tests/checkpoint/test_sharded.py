"""Weights in several files: read as one checkpoint, or refused by what their index says wrongly."""

import json
import shutil

import numpy as np
import pytest

import s2t_np
from s2t_np.checkpoint import read_tensors
from s2t_np.errors import ModelError
from tests.support import checkpoints
from tests.support.checkpoints import example
from tests.support.paths import DIGITS

WRITERS = {
    "model.safetensors": ("model-0000{}-of-00002.safetensors", checkpoints.safetensors),
    "pytorch_model.bin": ("pytorch_model-0000{}-of-00002.bin", checkpoints.torch_zip),
}


def write_shards(folder, tensors, name="model.safetensors"):
    """The tensors, every other one in the second of two shards, and their index; returns the index's path."""
    pattern, write = WRITERS[name]
    weight_map = {tensor: pattern.format(1 + i % 2) for i, tensor in enumerate(tensors)}
    for shard in set(weight_map.values()):
        (folder / shard).write_bytes(write({key: x for key, x in tensors.items() if weight_map[key] == shard}))
    index = folder / f"{name}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


def change(index, **entries):
    data = json.loads(index.read_text())
    data["weight_map"] |= entries
    index.write_text(json.dumps(data))


@pytest.mark.parametrize("name", WRITERS)
def test_shards_are_one_checkpoint(tmp_path, name):
    write_shards(tmp_path, example(), name)
    read = read_tensors(tmp_path)
    assert read.keys() == example().keys()
    for key, expected in example().items():
        np.testing.assert_array_equal(read[key], expected, strict=True)


def test_a_sharded_model_transcribes(tmp_path):
    folder = shutil.copytree(DIGITS, tmp_path / "digits")
    tensors = dict(read_tensors(DIGITS))
    (folder / "model.safetensors").unlink()
    index = write_shards(folder, tensors)
    recording = DIGITS.parent.parent / "recordings" / "five-five.flac"
    assert s2t_np.load(folder).transcribe(recording).text == "five five"
    (folder / json.loads(index.read_text())["weight_map"]["model.encoder.layer_norm.bias"]).unlink()
    with pytest.raises(ModelError, match=r"lacks model.safetensors or pytorch_model.bin"):
        s2t_np.load(folder)


@pytest.mark.parametrize(
    "place", ["../outside.safetensors", "/etc/x.bin", "a/b.bin", "x\\y.bin", "notes.txt", 3, None, ""]
)
def test_an_index_that_leads_elsewhere(tmp_path, place):
    index = write_shards(tmp_path, example())
    change(index, extra=place)
    with pytest.raises(ModelError, match=r"index.json: 'extra' is in .*expected a file of the same folder"):
        read_tensors(tmp_path)


def test_an_index_and_its_shards_disagree(tmp_path):
    index = write_shards(tmp_path, example())
    first, second, *_ = example()
    shards = json.loads(index.read_text())["weight_map"]
    change(index, ghost=shards[first])
    with pytest.raises(ModelError, match=r"names a tensor that is not in model-00001-of-00002.safetensors: 'ghost'"):
        read_tensors(tmp_path)
    index = write_shards(tmp_path, example())
    change(index, **{second: shards[first]})
    with pytest.raises(ModelError, match="names a tensor that is not in model-00001-of-00002"):
        read_tensors(tmp_path)
    index = write_shards(tmp_path, example())
    (tmp_path / shards[second]).unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors: cannot be read"):
        read_tensors(tmp_path)


@pytest.mark.parametrize("text", ["{}", '{"weight_map": {}}', '{"weight_map": []}', '{"weight_map": 3}'])
def test_an_index_without_a_map(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match="has no weight_map, expected an object of tensors and their files"):
        read_tensors(tmp_path)


def test_an_index_of_too_many_files(tmp_path):
    entries = {f"t{i}": f"model-{i}.safetensors" for i in range(1001)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": entries}))
    with pytest.raises(ModelError, match="names 1001 files, expected at most 1000"):
        read_tensors(tmp_path)
