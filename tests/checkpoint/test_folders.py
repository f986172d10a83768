"""What is said of a file or folder that was given as a model and is none."""

import json
import shutil
from pathlib import Path

import pytest

import s2t_np
from s2t_np.checkpoint import hub
from s2t_np.cli import main
from s2t_np.errors import HubError, ModelError
from tests.support import checkpoints
from tests.support.checkpoints import example
from tests.support.paths import DIGITS

FILES = {
    "s2t_transformer_s": (checkpoints.torch_zip(example()), "zip archive .*fairseq names its checkpoints NAME.pt"),
    "old": (checkpoints.torch_legacy(example()), "checkpoint from before torch 1.6.*fairseq names"),
    "model.safetensors": (checkpoints.safetensors(example()), "is a weights file; give the folder that holds it"),
    "pytorch_model.bin": (b"x", "is a weights file; give the folder that holds it"),
    "ggml-base.en": (b"lmgg\1\0\0\0", "is a GGML model of whisper.cpp"),
    "model.gguf": (b"GGUF\3\0\0\0", "is a GGUF model"),
    "tf_model.h5": (b"\x89HDF\r\n", "is an HDF5 file"),
    "speech.wav": (b"RIFF\0\0\0\0WAVE", "is a WAV recording"),
    "speech.flac": (b"fLaC\0", "is a FLAC recording"),
    "notes": (b"hello", "is a file, not a folder"),
    "empty": (b"", "is a file, not a folder"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_named_for_what_it_is(tmp_path, name):
    content, words = FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HubError, match=f"{name}' {words}" if words.startswith("is") else words) as refusal:
        hub.find(str(tmp_path / name))
    assert "\n" not in str(refusal.value) and "expected a folder" in str(refusal.value)


def test_a_file_under_a_name_like_a_hub_id(tmp_path, monkeypatch):
    """A .pt is a checkpoint of fairseq's; another file is not looked up on the hub."""
    (tmp_path / "runs").mkdir()
    for name in ("best.pt", "best"):
        (tmp_path / "runs" / name).write_bytes(checkpoints.torch_zip(example()))
    monkeypatch.chdir(tmp_path)
    assert hub.find("runs/best.pt") == Path("runs/best.pt")
    with pytest.raises(HubError, match="fairseq"):
        hub.find("runs/best")


RECORDING = DIGITS.parent.parent / "recordings" / "five-five.flac"


def copied(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(DIGITS / name, folder)
    return folder


NETWORK = ("config.json", "generation_config.json", "model.safetensors")
PROCESSOR = ("preprocessor_config.json", "vocab.json", "sentencepiece.bpe.model", "tokenizer_config.json")
FOLDERS = {
    "empty": ((), {}, "the folder is empty"),
    "fairseq": ((), {"s2t.pt": "x", "config.yaml": "x", "dict.txt": "x"}, "config.yaml: expected a small YAML file"),
    "network": (NETWORK, {}, "holds a network without its processor.* it lacks preprocessor_config.json, vocab.json"),
    "processor": (PROCESSOR, {}, "holds a processor without its network.* it lacks config.json, model.safetensors or"),
    "notes": ((), {"notes.txt": "x"}, r"is not a complete model \(found: notes.txt\)"),
    "whisper": (NETWORK, {"config.json": json.dumps({"model_type": "whisper"})}, "model_type is 'whisper', expected"),
    "untyped": (NETWORK, {"config.json": "{}"}, "model_type is None, expected 'speech_to_text'"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_is_not_a_model(tmp_path, kind, capsys):
    names, written, words = FOLDERS[kind]
    folder = copied(tmp_path / kind, *names)
    for name, text in written.items():
        (folder / name).write_text(text)
    with pytest.raises(ModelError, match=words) as refusal:
        s2t_np.load(folder)
    assert str(folder) in str(refusal.value) and "\n" not in str(refusal.value)
    assert main(["transcribe", "--model", str(folder), str(RECORDING)]) == 3
    capsys.readouterr()


def test_a_model_in_two_folders_serves_the_classes(tmp_path):
    network, processor = copied(tmp_path / "model", *NETWORK), copied(tmp_path / "processor", *PROCESSOR)
    model = s2t_np.Speech2TextForConditionalGeneration.from_pretrained(network)
    text = s2t_np.Speech2TextProcessor.from_pretrained(processor)
    sound = s2t_np.audio.load(RECORDING, 16000)
    features = text(sound, sampling_rate=16000, return_tensors="np").input_features
    assert text.batch_decode(model.generate(features), skip_special_tokens=True) == ["five five"]


def test_damage_in_the_cache_names_the_command_that_mends_it(tmp_path):
    snapshot = tmp_path / "models--owner--model" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(DIGITS, snapshot)
    cut = (snapshot / "model.safetensors").read_bytes()[:-100]
    (snapshot / "model.safetensors").write_bytes(cut)
    with pytest.raises(ModelError, match=r"download it again \(`s2t-np download owner/model --force` replaces it\)"):
        s2t_np.load(snapshot)
