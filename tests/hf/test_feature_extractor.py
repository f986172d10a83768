"""Recordings to batches of features: forms of sound, lengths, settings."""

import json
import types
from collections import UserList
from pathlib import Path

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import InputWarning, OptionError
from s2t_np.hf import Speech2TextFeatureExtractor
from tests.support.paths import DIGITS

RATE = 16000
NAMES = {"synthetic-zero-one-four-two": "zero one four two", "five-five": "five five"}


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


def test_every_form_of_sound_gives_the_same(processor, audio):
    path = DIGITS.parent.parent / "recordings" / f"{next(iter(NAMES))}.flac"
    (expected,) = processor(audio[0], sampling_rate=RATE).input_features
    decoder = types.SimpleNamespace(
        get_all_samples=lambda: types.SimpleNamespace(data=audio[0][None], sample_rate=RATE)
    )  # as torchcodec's, which datasets gives
    forms = {
        "path": path,
        "bytes": path.read_bytes(),
        "a record of samples": {"array": audio[0], "sampling_rate": RATE, "path": "x.flac"},
        "a record of bytes": {"bytes": path.read_bytes(), "path": "five.flac"},
        "a record of a path": {"bytes": None, "path": str(path)},
        "a decoder": decoder,
        "gradio": (RATE, np.round(audio[0] * 32768).astype(np.int16)),
    }
    for name, form in forms.items():
        for given in (form, [form], [form, form]):
            rows = processor(given).input_features  # no warning: each has its rate
            assert len(rows) == (2 if isinstance(given, list) and len(given) == 2 else 1), name
            assert all(np.abs(row - expected).max() < 1e-4 for row in rows), name


def test_records_at_another_rate_are_resampled(processor, audio):
    record = {"array": np.repeat(audio[0], 2), "sampling_rate": 2 * RATE}
    (row,) = processor(record).input_features
    assert len(row) == len(processor(audio[0], sampling_rate=RATE).input_features[0])


def test_ragged_batches_are_arrays_of_rows(processor, audio):
    ragged = processor(audio, sampling_rate=RATE, return_tensors="np")
    assert ragged.input_features.shape == ragged.attention_mask.shape == (2,)
    assert [len(row) for row in ragged.input_features] == [158, 153]


def test_a_collator_pads_what_was_extracted_one_by_one(processor, audio, batch):
    extractor = processor.feature_extractor
    rows = [extractor(x, sampling_rate=RATE).input_features[0] for x in audio]
    for given in ([{"input_features": row} for row in rows], {"input_features": rows}):
        padded = extractor.pad(given, return_tensors="np")
        assert np.array_equal(padded.input_features, batch.input_features)
        assert np.array_equal(padded.attention_mask, batch.attention_mask)
    cut = extractor.pad({"input_features": rows}, truncation=True, max_length=150, pad_to_multiple_of=8)
    assert cut.input_features.shape == (2, 152, 80) and cut.attention_mask.all()
    assert len(extractor.pad({"input_features": rows}, padding="max_length", max_length=155).input_features[1]) == 155
    bare = extractor.pad({"input_features": [row.tolist() for row in rows]}, return_attention_mask=False)
    assert list(bare) == ["input_features"] and bare.input_features.dtype == np.float32
    left = Speech2TextFeatureExtractor(padding_side="left", padding_value=2.5).pad({"input_features": rows})
    assert (left.input_features[1][:5] == 2.5).all() and left.attention_mask[1].tolist() == [0] * 5 + [1] * 153


def test_settings_as_dict_and_json(tmp_path):
    extractor = Speech2TextFeatureExtractor(num_mel_bins=40, feature_size=40, do_normalize=True)
    assert extractor.do_normalize is True and extractor.dither == 0
    settings = extractor.to_dict()
    assert settings["num_mel_bins"] == 40 and settings["feature_extractor_type"] == "Speech2TextFeatureExtractor"
    assert json.loads(extractor.to_json_string()) == settings
    extractor.to_json_file(tmp_path / "f.json")
    for same in (
        Speech2TextFeatureExtractor.from_json_file(tmp_path / "f.json"),
        Speech2TextFeatureExtractor.from_dict(settings | {"unheard_of": 3}),
        Speech2TextFeatureExtractor(**settings),
    ):
        assert same.to_dict() == settings
    assert "do_normalize" not in Speech2TextFeatureExtractor().to_dict()
    (saved,) = extractor.save_pretrained(tmp_path / "saved")
    assert json.loads(Path(saved).read_text()) == settings
    changed = Speech2TextFeatureExtractor.from_pretrained(tmp_path / "saved", padding_value=1.0)
    assert changed.to_dict() == settings | {"padding_value": 1.0}


def test_any_sequence_is_a_batch(processor, audio):
    """A column of a data set is a sequence, though not a list."""
    batch = processor(UserList(audio), sampling_rate=RATE, padding=True, return_tensors="np")
    assert batch.input_features.shape[0] == len(audio)
    padded = processor.feature_extractor.pad({"input_features": UserList([np.ones((2, 80)), np.ones((3, 80))])})
    assert padded.input_features.shape == (2, 3, 80)
    assert processor(text=UserList(["one", "two"])).input_ids == processor(text=["one", "two"]).input_ids
    assert processor.tokenizer.pad({"input_ids": UserList([[5, 2], [2]])}).input_ids == [[5, 2], [2, 1]]
