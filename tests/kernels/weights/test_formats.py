"""A checkpoint gives the same packed weights in whatever format it is kept, also where tensors share a storage."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("numba")

import s2t_np
from s2t_np.checkpoint import read_tensors
from tests.support import checkpoints
from tests.support.checkpoints import View, saved
from tests.support.paths import DIGITS
from tools.random_checkpoint import shape_config, write_checkpoint

EMBEDDING, HEAD = "model.decoder.embed_tokens.weight", "lm_head.weight"
FORMATS = {"zip": checkpoints.torch_zip, "legacy": checkpoints.torch_legacy}


@pytest.fixture(scope="module")
def untied(tmp_path_factory):
    """A checkpoint whose vocabulary projection is a matrix of its own, with the values of the embedding table."""
    folder = write_checkpoint(tmp_path_factory.mktemp("untied") / "m", shape_config("tiny"))
    tensors = dict(read_tensors(folder))
    tensors[HEAD] = tensors[EMBEDDING]
    saved(folder, "model.safetensors", checkpoints.safetensors(tensors))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    return folder


def as_torch_saves(folder, target, write):
    """The same checkpoint in a file of torch.save; what is equal, as a tied head is, shares a storage."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors = {name: np.ascontiguousarray(array) for name, array in read_tensors(folder).items()}
    kept = {name: array for name, array in tensors.items() if name != HEAD}
    views, keys = {}, {name: str(number) for number, name in enumerate(kept)}
    for name, array in tensors.items():
        source = EMBEDDING if name == HEAD else name
        strides = tuple(step // array.itemsize for step in array.strides)
        views[name] = View("FloatStorage", keys[source], array.size, 0, array.shape, strides)
    saved(target, "pytorch_model.bin", write(kept, views))
    return target


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("head", ["tied", "apart"])
def test_every_format_gives_the_same_packed_weights(tmp_path, untied, head, write, dtype):
    folder = DIGITS if head == "tied" else untied
    other = as_torch_saves(folder, tmp_path / "m", write)
    ours, theirs = (s2t_np.load(place, backend="numba", dtype=dtype).weights for place in (folder, other))
    assert np.array_equal(ours.lm_head.arena.view(np.int32), theirs.lm_head.arena.view(np.int32))
    rows = np.arange(ours.lm_head.outputs)
    assert np.array_equal(ours.decoder.embed_tokens.weight[rows], theirs.decoder.embed_tokens.weight[rows])
