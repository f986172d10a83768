"""What people bring from transformers: names, arguments and results that are here, or an answer that helps."""

import copy
import pickle

import numpy as np
import pytest

import s2t_np
from s2t_np import hf
from s2t_np.errors import InputWarning, OptionError
from s2t_np.hf import Speech2TextForConditionalGeneration
from s2t_np.settings.generation_config import GenerationConfig
from tests.support.sounds import signal


@pytest.mark.parametrize("home", [s2t_np, hf])
@pytest.mark.parametrize("name", ["pipeline", "AutoProcessor", "AutoModelForSpeechSeq2Seq"])
def test_names_that_are_not_here_name_the_replacement(home, name):
    with pytest.raises(ImportError, match=f"transformers' {name} is not in s2t_np; write "):
        getattr(home, name)


@pytest.fixture(scope="module")
def model():
    return Speech2TextForConditionalGeneration.from_pretrained("digits", backend="numpy")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("parameters", "read_tensors"),
        ("state_dict", "read_tensors"),
        ("double", "float64"),
        ("zero_grad", "s2t-np train"),
    ],
)
def test_methods_that_are_not_here_name_the_replacement(model, name, instead):
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; write .*{instead}"):
        getattr(model, name)()


def test_an_attribute_that_nobody_has(model):
    with pytest.raises(AttributeError, match=r"'Speech2TextForConditionalGeneration' object has no attribute 'parms'$"):
        model.parms()


def test_what_processors_had():
    processor = s2t_np.Speech2TextProcessor.from_pretrained("digits")
    with pytest.raises(AttributeError, match=r"no attribute 'as_target_processor'; write processor\(text=texts\)"):
        processor.as_target_processor()
    assert processor(text="five five").input_ids
    copied = pickle.loads(pickle.dumps(copy.deepcopy(processor)))
    assert copied(text="five five").input_ids == processor(text="five five").input_ids


def test_types_and_forward(model):
    assert model.dtype == np.float32 and model.num_parameters() == sum(
        weights.size for weights in s2t_np.checkpoint.read_tensors(model.s2t.folder).values()
    )
    assert (
        Speech2TextForConditionalGeneration.from_pretrained("digits", backend="numpy", dtype="float64").dtype == float
    )
    with pytest.warns(InputWarning, match=r"\.bfloat16\(\) changes nothing"):
        assert model.bfloat16() is model
    x = np.random.default_rng(0).standard_normal((1, 40, 80)).astype(np.float32)
    assert np.array_equal(model.forward(x, labels=[[5, 2]]).logits, model(x, labels=[[5, 2]]).logits)


def test_a_device_for_load():
    s2t_np.load("digits", backend="numpy", device="cpu", revision="main")
    with pytest.warns(InputWarning, match="device='cuda' changes nothing: s2t-np computes on the CPU"):
        s2t_np.load("digits", backend="numpy", device="cuda")


def test_an_argument_that_is_not_known():
    with pytest.raises(OptionError, match="from_pretrained does not know load_in_8bit; dtype says"):
        Speech2TextForConditionalGeneration.from_pretrained("digits", load_in_8bit=True)


def test_what_a_file_asks_generate_to_return_is_said():
    with pytest.warns(InputWarning, match="output_scores, return_dict_in_generate changes nothing in a file"):
        GenerationConfig.from_dict({"output_scores": True, "return_dict_in_generate": True, "output_logits": False})


@pytest.mark.parametrize("beams", [1, 3])
def test_transition_scores_add_up_to_the_score_of_the_text(model, beams):
    processor = s2t_np.Speech2TextProcessor.from_pretrained("digits")
    sounds = [signal(20_000), signal(9000, seed=3)]
    inputs = processor(sounds, sampling_rate=16000, padding=True, return_tensors="np")
    options = {"num_beams": beams, "max_length": 12, "length_penalty": 1.0}
    found = model.generate(**inputs, **options, return_dict_in_generate=True, output_scores=True)
    scores = model.compute_transition_scores(
        found.sequences, found.scores, found.beam_indices, normalize_logits=beams == 1
    )
    for row, (hypothesis,) in zip(scores, found.hypotheses, strict=True):
        lengths = len(hypothesis.token_log_probs)
        assert np.allclose(row[:lengths], hypothesis.token_log_probs, atol=1e-5)
        assert not row[lengths:].any()
