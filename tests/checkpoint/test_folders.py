"""What is said of a file or folder that was given as a model and is none."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import s2t_np
from s2t_np.checkpoint import hub
from s2t_np.cli import main
from s2t_np.errors import HubError, ModelError
from s2t_np.settings.hub_places import download_again
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


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    """A model as the default cache has it, the head of main, each file a link to a blob named by its checksum."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--owner--model"
    folder = model / "snapshots" / COMMIT
    for made in (folder, model / "blobs", model / "refs"):
        made.mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    for path in DIGITS.iterdir():
        data = path.read_bytes()
        blob = model / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (folder / path.name).symlink_to(Path("../../blobs") / blob.name)
    return folder


COMMIT = "a" * 40
COMMAND = "`s2t-np download owner/model --force` replaces it"
DAMAGE = {
    "cut weights": ("model.safetensors", lambda data: data[:-100], "download it again"),
    "no weights": ("model.safetensors", lambda data: b"", "the file is empty"),
    "cut config": ("config.json", lambda data: data[: len(data) // 2], "not valid JSON"),
    "zeros": ("preprocessor_config.json", lambda data: bytes(len(data)), "not valid JSON (zeros only)"),
    "empty": ("tokenizer_config.json", lambda data: b"", "not valid JSON (it is empty)"),
    "a list": ("generation_config.json", lambda data: b"[]", "holds a list, expected a JSON object"),
    "cut vocabulary": ("vocab.json", lambda data: data[:100], "not valid JSON"),
    "cut pieces": ("sentencepiece.bpe.model", lambda data: data[:99], "damaged, or not a SentencePiece model"),
    "no pieces": ("sentencepiece.bpe.model", lambda data: b"", "damaged"),
    "a digit of config": ("config.json", lambda data: data.replace(b'"d_model": 1', b'"d_model": 3'), "damaged: its"),
    "a letter of a piece": ("vocab.json", lambda data: data.replace(b"five", b"fife"), "damaged: its checksum is"),
}
OF_NETWORK = ("config.json", "generation_config.json", "model.safetensors")
LOADING = [(s2t_np.load, kind) for kind in DAMAGE]
LOADING += [
    (
        s2t_np.Speech2TextForConditionalGeneration.from_pretrained
        if name in OF_NETWORK
        else s2t_np.Speech2TextProcessor.from_pretrained,
        kind,
    )
    for kind, (name, *_) in DAMAGE.items()
]


@pytest.mark.parametrize(("load", "kind"), LOADING)
def test_damage_in_the_cache_names_the_file_and_the_command_that_mends_it(snapshot, kind, load):
    name, harm, found = DAMAGE[kind]
    (snapshot / name).write_bytes(harm((snapshot / name).read_bytes()))
    with pytest.raises(ModelError) as caught:
        load(snapshot)
    assert str(caught.value).startswith(f"{snapshot / name}: ")
    assert found in str(caught.value) and COMMAND in str(caught.value)


def test_the_command_says_the_revision_and_the_cache(snapshot, monkeypatch):
    (snapshot / "config.json").write_bytes(b"{")
    (snapshot.parents[1] / "refs" / "main").write_text("b" * 40)
    with pytest.raises(ModelError, match=f"`s2t-np download owner/model --revision {COMMIT} --force` replaces it"):
        s2t_np.load(snapshot)
    monkeypatch.setenv("HF_HUB_CACHE", "/elsewhere")
    with pytest.raises(ModelError, match=f"`HF_HUB_CACHE={snapshot.parents[2]} s2t-np download owner/model --revis"):
        s2t_np.load(snapshot)


def test_damage_of_a_bundled_model_and_of_a_folder():
    assert download_again(DIGITS / "vocab.json") == "`pip install --force-reinstall s2t-np` replaces it"
    assert download_again(Path("model/vocab.json")) == "download it again"
