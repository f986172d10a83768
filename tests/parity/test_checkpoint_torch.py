"""Files that torch, transformers and safetensors write are read bit by bit, and they read what is written here."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

import torch
from safetensors import SafetensorError, safe_open
from safetensors import numpy as safetensors_numpy
from safetensors.torch import load_file, save_file

from s2t_np.checkpoint import read_tensors, safetensors
from s2t_np.checkpoint.torch_files import read as read_torch
from s2t_np.errors import ModelError
from tests.support import checkpoints
from tests.support.checkpoints import corruptions, example, saved
from tests.support.paths import CHECKPOINT_CONFIGS, SHARED, needs_shared

SINUSOIDS = {f"model.{stack}.embed_positions.weights" for stack in ("encoder", "decoder")}
FORMATS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


def truth(tensor) -> np.ndarray:
    """A tensor's numbers as this project gives them: bfloat16 as float32, everything else as it is."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def assert_same(read: dict[str, np.ndarray], tensors: dict) -> None:
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        expected = truth(tensor)
        assert read[name].dtype == expected.dtype and read[name].shape == expected.shape, name
        assert read[name].tobytes() == expected.tobytes(), name
        assert not read[name].flags.writeable and read[name].flags.aligned, name


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def module():
    """A module whose state dict has `_metadata`, an integer buffer and a tied weight."""
    made = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.BatchNorm1d(7), torch.nn.Linear(5, 7, bias=False))
    made[2].weight = made[0].weight
    return made


STATE_DICTS = {
    "float32": lambda: {"x": random(3, 4), "y": random(5)},
    "float16": lambda: {"x": random(3, 4).half(), "y": random(3).half(), "z": random(2, 2)},
    "bfloat16": lambda: {
        "x": random(3, 4).bfloat16(),
        "y": torch.tensor([float("nan"), float("inf"), -0.0]).bfloat16(),
    },
    "float64": lambda: {"x": random(3, 4).double()},
    "integers": lambda: {
        f"x{bits}": torch.arange(-3, 4, dtype=getattr(torch, f"int{bits}")) for bits in (8, 16, 32, 64)
    },
    "bytes and flags": lambda: {"u": torch.arange(5, dtype=torch.uint8), "b": torch.tensor([True, False])},
    "scalar and empty": lambda: {"s": torch.tensor(3.5), "e": torch.zeros(0, 4), "n": torch.tensor(7)},
    "tied": lambda: {"x": (x := random(3, 4)), "y": x, "z": x.view(-1)[3:7]},
    "transposed": lambda: {"x": random(3, 4).t(), "y": random(2, 3, 4).permute(2, 0, 1), "z": random(6)[::2]},
    "expanded": lambda: {"x": random(1, 4).expand(3, 4), "y": torch.arange(6).expand(1, -1)},
    "parameters": lambda: {"x": torch.nn.Parameter(random(3)), "y": torch.nn.Parameter(random(2), requires_grad=False)},
    "module": lambda: module().state_dict(),
    "module with gradients": lambda: module().state_dict(keep_vars=True),
    "buffer": lambda: {"x": torch.nn.Buffer(torch.ones(2))},  # a tensor with an attribute
    "no tensors": lambda: {},
    "many tensors": lambda: {f"layer.{i}.weight": random(i % 5 + 1) for i in range(1500)},
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", STATE_DICTS)
def test_what_torch_saves_is_read(tmp_path, kind, form):
    tensors = STATE_DICTS[kind]()
    torch.save(tensors, tmp_path / "pytorch_model.bin", **FORMATS[form])
    assert_same(read_tensors(tmp_path), tensors)


@pytest.mark.parametrize("form", FORMATS)
def test_parameters_with_attributes_are_read(tmp_path, form):
    parameter = torch.nn.Parameter(random(3))
    parameter.label = "embedding"  # torch then writes _rebuild_parameter_with_state
    torch.save({"x": parameter}, tmp_path / "m.bin", **FORMATS[form])
    assert_same(read_torch(tmp_path / "m.bin"), {"x": parameter})


@pytest.mark.parametrize("form", FORMATS)
def test_tensors_with_attributes_are_read(tmp_path, form):
    tensor = random(2, 3)
    tensor.note = {"made": "by hand"}  # torch then writes _rebuild_from_type_v2
    torch.save({"state_dict": {"x": tensor}, "epoch": 3}, tmp_path / "m.bin", **FORMATS[form])
    assert_same(read_torch(tmp_path / "m.bin"), {"x": tensor})


@pytest.mark.parametrize("form", FORMATS)
def test_tied_tensors_share_memory(tmp_path, form):
    torch.save(module().state_dict(), tmp_path / "m.bin", **FORMATS[form])
    read = read_torch(tmp_path / "m.bin")
    assert np.shares_memory(read["0.weight"], read["2.weight"])


class Subclass(torch.Tensor):
    """A type of tensor that is not torch's own."""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("wrong", ["complex", "uint16", "sparse", "subclass", "module", "namespace"])
def test_what_is_no_plain_tensor_is_refused(tmp_path, form, wrong):
    makers = {
        "complex": lambda: torch.zeros(2, dtype=torch.complex64),
        "uint16": lambda: torch.zeros(2, dtype=torch.uint16),
        "sparse": lambda: torch.eye(2).to_sparse(),
        "subclass": lambda: torch.ones(2).as_subclass(Subclass),
        "module": lambda: torch.nn.Linear(1, 1),
        "namespace": lambda: argparse.Namespace(x=1),
    }
    torch.save({"x": makers[wrong]()}, tmp_path / "m.bin", **FORMATS[form])
    with pytest.raises(ModelError, match=r"m\.bin: .*(not executed|persistent id)"):
        read_torch(tmp_path / "m.bin")


def test_files_without_check_sums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"x": random(5)}, tmp_path / "m.bin")
    finally:
        torch.serialization.set_crc32_options(True)
    assert_same(read_torch(tmp_path / "m.bin"), {"x": random(5)})


def test_torch_and_safetensors_read_the_files_of_the_other_tests(tmp_path):
    """The malformed files of the torch-free tests come from right ones: these are right."""
    for write in (checkpoints.torch_zip, checkpoints.torch_legacy):
        theirs = torch.load(saved(tmp_path, "m.bin", write(example())), weights_only=True)
        assert all(np.array_equal(theirs[name].numpy(), expected) for name, expected in example().items())
    theirs = safetensors_numpy.load_file(saved(tmp_path, "m", checkpoints.safetensors(example())))
    assert all(np.array_equal(theirs[name], expected) for name, expected in example().items())


def test_what_safetensors_saves_is_read(tmp_path):
    tensors = {name: tensor for kind in ("float16", "bfloat16", "float64", "integers", "scalar and empty")
               for name, tensor in STATE_DICTS[kind]().items()}  # fmt: skip
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    read = read_tensors(tmp_path)
    assert_same({name: read[name] for name in tensors}, tensors)


def test_what_is_written_is_read_by_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = example() | {"transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    safetensors.write(path, tensors)
    for name, array in safetensors_numpy.load_file(path).items():
        np.testing.assert_array_equal(array, tensors[name], strict=True)
    for name, tensor in load_file(path).items():
        np.testing.assert_array_equal(tensor.numpy(), tensors[name], strict=True)
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == {"format": "pt"} and set(opened.keys()) == set(tensors)


def test_damaged_files_are_read_only_if_safetensors_reads_the_same(tmp_path):
    agreed = 0
    for damaged in corruptions(checkpoints.safetensors(example()), 600, seed=1):
        path = saved(tmp_path, "m", damaged)
        try:
            ours = safetensors.read(path)
        except ModelError:
            continue
        theirs = safetensors_numpy.load_file(path)
        assert theirs.keys() == ours.keys()
        assert all(theirs[name].tobytes() == ours[name].tobytes() for name in ours)
        agreed += 1
    assert agreed > 20


MORE_CAREFUL = [
    "header behind a space",
    "tensor given twice",
    "metadata key given twice",
    "one field more",
    "too many dimensions",
]


def test_what_safetensors_refuses_is_refused(tmp_path):
    """And it reads nothing else of that list, but for what its parser does not look at."""
    from tests.checkpoint.test_safetensors import REFUSED

    tolerated = []
    for kind, (content, *_) in REFUSED.items():
        try:
            safetensors_numpy.load_file(saved(tmp_path, "m", content))
            tolerated.append(kind)
        except (SafetensorError, KeyError, TypeError, ValueError, OverflowError):
            continue
    assert tolerated == MORE_CAREFUL


# Runs without the repository on sys.path: transformers takes a package named `kernels` for one of its own.
MAKE = """
import sys
from pathlib import Path
import numpy as np, torch
from transformers import Speech2TextConfig, Speech2TextForConditionalGeneration
for source in map(Path, sys.argv[1:]):
    config = Speech2TextConfig.from_pretrained(source)
    if source.name != "s2t-small-librispeech-asr":  # that one in full; of the others fewer layers and words
        config.encoder_layers, config.decoder_layers, config.vocab_size = 2, 1, 100
    torch.manual_seed(0)
    model, out = Speech2TextForConditionalGeneration(config), Path(source.name)
    model.save_pretrained(out / "safetensors")
    for form, legacy in (("zip", False), ("legacy", True)):
        (out / form).mkdir()
        torch.save(model.state_dict(), out / form / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    np.savez(out / "truth.npz", **{name: tensor.numpy() for name, tensor in model.state_dict().items()})
"""
CONFIGS = sorted(CHECKPOINT_CONFIGS.iterdir()) if SHARED.exists() else [Path("none")]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of models of the released shapes, each in every format; half a gigabyte, so not left behind."""
    folder = tmp_path_factory.mktemp("models")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-P", "-c", MAKE, *map(str, CONFIGS)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    yield folder
    shutil.rmtree(folder)


@needs_shared
@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("name", [config.name for config in CONFIGS])
def test_models_of_the_released_shapes_are_read(models, name, form):
    truths, read = np.load(models / name / "truth.npz"), read_tensors(models / name / form)
    left_out = set(truths) - set(read)  # save_pretrained writes tied weights once, and no sinusoids
    assert not set(read) - set(truths)
    assert not left_out if form != "safetensors" else left_out <= {"lm_head.weight", *SINUSOIDS}
    for key, array in read.items():
        expected = truths[key]
        assert array.dtype == expected.dtype and array.shape == expected.shape, key
        assert array.tobytes() == expected.tobytes(), key
