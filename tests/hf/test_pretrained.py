"""Folders: where the classes come from, what they save."""

import dataclasses
import json
import shutil
import types

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import HubError, InputWarning
from s2t_np.hf import Speech2TextFeatureExtractor, Speech2TextForConditionalGeneration, Speech2TextProcessor
from tests.support.paths import DIGITS

RATE = 16000
NAMES = {"synthetic-zero-one-four-two": "zero one four two", "five-five": "five five"}


def test_saved_folders_give_the_same(tmp_path, model, processor, batch, audio):
    changed = Speech2TextForConditionalGeneration(model.s2t)
    changed.generation_config = model.generation_config.replace(num_beams=2, max_length=4, suppress_tokens=[9])
    changed.save_pretrained(tmp_path / "a" / "b")
    processor.save_pretrained(tmp_path / "a" / "b")
    again = Speech2TextForConditionalGeneration.from_pretrained(tmp_path / "a" / "b")
    assert again.generation_config == changed.generation_config and again.config == model.config
    assert np.array_equal(again.generate(**batch), changed.generate(**batch))
    more = Speech2TextProcessor.from_pretrained(tmp_path / "a" / "b")
    for ours, theirs in zip(more(audio, sampling_rate=RATE).input_features, batch.input_features, strict=True):
        assert np.array_equal(ours, theirs[: len(ours)])
    assert s2t_np.load(tmp_path / "a" / "b").transcribe(audio[1], RATE, max_length=9).text == "five five"
    again.save_pretrained(tmp_path / "a" / "b")  # over the files its weights are views of
    assert np.array_equal(again.generate(**batch), changed.generate(**batch))


def test_a_model_needs_no_processor_and_a_processor_no_model(tmp_path, model, processor, batch):
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "processor")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
    }
    alone = Speech2TextForConditionalGeneration.from_pretrained(tmp_path / "model")
    assert np.array_equal(alone.generate(**batch), model.generate(**batch))
    assert Speech2TextProcessor.from_pretrained(tmp_path / "processor").decode([5]) == "five"


def test_settings_where_transformers_5_keeps_them(tmp_path):
    settings = dataclasses.asdict(Speech2TextFeatureExtractor().config) | {"num_mel_bins": 40, "feature_size": 40}
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    assert Speech2TextFeatureExtractor.from_pretrained(tmp_path).num_mel_bins == 40


def test_devices(model, batch):
    assert model.to("cpu").eval() is model and batch.to(model.device) is batch
    with pytest.warns(InputWarning, match=r'to\("cuda:0"\) changes nothing'):
        assert batch.input_features.to("cuda:0") is batch.input_features
    with pytest.raises(AttributeError, match="no 'input_values' here, only input_features, attention_mask"):
        _ = batch.input_values


# ---- arguments of from_pretrained


def test_arguments_that_everybody_writes(tmp_path, batch, model, recwarn):
    quiet = {"device_map": "auto", "low_cpu_mem_usage": True, "use_safetensors": True, "trust_remote_code": False}
    more = {"cache_dir": tmp_path, "local_files_only": True, "token": None, "attn_implementation": "sdpa"}
    loaded = Speech2TextForConditionalGeneration.from_pretrained("digits", **quiet, **more, dtype="auto")
    assert np.array_equal(loaded.generate(**batch), model.generate(**batch))
    assert Speech2TextProcessor.from_pretrained("digits", **more).decode([5]) == "five"
    assert not [w for w in recwarn if issubclass(w.category, InputWarning)]


@pytest.mark.parametrize(
    "argument", [{"device_map": "cuda"}, {"trust_remote_code": True}, {"attn_implementation": "flash_attention_2"}]
)
def test_arguments_that_ask_for_what_is_not_here(argument):
    (name,) = argument
    for kind in (Speech2TextForConditionalGeneration, Speech2TextProcessor):
        with pytest.warns(InputWarning, match=f"{name}=.* changes nothing"):
            kind.from_pretrained("digits", **argument)


class float16:
    """Stands for torch.float16, of which only the name is used."""


def test_types_by_any_name(batch):
    half = Speech2TextForConditionalGeneration.from_pretrained("digits", dtype="float16").generate(**batch)
    for dtype in (np.float16, types.SimpleNamespace(__name__="torch.float16"), float16):
        for name in ("dtype", "torch_dtype"):
            model = Speech2TextForConditionalGeneration.from_pretrained("digits", **{name: dtype})
            assert model.s2t.dtype is not None and np.array_equal(model.generate(**batch), half)
    with pytest.warns(InputWarning, match="bfloat16 is not computed in here"):
        Speech2TextForConditionalGeneration.from_pretrained("digits", torch_dtype="bfloat16")


def test_a_cache_of_ones_own(tmp_path):
    snapshot = tmp_path / "models--owner--model" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(DIGITS, snapshot)
    (tmp_path / "models--owner--model" / "refs").mkdir()
    (tmp_path / "models--owner--model" / "refs" / "main").write_text("a" * 40)
    for kind in (Speech2TextForConditionalGeneration, Speech2TextProcessor):
        kind.from_pretrained("owner/model", cache_dir=tmp_path, local_files_only=True)
        with pytest.raises(HubError, match="not in the local cache"):
            kind.from_pretrained("owner/model", cache_dir=tmp_path / "other", local_files_only=True)


def test_a_folder_below(tmp_path):
    shutil.copytree(DIGITS, tmp_path / "checkpoint-5000")
    assert Speech2TextProcessor.from_pretrained(tmp_path, subfolder="checkpoint-5000").decode([5]) == "five"


def test_saving_names_its_files(tmp_path, processor, model):
    names = ["preprocessor_config.json", "tokenizer_config.json", "vocab.json", "sentencepiece.bpe.model"]
    assert processor.save_pretrained(tmp_path) == [str(tmp_path / name) for name in names]
    names = ["config.json", "generation_config.json", "model.safetensors"]
    assert model.save_pretrained(tmp_path) == [str(tmp_path / name) for name in names]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("AutoProcessor", "Speech2TextProcessor.from_pretrained("),
        ("AutoModelForSpeechSeq2Seq", "Speech2TextForConditionalGeneration.from_pretrained("),
        ("AutoModel", "Speech2TextForConditionalGeneration.from_pretrained("),
        ("pipeline", 's2t_np.load("facebook/s2t-small-librispeech-asr").transcribe("talk.flac").text'),
    ],
)
def test_names_of_transformers_that_are_not_here_name_what_is(name, instead):
    with pytest.raises(ImportError) as error:
        exec(f"from s2t_np import {name}")
    assert f"transformers' {name} is not in s2t_np; write {instead}" in str(error.value)


def test_cuda_says_that_it_changes_nothing():
    model = s2t_np.Speech2TextForConditionalGeneration.from_pretrained("digits", backend="numpy")
    with pytest.warns(InputWarning, match=r"^\.cuda\(\) changes nothing: s2t-np computes on the CPU"):
        assert model.cuda() is model


def test_a_name_that_nobody_has_is_an_ordinary_error():
    assert not hasattr(s2t_np, "Wav2Vec2Processor")
