"""`convert`: the tensors that come out, what it refuses to overwrite, and that nothing half-done stays behind."""

import json
import os
import re
import shutil

import numpy as np
import pytest

import s2t_np
from s2t_np.checkpoint import read_tensors, safetensors
from s2t_np.cli import main
from s2t_np.config import ModelConfig
from s2t_np.errors import ModelError, OptionError
from s2t_np.hf.convert import convert
from s2t_np.weights import expected_shapes
from tests.support.paths import DIGITS

RECORDING = DIGITS.parent.parent / "recordings" / "five-five.flac"


@pytest.fixture
def digits(tmp_path):
    """A copy of the bundled model that a test may spoil."""
    return shutil.copytree(DIGITS, tmp_path / "digits")


def edit(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_float32_is_bit_equal_and_complete(tmp_path):
    done = convert(DIGITS, tmp_path / "out")
    before, after = read_tensors(DIGITS), read_tensors(tmp_path / "out")
    names = list(expected_shapes(ModelConfig.from_dict(json.loads((DIGITS / "config.json").read_text()))))
    assert sorted(after) == sorted(names)
    for name in names:
        assert after[name].dtype == np.float32
        assert after[name].tobytes() == before[name].tobytes(), name
    assert (done.tensors, done.parameters) == (len(names), sum(before[n].size for n in names))
    assert done.size == (tmp_path / "out" / "model.safetensors").stat().st_size
    for file in ("vocab.json", "sentencepiece.bpe.model", "preprocessor_config.json", "README.md"):
        assert (tmp_path / "out" / file).read_bytes() == (DIGITS / file).read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_float16_is_the_nearest_half_and_says_so_in_the_config(tmp_path):
    convert(DIGITS, tmp_path / "out", "float16")
    before, after = read_tensors(DIGITS), read_tensors(tmp_path / "out")
    for name, tensor in after.items():
        assert tensor.dtype == np.float16
        spacing = np.spacing(np.abs(before[name]).astype(np.float16)).astype(np.float32)
        assert np.all(np.abs(tensor.astype(np.float32) - before[name]) <= spacing / 2), name
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float16"
    assert s2t_np.load(tmp_path / "out").transcribe(RECORDING).text == "five five"


def test_a_converted_folder_converts_back(tmp_path):
    convert(DIGITS, tmp_path / "half", "float16")
    convert(tmp_path / "half", tmp_path / "whole", "float32")
    half, whole = read_tensors(tmp_path / "half"), read_tensors(tmp_path / "whole")
    assert all(np.array_equal(half[name].astype(np.float32), whole[name]) for name in half)
    assert json.loads((tmp_path / "whole" / "config.json").read_text())["dtype"] == "float32"


def test_sinusoids_and_a_tied_head_are_left_out(digits, tmp_path):
    tensors = dict(read_tensors(digits))
    tensors["lm_head.weight"] = np.array(tensors["model.decoder.embed_tokens.weight"])
    tensors["model.encoder.embed_positions.weights"] = np.zeros((8, 128), np.float32)
    safetensors.write(digits / "model.safetensors", {k: np.array(v) for k, v in tensors.items()})
    convert(digits, tmp_path / "out")
    assert sorted(read_tensors(tmp_path / "out")) == sorted(read_tensors(DIGITS))


def test_generation_options_of_an_old_config_get_a_file_of_their_own(digits, tmp_path):
    (digits / "generation_config.json").unlink()
    edit(digits / "config.json", max_length=77, num_beams=3, early_stopping=True, torch_dtype="float64")
    convert(digits, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (written["max_length"], written["num_beams"], written["eos_token_id"]) == (77, 3, 2)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "torch_dtype" not in config
    assert config["dtype"] == "float32"
    assert s2t_np.load(tmp_path / "out").generation_config == s2t_np.load(digits).generation_config


def test_values_beyond_half_precision_are_refused_by_name(digits, tmp_path):
    tensors = {k: np.array(v) for k, v in read_tensors(digits).items()}
    tensors["model.encoder.layer_norm.bias"][3] = -7e4
    safetensors.write(digits / "model.safetensors", tensors)
    with pytest.raises(ModelError, match=r"model.encoder.layer_norm.bias reaches 7e\+04"):
        convert(digits, tmp_path / "out", "float16")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits"]
    convert(digits, tmp_path / "out", "float32")


def test_a_source_that_does_not_load_is_refused_and_nothing_appears(digits, tmp_path):
    vocab = json.loads((digits / "vocab.json").read_text())
    vocab["▁nine"], vocab["▁five"] = vocab["▁five"], vocab["▁nine"]
    (digits / "vocab.json").write_text(json.dumps(vocab))
    with pytest.raises(ModelError, match=re.escape(str(digits))):  # named as the user named it
        convert(digits, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits"]


def test_an_empty_folder_is_filled_a_full_one_is_not(digits, tmp_path):
    (tmp_path / "out").mkdir()
    convert(DIGITS, tmp_path / "out")
    with pytest.raises(OptionError, match=r"not empty.*--force"):
        convert(digits, tmp_path / "out")
    (tmp_path / "file").write_text("precious")
    for force in (False, True):
        with pytest.raises(OptionError, match="is a file"):
            convert(digits, tmp_path / "file", force=force)
    assert (tmp_path / "file").read_text() == "precious"


def test_force_replaces_a_model_and_nothing_else(digits, tmp_path):
    convert(DIGITS, tmp_path / "out")
    (tmp_path / "out" / "pytorch_model.bin").write_bytes(b"of another model")
    convert(digits, tmp_path / "out", "float16", force=True)
    assert not (tmp_path / "out" / "pytorch_model.bin").exists()
    (tmp_path / "out" / "LICENSE").mkdir()
    with pytest.raises(OptionError, match=r"LICENSE.*not even --force"):
        convert(digits, tmp_path / "out", force=True)
    (tmp_path / "out" / "LICENSE").rmdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(OptionError, match=r"thesis.tex.*not even --force"):
        convert(digits, tmp_path / "out", force=True)
    assert (tmp_path / "out" / "thesis.tex").exists()


@pytest.mark.parametrize("name", ["digits", "./x/../digits", "link", "."])
def test_the_source_is_never_its_own_destination(digits, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    os.symlink("digits", tmp_path / "link")
    before = {p.name: p.read_bytes() for p in digits.iterdir()}
    with pytest.raises(OptionError, match=r"choose another destination|not part of a model"):
        convert("digits", name, force=True)
    assert {p.name: p.read_bytes() for p in digits.iterdir()} == before


def test_a_failure_in_the_middle_leaves_the_old_model_in_place(digits, tmp_path, monkeypatch):
    convert(DIGITS, tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}

    def full(*args):
        raise OSError(28, "No space left on device", str(args[0]))

    monkeypatch.setattr(safetensors, "write", full)
    with pytest.raises(OSError, match="No space left"):
        convert(digits, tmp_path / "out", force=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits", "out"]


def test_the_old_model_comes_back_when_the_new_one_cannot_take_its_place(digits, tmp_path, monkeypatch):
    convert(DIGITS, tmp_path / "out")
    rename = type(tmp_path).rename

    def refuse(self, target):
        if self.name.endswith(".tmp"):
            raise PermissionError(13, "Permission denied", str(target))
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", refuse)
    monkeypatch.setattr(
        "s2t_np.system.atomic_folders.exchange", lambda *_: False
    )  # a system that cannot do it in one step
    with pytest.raises(PermissionError):
        convert(digits, tmp_path / "out", "float16", force=True)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits", "out"]


def test_the_command_tells_what_it_wrote(tmp_path, capsys):
    assert main(["convert", "digits", str(tmp_path / "out"), "--dtype", "float16"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "2,254,464 parameters, float16, 4.5 MB" in err
    assert main(["convert", "digits", str(tmp_path / "out")]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "nowhere"), str(tmp_path / "new")]) == 3
    assert not (tmp_path / "new").exists()
    assert main(["convert", "digits", str(DIGITS), "--force"]) == 2
