"""Which file of a checkpoint folder is read, and what is said when none can be."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import s2t_np
from s2t_np.checkpoint import read_tensors
from s2t_np.checkpoint.torch_files import read as read_torch
from s2t_np.errors import ModelError

from ..support import checkpoints
from ..support.checkpoints import assert_refused, example, saved
from ..support.paths import DIGITS, ROOT

WRITERS = {
    "safetensors": ("model.safetensors", checkpoints.safetensors),
    "zip": ("pytorch_model.bin", checkpoints.torch_zip),
    "legacy": ("pytorch_model.bin", checkpoints.torch_legacy),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_arrays(tmp_path, kind):
    name, write = WRITERS[kind]
    saved(tmp_path, name, write(example()))
    read = read_tensors(tmp_path)
    assert read.keys() == example().keys()
    for name, expected in example().items():
        np.testing.assert_array_equal(read[name], expected, strict=True)


def renamed_digits(folder, rename, left_out=()):
    """The bundled model with other names of tensors."""
    shutil.copytree(DIGITS, folder)
    tensors = {rename(name): array for name, array in read_tensors(DIGITS).items() if name not in left_out}
    saved(folder, "model.safetensors", checkpoints.safetensors(tensors))
    return folder


@pytest.mark.parametrize("form", ["module", "base"])
def test_names_of_a_wrapped_and_of_a_base_model(tmp_path, form):
    rename = {"module": lambda name: f"module.{name}", "base": lambda name: name.removeprefix("model.")}[form]
    folder = renamed_digits(tmp_path / "m", rename)
    read, expected = read_tensors(folder), read_tensors(DIGITS)
    assert read.keys() == expected.keys()
    assert all(np.array_equal(read[name], expected[name]) for name in expected)


def test_a_base_model_whose_head_is_not_tied(tmp_path):
    folder = renamed_digits(tmp_path / "m", lambda name: name.removeprefix("model."), ["lm_head.weight"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    with pytest.raises(ModelError, match=r"lm_head.weight missing; these are the weights of a base model"):
        s2t_np.load(folder)


CUT = """
import os, sys
import numpy as np
import s2t_np
from s2t_np import errors
from s2t_np.checkpoint.file_bytes import OpenFile
folder, when = sys.argv[1:]
weights, usual = os.path.join(folder, "model.safetensors"), OpenFile.read_into
def cut_first(self, target, begin):
    if when == "while its header is read" or len(target) > 100_000:
        os.truncate(weights, 100_000 * (when == "while it is read"))
    usual(self, target, begin)
if when != "afterwards":
    OpenFile.read_into = cut_first
try:
    model = s2t_np.load(folder, backend="numpy")
except errors.ModelError as error:
    sys.exit(str(error))
os.truncate(weights, 1000)
print(model.transcribe(os.path.join(os.path.dirname(s2t_np.__file__), "recordings", "five-five.flac")).text)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["while its header is read", "while it is read", "afterwards"])
def test_weights_that_are_cut_short_do_not_end_the_process(tmp_path, when):
    """As `cp` over the file does; a mapping of it ends the process with SIGBUS."""
    shutil.copytree(DIGITS, tmp_path / "m")
    command = [sys.executable, "-c", CUT, str(tmp_path / "m"), when]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if when == "afterwards":
        assert (done.returncode, done.stdout) == (0, "five five\n"), done.stderr
    else:
        assert done.returncode == 1 and "model.safetensors: became shorter while it was read; try again" in done.stderr
        assert "Traceback" not in done.stderr


def test_weights_that_are_overwritten_in_place_stay_as_they_were_read(tmp_path):
    numbers = np.arange(100_000, dtype=np.float32)
    path = saved(tmp_path, "model.safetensors", checkpoints.safetensors({"x": numbers}))
    x = read_tensors(tmp_path)["x"]
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))
    np.testing.assert_array_equal(x, numbers)


def test_safetensors_is_preferred(tmp_path):
    saved(tmp_path, "model.safetensors", checkpoints.safetensors({"new": np.ones(1, np.float32)}))
    saved(tmp_path, "pytorch_model.bin", checkpoints.torch_zip({"old": np.ones(1, np.float32)}))
    assert list(read_tensors(tmp_path)) == ["new"]


def test_a_damaged_preferred_file_is_not_passed_over(tmp_path):
    saved(tmp_path, "model.safetensors", b"")
    saved(tmp_path, "pytorch_model.bin", checkpoints.torch_zip(example()))
    with pytest.raises(ModelError, match=r"model\.safetensors: the file is empty"):
        read_tensors(tmp_path)


def test_the_bundled_model_is_read():
    tensors = read_tensors(DIGITS)
    assert len(tensors) > 100 and all(np.isfinite(array).all() for array in tensors.values())


FOLDERS = {
    "nothing": ([], "neither model.safetensors nor pytorch_model.bin is there (found: nothing)"),
    "other files": (["config.json", "tf_model.h5"], "found: config.json, tf_model.h5"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_without_weights(tmp_path, kind):
    files, *words = FOLDERS[kind]
    for name in files:
        saved(tmp_path, name, b"{}")
    assert_refused(read_tensors, tmp_path, *words)


def test_a_folder_that_is_not_there(tmp_path):
    assert_refused(read_tensors, tmp_path / "gone", "no such folder")
    assert_refused(read_tensors, saved(tmp_path, "file", b""), "no such folder")


def test_a_broken_link_is_named(tmp_path):
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / "gone")
    assert_refused(read_tensors, tmp_path, "model.safetensors", "No such file")


BAD_BIN = {
    "empty": (b"", "is empty"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "web page": (b"<!doctype html>", "web page"),
    "safetensors under another name": (checkpoints.safetensors(example()), "expected a file of torch.save"),
    "tar of torch 0.1": (b"pickle\0" * 100, "expected a file of torch.save"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "expected a file of torch.save"),
    "plain pickle": (b"\x80\x02}q\x00.", "expected a file of torch.save"),
}


@pytest.mark.parametrize("kind", BAD_BIN)
def test_a_bin_that_torch_did_not_write(tmp_path, kind):
    content, *words = BAD_BIN[kind]
    assert_refused(read_torch, saved(tmp_path, "pytorch_model.bin", content), *words)


def test_reading_needs_numpy_only(tmp_path):
    """Neither torch nor safetensors nor transformers is there, and none is missed."""
    saved(tmp_path, "pytorch_model.bin", checkpoints.torch_zip(example()))
    code = (
        "import sys\n"
        "for name in ('torch', 'safetensors', 'transformers'): sys.modules[name] = None\n"
        "from s2t_np.checkpoint import read_tensors\n"
        f"print(len(read_tensors({str(tmp_path)!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(example())}\n"
