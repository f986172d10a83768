"""What the classes named as in transformers refuse, each with one line that says what was found and what to do."""

import shutil

import numpy as np
import pytest

from s2t_np.errors import AudioError, ModelError, OptionError
from s2t_np.hf import Speech2TextFeatureExtractor, Speech2TextForConditionalGeneration, Speech2TextProcessor
from tests.support.paths import DIGITS

RATE = 16000
SOUND = np.zeros(8000, np.float32)
BAD_AUDIO = {
    "another rate": (SOUND, {"sampling_rate": 8000}, "sampling_rate is 8000, expected the 16000"),
    "torch": (SOUND, {"return_tensors": "pt"}, "return_tensors is 'pt', expected \"np\""),
    "three axes": (np.zeros((2, 3, 8000)), {}, r"audio has shape \(2, 3, 8000\)"),
    "no recording": ([], {}, "audio is an empty list"),
    "an empty one": ([SOUND, SOUND[:0]], {}, "empty"),
    "too short": (SOUND[:399], {}, "expected at least 25 ms"),
    "no such files": (["one", "two"], {}, "cannot be read"),
    "not finite": (np.full(8000, np.nan), {}, "nan"),
    "ragged": ([SOUND, SOUND[:4000]], {"return_tensors": "np"}, "pass padding=True"),
    "padding": (SOUND, {"padding": "widest"}, "padding is 'widest'"),
    "to no length": (SOUND, {"padding": "max_length"}, "need a max_length"),
    "cut to no length": (SOUND, {"truncation": True}, "need a max_length"),
    "length 0": (SOUND, {"max_length": 0, "truncation": True}, "max_length is 0"),
    "multiple 0": (SOUND, {"padding": True, "pad_to_multiple_of": 0}, "pad_to_multiple_of is 0"),
}


@pytest.fixture(scope="module")
def processor() -> Speech2TextProcessor:
    return Speech2TextProcessor.from_pretrained("digits")


@pytest.fixture(scope="module")
def model() -> Speech2TextForConditionalGeneration:
    return Speech2TextForConditionalGeneration.from_pretrained("digits")


@pytest.fixture(scope="module")
def batch(processor):
    noise = np.random.default_rng(3).standard_normal(8000).astype(np.float32) / 10
    return processor([noise, noise[:5000]], sampling_rate=RATE, padding=True, return_tensors="np")


@pytest.mark.parametrize("case", BAD_AUDIO)
def test_audio_that_is_refused(processor, case):
    audio, options, message = BAD_AUDIO[case]
    with pytest.raises((OptionError, AudioError), match=message):
        processor(audio, **({"sampling_rate": RATE} | options))


BAD_CALLS = {
    "no features": (lambda m, b: m.generate(), "input_features hold None"),
    "two axes": (lambda m, b: m.generate(b.input_features[0]), r"input_features hold \(80,\)"),
    "bins": (lambda m, b: m.generate(b.input_features[..., :40]), "expected .frames, 80."),
    "words": (lambda m, b: m.generate(["one"]), "input_features hold"),
    "mask": (lambda m, b: m.generate(b.input_features, b.attention_mask[:, 1:]), "attention_mask holds rows of"),
    "half a mask": (lambda m, b: m.generate(b.input_features, b.attention_mask[:1]), "attention_mask holds rows of"),
    "no ones": (lambda m, b: m.generate(b.input_features, 0 * b.attention_mask), "row 0 has 0 ones"),
    "holes": (lambda m, b: m.generate(b.input_features, b.attention_mask * (np.arange(48) != 9)), "one run"),
    "left": (
        lambda m, b: m.generate(b.input_features[:, ::-1], b.attention_mask[:, ::-1], padded_as_upstream=True),
        "padding on the left",
    ),
    "option": (lambda m, b: m.generate(**b, beams=3), "unknown generation option beams"),
    "value": (lambda m, b: m.generate(**b, num_beams=0), "num_beams is 0"),
    "config": (lambda m, b: m.generate(**b, generation_config={"num_beams": 2}), "expected a GenerationConfig"),
    "prompts": (lambda m, b: m.generate(**b, decoder_input_ids=[[2]]), "expected integers .2, length."),
    "ragged": (lambda m, b: m.generate(**b, decoder_input_ids=[[2], [2, 3]]), "rows of different lengths"),
    "prompt id": (lambda m, b: m.generate(**b, decoder_input_ids=[[2, 99], [2, 99]]), "token id 99"),
    "no ids": (lambda m, b: m(**b), "give decoder_input_ids or labels"),
    "floats": (lambda m, b: m(**b, labels=[[0.5], [0.5]]), "expected integers"),
    "label": (lambda m, b: m(**b, labels=[[30], [2]]), "ids below 30"),
    "negative": (lambda m, b: m(**b, labels=[[-1], [2]]), "ids below 30"),
    "nothing": (lambda m, b: m(**b, labels=[[-100], [-100]]), "not all -100"),
    "lengths": (lambda m, b: m(**b, labels=[[5], [5]], decoder_input_ids=[[2, 5], [2, 5]]), "one a position"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_calls_that_are_refused(model, batch, case):
    call, message = BAD_CALLS[case]
    with pytest.raises(OptionError, match=message):
        call(model, batch)


def test_text_that_is_refused(processor):
    for text in (5, None, [5], ["one", None]):
        with pytest.raises(OptionError):
            processor(text=text)
    for ids in ([99], [-100], ["five"], [[5], [99]]):
        with pytest.raises(OptionError):
            processor.batch_decode(ids)


def test_names_and_files_that_are_refused(tmp_path, model):
    with pytest.raises(OptionError, match="unknown processor setting do_upper"):
        Speech2TextProcessor.from_pretrained("digits", do_upper=True)
    with pytest.raises(OptionError, match="unknown feature extractor setting hop"):
        Speech2TextFeatureExtractor(hop=160)
    with pytest.raises(OptionError, match="do_upper_case is 'yes'"):
        Speech2TextProcessor.from_pretrained("digits", do_upper_case="yes")
    with pytest.raises(OptionError, match="dtype is 'bfloat16'"):
        Speech2TextForConditionalGeneration.from_pretrained("digits", dtype="bfloat16")
    for kind in (Speech2TextProcessor, Speech2TextForConditionalGeneration):
        with pytest.raises(ModelError, match=r"config\.json: cannot be read"):
            kind.from_pretrained(tmp_path)
        with pytest.raises(ModelError, match="not-there"):
            kind.from_pretrained("./not-there")
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="file: cannot be written"):
        model.save_pretrained(tmp_path / "file")


def test_a_model_whose_folder_has_gone_cannot_be_saved(tmp_path):
    shutil.copytree(DIGITS, tmp_path / "digits")
    model = Speech2TextForConditionalGeneration.from_pretrained(tmp_path / "digits")
    shutil.rmtree(tmp_path / "digits")
    with pytest.raises(ModelError, match="digits"):
        model.save_pretrained(tmp_path / "saved")
