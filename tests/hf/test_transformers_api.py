"""The classes named as in transformers, without it: the model card's program, batches, text, saved folders.

That they agree with transformers is tested in parity/test_transformers_api.py.
"""

import dataclasses
import json
import sys
import types

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import InputWarning, OptionError
from s2t_np.hf import (
    Speech2TextFeatureExtractor,
    Speech2TextForConditionalGeneration,
    Speech2TextProcessor,
    Speech2TextTokenizer,
)
from tests.support.paths import DIGITS
from tests.support.small_tokenizers import write_folder

RATE = 16000
NAMES = {"synthetic-zero-one-four-two": "zero one four two", "five-five": "five five"}
CARD = """
from datasets import load_dataset
from evaluate import load
from transformers import Speech2TextForConditionalGeneration, Speech2TextProcessor

ds = load_dataset("recordings", split="test")
model = Speech2TextForConditionalGeneration.from_pretrained("digits")
processor = Speech2TextProcessor.from_pretrained("digits")
input_features = processor(ds[0]["audio"]["array"], sampling_rate=16_000, return_tensors="pt").input_features
generated_ids = model.generate(input_features=input_features)
transcription = processor.batch_decode(generated_ids)

wer = load("wer")
model = Speech2TextForConditionalGeneration.from_pretrained("digits").to("cuda")
processor = Speech2TextProcessor.from_pretrained("digits", do_upper_case=True)

def map_to_pred(batch):
    features = processor(batch["audio"]["array"], sampling_rate=16000, padding=True, return_tensors="pt")
    input_features = features.input_features.to("cuda")
    attention_mask = features.attention_mask.to("cuda")
    gen_tokens = model.generate(input_features=input_features, attention_mask=attention_mask)
    batch["transcription"] = processor.batch_decode(gen_tokens, skip_special_tokens=True)[0]
    return batch

result = ds.map(map_to_pred, remove_columns=["audio"])
error = wer.compute(predictions=result["transcription"], references=result["text"])
"""


class Dataset(list):
    """As much of datasets.Dataset as the card uses."""

    def map(self, function, remove_columns):
        rows = [function(dict(row)) for row in self]
        return {name: [row[name] for row in rows] for name in rows[0] if name not in remove_columns}


def read(name: str) -> np.ndarray:
    return s2t_np.audio.load(DIGITS.parent.parent / "recordings" / f"{name}.flac", RATE)


@pytest.fixture(scope="module")
def audio() -> list[np.ndarray]:
    return [read(name) for name in NAMES]


@pytest.fixture(scope="module")
def processor() -> Speech2TextProcessor:
    return Speech2TextProcessor.from_pretrained("digits")


@pytest.fixture(scope="module")
def model() -> Speech2TextForConditionalGeneration:
    return Speech2TextForConditionalGeneration.from_pretrained("digits")


@pytest.fixture(scope="module")
def batch(processor, audio):
    return processor(audio, sampling_rate=RATE, padding=True, return_tensors="np")


# ---- the model card


def test_the_cards_program_runs_with_imports_and_pt_changed(monkeypatch):
    rows = Dataset({"audio": {"array": read(name)}, "text": text.upper()} for name, text in NAMES.items())
    same = types.SimpleNamespace(compute=lambda predictions, references: predictions != references)
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=lambda name, split: rows))
    monkeypatch.setitem(sys.modules, "evaluate", types.SimpleNamespace(load=lambda name: same))
    names: dict = {}
    with pytest.warns(InputWarning, match="computes on the CPU"):
        exec(CARD.replace("from transformers", "from s2t_np").replace('"pt"', '"np"'), names)
    assert names["transcription"] == ["</s> zero one four two</s>"]
    expected = ["ZERO ONE FOUR TWO", "FIVE FIVE"]
    assert names["result"] == {"text": expected, "transcription": expected}
    assert names["error"] is False


# ---- features


def test_features_are_those_of_the_model_padded(audio, batch):
    s2t = s2t_np.load("digits")
    assert batch.input_features.shape == (2, batch.attention_mask.sum(axis=1).max(), 80)
    assert (batch.input_features.dtype, batch.attention_mask.dtype) == (np.float32, np.int32)
    for samples, row, mask in zip(audio, batch.input_features, batch["attention_mask"], strict=True):
        alone = s2t.features(samples, RATE)
        assert np.array_equal(row[: len(alone)], alone)
        assert mask.tolist() == [1] * len(alone) + [0] * (len(row) - len(alone))
        assert not row[len(alone) :].any()


def test_features_of_integers_lists_and_matrices(processor, audio):
    floats = np.round(audio[0][:8000] * 32768) / 32768
    (expected,) = processor(floats, sampling_rate=RATE).input_features
    for same in ((floats * 32768).astype(np.int16), floats.astype(np.float64), floats.tolist(), floats[None]):
        (row,) = processor(same, sampling_rate=RATE).input_features
        assert np.array_equal(row, expected)
    several = processor(np.stack([floats, floats[::-1]]), sampling_rate=RATE).input_features
    assert len(several) == 2 and np.array_equal(several[0], expected)


def test_silence_gives_zeros(processor):
    batch = processor(np.zeros(8000, np.float32), sampling_rate=RATE, return_tensors="np")
    assert not batch.input_features.any()


LENGTHS = {  # frames of recordings of 158 and 153 frames as a batch
    "longest": ({"padding": True}, [158, 158]),
    "none": ({"padding": False}, [158, 153]),
    "more": ({"padding": "max_length", "max_length": 200}, [200, 200]),
    "less": ({"padding": "max_length", "max_length": 155}, [158, 155]),
    "cut": ({"padding": "longest", "max_length": 155, "truncation": True}, [155, 155]),
    "multiple": ({"padding": True, "pad_to_multiple_of": 64}, [192, 192]),
    "cut to a multiple": ({"max_length": 97, "truncation": True, "pad_to_multiple_of": 8}, [104, 104]),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_lengths(processor, audio, case):
    options, expected = LENGTHS[case]
    found = processor(audio, sampling_rate=RATE, **options)
    assert [len(row) for row in found.input_features] == [len(mask) for mask in found.attention_mask] == expected
    without = processor(audio, sampling_rate=RATE, return_attention_mask=False, **options)
    assert list(without) == ["input_features"] and [len(row) for row in without.input_features] == expected


def test_truncation_comes_before_normalisation(processor, audio):
    (row,) = processor(audio[0], sampling_rate=RATE, max_length=50, truncation=True).input_features
    assert row.shape == (50, 80)
    assert np.abs(row.mean(axis=0)).max() < 1e-5


def test_padding_on_the_left_gives_the_same_ids(model, batch, audio):
    left = Speech2TextFeatureExtractor.from_pretrained("digits", padding_side="left")
    padded = left(audio, sampling_rate=RATE, padding=True, return_tensors="np")
    assert padded.attention_mask[1, 0] == 0 and padded.attention_mask[1, -1] == 1
    assert np.array_equal(model.generate(**padded), model.generate(**batch))


def test_settings_may_be_set_and_are_checked(audio):
    extractor = Speech2TextFeatureExtractor(num_mel_bins=24, feature_size=24)
    extractor.do_ceptral_normalize = False
    (row,) = extractor(audio[1], sampling_rate=RATE).input_features
    assert row.shape[1] == 24 and row.mean() > 1
    extractor.padding_side = "middle"
    with pytest.raises(OptionError, match="padding_side is 'middle'"):
        extractor(audio[1], sampling_rate=RATE)


def test_a_missing_sampling_rate_is_warned_of(processor, audio):
    with pytest.warns(InputWarning, match="pass sampling_rate="):
        processor(audio[0])


# ---- ids


def test_a_result_does_not_depend_on_its_neighbours(model, batch, processor, audio):
    together = model.generate(**batch, num_return_sequences=3, return_dict_in_generate=True, output_scores=True)
    assert together.sequences.dtype == np.int64
    for i, samples in enumerate(audio):
        inputs = processor(samples, sampling_rate=RATE, return_tensors="np")
        alone = model.generate(**inputs, num_return_sequences=3, return_dict_in_generate=True, output_scores=True)
        rows = together.sequences[3 * i : 3 * i + 3]
        assert np.array_equal(rows[:, : alone.sequences.shape[1]], alone.sequences)
        assert (rows[:, alone.sequences.shape[1] :] == model.config.pad_token_id).all()
        assert np.array_equal(together.sequences_scores[3 * i : 3 * i + 3], alone.sequences_scores)


def test_upstreams_padded_numbers_on_request(model, batch):
    s2t, ids = s2t_np.load("digits"), [[2, 5], [2, 5]]
    own, theirs = (model(**batch, decoder_input_ids=ids, padded_as_upstream=flag).logits for flag in (False, True))
    assert np.array_equal(own[0], theirs[0]) and not np.array_equal(own[1], theirs[1])
    frames = batch.attention_mask[1].sum()
    memory = s2t.encode(batch.input_features[1, :frames], padded_length=batch.input_features.shape[1])
    assert np.array_equal(theirs[1], s2t.logits(memory, [2, 5]))


def test_generate_takes_features_by_any_name_and_as_a_list(model, batch, processor, audio):
    expected = model.generate(**batch)
    assert np.array_equal(model.generate(inputs=batch.input_features, attention_mask=batch.attention_mask), expected)
    assert np.array_equal(model.generate(batch.input_features, batch.attention_mask), expected)
    assert np.array_equal(model.generate(processor(audio, sampling_rate=RATE).input_features), expected)


def test_prompts_and_options(model, batch):
    for prompt in ([[2, 9], [2, 9]], [[9], [9]]):
        rows = model.generate(**batch, decoder_input_ids=np.array(prompt), max_new_tokens=2)
        assert rows.shape == (2, 4) and rows[:, :2].tolist() == [[2, 9], [2, 9]]
    options = model.generation_config.replace(num_beams=1, forced_bos_token_id=7)
    assert (model.generate(**batch, generation_config=options)[:, 1] == 7).all()
    other = Speech2TextForConditionalGeneration(model.s2t)
    other.generation_config = options
    assert (other.generate(**batch)[:, 1] == 7).all()
    drawn = [model.generate(**batch, do_sample=True, num_beams=1, temperature=3.0, seed=s) for s in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_rows_without_a_hypothesis_are_filled_up(model, batch):
    allowed = {"suppress_tokens": [i for i in range(30) if i != 5], "max_new_tokens": 1, "num_beams": 3}
    more = {"num_return_sequences": 3, "return_dict_in_generate": True, "output_scores": True}
    found = model.generate(**batch, **allowed, **more)
    assert found.sequences.tolist() == 2 * [[2, 5], [2, 1], [2, 1]]
    assert found.sequences_scores[1] == -1e9 and [len(row) for row in found.hypotheses] == [3, 3]


# ---- logits and loss


def test_loss_is_the_cross_entropy_of_score(model, processor, audio):
    for samples, text in zip(audio, NAMES.values(), strict=True):
        inputs = processor(samples, text=text, sampling_rate=RATE, return_tensors="np")
        expected = s2t_np.load("digits").score(samples, text, RATE).cross_entropy
        assert model(**inputs).loss.item() == pytest.approx(expected, rel=1e-5)


def test_loss_leaves_out_minus_100(model, batch):
    labels = np.array([[10, 8, 9, 2], [5, 5, 2, -100]])
    both = model(**batch, labels=labels)
    assert both.logits.shape == (2, 4, 30)
    parts = [
        model(batch.input_features[i : i + 1], batch.attention_mask[i : i + 1], labels=labels[i : i + 1, :n]).loss * n
        for i, n in enumerate((4, 3))
    ]
    assert both.loss == pytest.approx(sum(parts) / 7, rel=1e-5)


# ---- text


def test_text_and_back(processor):
    assert processor(text="five six").input_ids == [5, 6, 2]
    pair = processor(text=["five six", "nine"], padding=True, return_tensors="np")
    assert pair.input_ids.tolist() == [[5, 6, 2], [4, 2, 1]] and pair.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert processor.batch_decode(pair.input_ids, skip_special_tokens=True) == ["five six", "nine"]
    assert processor.decode([5, 6, 2]) == "five six</s>"
    tokenizer = processor.tokenizer
    assert tokenizer.convert_ids_to_tokens([5, 2], skip_special_tokens=True) == ["▁five"]
    assert tokenizer.convert_tokens_to_ids(["▁five", "qqq"]) == [5, 3] and tokenizer.get_vocab()["▁five"] == 5
    assert tokenizer.encode("one two three", truncation=True, max_length=2) == [10, 2]


def test_case_and_language_may_be_set(tmp_path):
    folder = write_folder(tmp_path / "multilingual", "multilingual")
    tokenizer = Speech2TextTokenizer.from_pretrained(folder, tgt_lang="de", do_upper_case=True)
    before = tokenizer.encode("ba be")
    assert before[0] == tokenizer.lang_code_to_id["de"] and tokenizer.decode(before[1:-1]) == "BA BE"
    tokenizer.tgt_lang, tokenizer.do_upper_case = "fr", False
    assert tokenizer.encode("ba be") == [tokenizer.lang_code_to_id["fr"], *before[1:]]
    tokenizer.save_pretrained(tmp_path / "saved")
    again = Speech2TextTokenizer.from_pretrained(tmp_path / "saved")
    assert again.tgt_lang == "fr" and again.encode("ba be") == tokenizer.encode("ba be")
    with pytest.raises(OptionError, match="'xx' is not known; this model has pt, fr"):
        tokenizer.tgt_lang = "xx"


def test_settings_that_have_no_field_survive_a_change(tmp_path):
    tokenizer = Speech2TextTokenizer.from_pretrained(write_folder(tmp_path / "tidy", "tidy"))
    ids = tokenizer.encode("ba , be", add_special_tokens=False)
    tokenizer.do_upper_case = True
    assert tokenizer.decode(ids) == "BA, BE"
    tokenizer.save_pretrained(tmp_path / "saved")
    assert Speech2TextTokenizer.from_pretrained(tmp_path / "saved").decode(ids) == "BA, BE"


# ---- folders


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
