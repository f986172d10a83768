"""Tensors that stay in their file until they are asked for: the same numbers, the same words, and little memory."""

import gc
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import s2t_np
from s2t_np.checkpoint import file_bytes, open_tensors, read_tensors, safetensors
from s2t_np.checkpoint.unread import Reader, Unread
from s2t_np.errors import ModelError
from tests.support.checkpoints import View, safetensors_file, saved, torch_legacy, torch_zip
from tests.support.paths import DIGITS

KINDS = ("float64", "float32", "float16", "int64", "uint8")


def saved_kinds(folder):
    """A file with a tensor of each kind, one without a number, and their arrays."""
    rng = np.random.default_rng(3)
    arrays = {kind: (rng.standard_normal((3, 5)) * 50).astype(kind) for kind in KINDS}
    arrays["nothing"] = np.zeros((0, 4), np.float32)
    safetensors.write(folder / "model.safetensors", arrays)
    return arrays


def test_each_way_to_read_gives_the_numbers_of_the_file(tmp_path):
    arrays, read = saved_kinds(tmp_path), Reader()
    found = open_tensors(tmp_path)
    assert found.keys() == arrays.keys() and all(isinstance(tensor, Unread) for tensor in found.values())
    for name, array in arrays.items():
        tensor = found[name]
        assert (tensor.shape, tensor.ndim, tensor.size, tensor.dtype) == (array.shape, 2, array.size, array.dtype)
        for numbers in (np.asarray(tensor), read(tensor), read(array)):
            assert numbers.dtype == array.dtype
            np.testing.assert_array_equal(numbers, array)
        assert np.asarray(tensor, np.float64).dtype == np.float64


def test_bfloat16_is_widened(tmp_path):
    header = {"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    content = safetensors_file(header, np.array([0x3F80, 0xC000], "<u2").tobytes())
    tensor = safetensors.open_tensors(saved(tmp_path, "model.safetensors", content))["x"]
    assert tensor.dtype == np.float32
    for numbers in (np.asarray(tensor), Reader()(tensor)):
        assert numbers.tolist() == [1.0, -2.0] and numbers.dtype == np.float32


def test_one_after_the_other_in_the_same_memory(tmp_path):
    saved_kinds(tmp_path)
    found, read = open_tensors(tmp_path), Reader()
    places = {read(found[kind]).ctypes.data for kind in KINDS}  # the widest comes first
    assert len(places) == 1
    kept = [np.asarray(found[kind]) for kind in KINDS]
    assert len({array.ctypes.data for array in kept}) == len(KINDS)


def test_each_thread_has_its_own_memory(tmp_path):
    arrays, read = saved_kinds(tmp_path), Reader()
    found = open_tensors(tmp_path)
    mine = read(found["float32"])
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(read, found["int64"]).result()
    np.testing.assert_array_equal(mine, arrays["float32"])
    np.testing.assert_array_equal(theirs, arrays["int64"])


@pytest.mark.parametrize("way", ["at once", "in turn", "little by little"])
def test_threads_read_from_one_file(tmp_path, monkeypatch, way):
    """Windows has one place in a file where the next bytes are read from; any system may give fewer than asked for."""
    if way == "in turn":
        monkeypatch.delattr(os, "preadv", raising=False)
    elif way == "little by little":
        original = os.preadv if hasattr(os, "preadv") else pytest.skip("needs preadv")
        monkeypatch.setattr(os, "preadv", lambda file, views, begin: original(file, [views[0][:1000]], begin))
    arrays = {str(i): np.random.default_rng(i).integers(0, 2**63, 4000 + i) for i in range(40)}
    safetensors.write(tmp_path / "model.safetensors", arrays)
    found, read = open_tensors(tmp_path), Reader()
    with ThreadPoolExecutor(4) as threads:
        right = threads.map(lambda name: np.array_equal(read(found[name]), arrays[name]), list(arrays) * 5)
    assert list(right) == [True] * 200


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_views_of_one_storage_in_torchs_files(tmp_path, write):
    """Of the storage, only what a view touches is read."""
    x = View("FloatStorage", "0", 6, 0, (2, 3), (3, 1))
    views = {
        "whole": x,
        "tied": x,
        "transposed": replace(x, size=(3, 2), stride=(1, 3)),
        "slice": replace(x, offset=4, size=(2,), stride=(1,)),
        "last": replace(x, offset=5, size=(), stride=()),
        "every other": replace(x, size=(3,), stride=(2,)),
        "expanded": replace(x, offset=1, size=(2, 3), stride=(0, 1)),
        "none": replace(x, offset=6, size=(0, 5), stride=(1, 1)),
    }
    path = saved(tmp_path, "pytorch_model.bin", write({"x": np.arange(6, dtype=np.float32)}, views))
    found, arrays, read = open_tensors(tmp_path), read_tensors(tmp_path), Reader()
    assert found.keys() == arrays.keys() == views.keys()
    assert {name: tensor.stored // 4 for name, tensor in found.items()} == {
        **{"whole": 6, "tied": 6, "transposed": 6, "slice": 2, "last": 1, "every other": 5, "expanded": 3, "none": 0}
    }
    for name, array in arrays.items():
        for numbers in (np.asarray(found[name]), read(found[name])):
            np.testing.assert_array_equal(numbers, array, strict=True)
    os.truncate(path, 70)
    with pytest.raises(ModelError, match=r"pytorch_model\.bin: became shorter while it was read"):
        read(found["whole"])


def test_a_file_that_becomes_shorter_before_it_is_read(tmp_path):
    saved_kinds(tmp_path)
    path, found = tmp_path / "model.safetensors", open_tensors(tmp_path)
    os.truncate(path, path.stat().st_size - 8)
    names = [name for name in found if found[name].size]
    with pytest.raises(ModelError, match=r"model\.safetensors: became shorter while it was read"):
        for name in names:
            np.asarray(found[name])
    with pytest.raises(ModelError, match=r"model\.safetensors: became shorter while it was read"):
        Reader()(found[names[-1]])


def test_the_file_is_closed_with_the_last_tensor(tmp_path, monkeypatch):
    opened, original = [], file_bytes.OpenFile.__init__

    def remember(self, file):
        opened.append(file)
        original(self, file)

    monkeypatch.setattr(file_bytes.OpenFile, "__init__", remember)
    saved_kinds(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        found = open_tensors(tmp_path)
        assert not opened[0].closed
        del found
        gc.collect()
    assert opened[0].closed


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_damage_that_is_seen_when_it_is_read_names_file_and_tensor(tmp_path, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    folder = shutil.copytree(DIGITS, tmp_path / "model", copy_function=shutil.copyfile)
    tensors = {name: np.array(tensor) for name, tensor in read_tensors(DIGITS).items()}
    tensors["model.decoder.layers.0.fc1.weight"][3, 4] = np.nan
    safetensors.write(folder / "model.safetensors", tensors)
    with pytest.raises(ModelError, match=r"model: model\.decoder\.layers\.0\.fc1\.weight holds 1 values that are NaN"):
        s2t_np.load(folder, backend=backend)
