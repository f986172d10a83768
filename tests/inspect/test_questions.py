"""What a served page may ask: the numbers are those of the trace, to the bit, and what is wrong is said in a line."""

import base64
import zlib
from dataclasses import replace

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import OptionError
from s2t_np.inspect.experiments import Experiment, compare, subject, traced_subject
from s2t_np.inspect.explorer import STAGES
from s2t_np.inspect.explorer.questions import MOST_KEYS, Questions
from s2t_np.inspect.explorer.search import words_of
from s2t_np.inspect.trace import LIMIT, again, trace
from s2t_np.training.saliency import explaining, gradients_of_words

from .conftest import RECORDING
from .test_explorer import numbers


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def short(model):
    return trace(model, RECORDING.with_name("five-five.flac"), STAGES, num_beams=3)


@pytest.fixture(scope="module")
def questions(model, short):
    words = tuple(word["tokens"] for word in words_of(short, model.tokenizer))
    gradients = explaining(model, short["features.cmvn"], short.transcript.hypotheses[0])
    return Questions(traced_subject(model, short, num_beams=3), words, lambda names: short.arrays, gradients)


def unpacked(answer: dict) -> dict[str, np.ndarray]:
    """The arrays of an answer."""
    block = zlib.decompress(base64.b64decode(answer["block"]))
    return {key: numbers(entry, block) for key, entry in answer["arrays"].items()}


def test_numbers_are_those_of_the_trace(questions, short, model):
    attention, fc1 = "decoder.layers.1.encoder_attn.attn_weights", "encoder.layers.2.fc1"
    found = unpacked(questions.numbers({"keys": [f"{attention}/3", fc1, "features.cmvn"]}))
    assert list(found) == [f"{attention}/3", fc1, "features.cmvn"]
    np.testing.assert_array_equal(found[fc1], short[fc1])
    np.testing.assert_array_equal(found[f"{attention}/3"], short[attention][3])
    layer = model.weights.encoder.layers[2]
    found = unpacked(questions.numbers({"keys": [f"weight:{fc1}.weight/7", f"weight:{fc1}.bias"]}))
    np.testing.assert_array_equal(found[f"weight:{fc1}.weight/7"], [layer.fc1.weight[7]])
    np.testing.assert_array_equal(found[f"weight:{fc1}.bias"], [layer.fc1.bias])


def test_a_row_of_a_convolution_is_all_that_makes_one_channel(questions, model):
    key = "weight:encoder.conv.conv_layers.0.weight/5"
    found = unpacked(questions.numbers({"keys": [key]}))[key]
    np.testing.assert_array_equal(found, [model.weights.encoder.conv.conv_layers[0].weight[5].ravel()])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "expected keys"),
        ({"keys": "samples"}, "expected keys"),
        ({"keys": []}, "expected keys"),
        ({"keys": ["samples"] * (MOST_KEYS + 1)}, str(MOST_KEYS)),
        ({"keys": ["encoder.layers.77.fc1"]}, "layers.77"),
        ({"keys": ["weight:x"]}, "weight:x"),
        ({"keys": ["samples/0"]}, "samples/0"),
        ({"keys": ["decoder.layers.0.self_attn.attn_weights"]}, "an index"),
        ({"keys": ["decoder.layers.0.self_attn.attn_weights/4"]}, "(4,)"),
        ({"keys": ["decoder.layers.0.self_attn.attn_weights/-1"]}, "an index"),
        ({"keys": ["decoder.layers.0.self_attn.attn_weights/\u0663"]}, "an index"),
        ({"keys": ["weight:encoder.layers.0.fc1.weight"]}, "an index"),
        ({"keys": ["weight:encoder.layers.0.fc1.weight/99999999999"]}, "an index"),
    ],
)
def test_what_there_is_not_is_said(questions, data, said):
    with pytest.raises(OptionError, match="numbers: found") as raised:
        questions.numbers(data)
    assert said in str(raised.value)


def test_the_gradient_of_a_word(questions, model, short):
    found = unpacked(questions.gradient({"word": 1}))["gradient:1"]
    labels = short.transcript.hypotheses[0].generated
    (true,) = gradients_of_words(model, short["features.cmvn"], labels, [[1]])
    assert np.abs(found - true).max() <= 0.501 * np.ptp(true) / 255
    for wrong in ({"word": 2}, {"word": -1}, {"word": True}, {"word": "1"}, {}, []):
        with pytest.raises(OptionError, match=r"gradient: found .* expected word, 0 to 1"):
            questions.gradient(wrong)


def test_a_network_without_derivative_says_so(questions):
    with pytest.raises(OptionError, match="no derivative"):
        replace(questions, gradients=None).gradient({"word": 0})


def test_an_experiment_begins_where_the_trace_ended(questions, model, short):
    """The search is not repeated for it: the answers are those after a search."""
    searched = subject(model, short["features.cmvn"], num_beams=3)
    description = {"muted_layers": ["encoder.layers.1"], "num_beams": 2}
    true = compare(searched, Experiment.from_json(description)).record()
    assert questions.experiment(description) | {"seconds": 0} == true | {"seconds": 0}


def test_stages_are_computed_again_to_the_bit(model, short):
    wanted = ["encoder.layers.1.fc1", "decoder.layers.2.encoder_attn.attn_weights", "log_probs", "features.mel"]
    found = again(model, short["samples"], short["tokens"], wanted, LIMIT)
    assert set(found) == set(wanted)
    for name in wanted:
        np.testing.assert_array_equal(found[name], short[name])


def test_what_would_not_fit_is_refused_before_it_is_computed(model, short):
    with pytest.raises(OptionError, match=r"more than the limit of 0\.1 MB"):
        again(model, short["samples"], short["tokens"], ["encoder.*"], 100_000)
    with pytest.raises(OptionError, match="match nothing"):
        again(model, short["samples"], short["tokens"], ["steps.000"], LIMIT)
