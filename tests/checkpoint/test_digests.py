"""Checksums: what is announced for a file, and what `verify` and `info --verify` say when a file has another."""

import hashlib
import shutil
from pathlib import Path

import pytest

from s2t_np.checkpoint import digests, hub
from s2t_np.cli import main
from s2t_np.errors import ModelError
from tests.support.loopback_hub import git_object_id
from tests.support.paths import DIGITS

LARGE = ("model.safetensors",)
NAMES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    *LARGE,
)


def cached_digits(folder: Path) -> Path:
    """The bundled model as huggingface_hub would keep it: links into blobs/, named as the hub names them."""
    repo = folder / "models--owner--digits"
    snapshot = repo / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    for name in NAMES:
        data = (DIGITS / name).read_bytes()
        blob = hashlib.sha256(data).hexdigest() if name in LARGE else git_object_id(data)
        (repo / "blobs" / blob).write_bytes(data)
        (snapshot / name).symlink_to(Path("../../blobs") / blob)
    return snapshot


def flip(path: Path, place: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)


def test_gits_object_id_is_gits():
    assert digests.digest(Path(__file__).with_name("__init__.py"), 40) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_a_cached_model_is_held_to_the_names_of_its_blobs(tmp_path):
    snapshot = cached_digits(tmp_path)
    assert hub.verify(snapshot) == dict.fromkeys(sorted(NAMES), True)


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json"])
def test_one_flipped_bit_is_found(tmp_path, name, capsys):
    snapshot = cached_digits(tmp_path)
    flip((snapshot / name).resolve())
    with pytest.raises(ModelError, match=rf"{name}: damaged: .*s2t-np download owner/digits .*--force` replaces it"):
        hub.verify(snapshot)
    assert main(["info", "--verify", "--model", str(snapshot)]) == 3
    assert f"{name}: damaged" in capsys.readouterr().err


def test_the_bundled_weights_are_held_to_a_recorded_checksum(tmp_path, capsys):
    assert hub.verify(DIGITS)["model.safetensors"]
    assert main(["info", "--verify", "--model", "digits"]) == 0
    assert "3 files as announced; nothing to compare with for config.json" in capsys.readouterr().out
    copy = shutil.copytree(DIGITS, tmp_path / "digits")
    flip(copy / "model.safetensors")
    with pytest.raises(ModelError, match=r"model.safetensors: damaged: .*; download it again"):
        hub.verify(copy)


def test_a_folder_that_was_downloaded_as_local_dir(tmp_path):
    notes = tmp_path / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    data = (DIGITS / "vocab.json").read_bytes()
    (tmp_path / "vocab.json").write_bytes(data)
    (notes / "vocab.json.metadata").write_text(f"{'a' * 40}\n{git_object_id(data)}\n1.0\n")
    assert hub.verify(tmp_path) == {"vocab.json": True}
    flip(tmp_path / "vocab.json")
    with pytest.raises(ModelError, match=r"vocab\.json: damaged"):
        hub.verify(tmp_path)


def test_nothing_announced_is_said_to_be_so(tmp_path):
    shutil.copy(DIGITS / "config.json", tmp_path)
    assert hub.verify(tmp_path) == {"config.json": False}
