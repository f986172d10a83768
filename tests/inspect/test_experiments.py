"""Experiments: each change against the same change made by another way, and what cannot be is refused by name."""

import dataclasses

import numpy as np
import pytest

import s2t_np
from s2t_np import encoder
from s2t_np.errors import OptionError
from s2t_np.inspect.experiments import Experiment, applied, compare, masked, run, subject
from tests.support.paths import DIGITS

RECORDING = DIGITS.parent.parent / "recordings" / "two-nine-three-four-zero.flac"


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def features(model):
    return model.features(RECORDING)


@pytest.fixture(scope="module")
def before(model, features):
    return subject(model, features)


def test_an_empty_experiment_changes_nothing(before, model):
    done = compare(before, Experiment())
    assert done.after == done.before
    assert done.largest_change == 0
    assert done.before.text == model.transcribe(RECORDING).text
    assert [step["before"] for step in done.record()["steps"]] == pytest.approx(done.before.probabilities, rel=1e-5)


def silenced(model, call: int, head: int, heads: int = 4):
    """The model with an `ops.attention` that returns zeros for one head at its call number `call`."""
    count, plain = iter(range(10**6)), model.backend.ops.attention

    def attention(q, k, v, *rest, **named):
        y = plain(q, k, v, *rest, **named)
        if next(count) == call:
            y = y.copy()
            y[..., head * y.shape[-1] // heads : (head + 1) * y.shape[-1] // heads] = 0
        return y

    ops = model.backend.ops._replace(attention=attention)
    return dataclasses.replace(model, backend=model.backend._replace(ops=ops))


@pytest.mark.parametrize(("layer", "head"), [(0, 3), (5, 0)])
def test_a_muted_encoder_head_mixes_nothing(model, features, layer, head):
    found = applied(model, Experiment(muted_heads=(f"encoder.layers.{layer}.self_attn/{head}",))).encode(features)
    expected = silenced(model, layer, head).encode(features)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.abs(found - model.encode(features)).max() > 0.01


@pytest.mark.parametrize(("block", "call"), [("self_attn", 2), ("encoder_attn", 3)])
def test_a_muted_decoder_head_mixes_nothing(model, before, block, call):
    memory, tokens = model.encode(before.features), before.tokens[:-1]
    found = applied(model, Experiment(muted_heads=(f"decoder.layers.1.{block}/2",))).logits(memory, tokens)
    np.testing.assert_allclose(found, silenced(model, call, 2).logits(memory, tokens), atol=2e-5)
    assert np.abs(found - before.logits).max() > 0.01


def test_a_muted_layer_is_passed_by(model, features):
    found = applied(model, Experiment(muted_layers=("encoder.layers.0", "encoder.layers.4"))).encode(features)
    w, ops = model.weights.encoder, model.backend.ops
    x = encoder.embed_features(ops, w, model.config, features)
    for i in (1, 2, 3, 5):
        x = encoder.encoder_layer(ops, w.layers[i], model.config, x)
    np.testing.assert_array_equal(found, ops.layer_norm(x, w.layer_norm))


def test_dropped_positions_are_not_added(model, before, features, monkeypatch):
    changed = applied(model, Experiment(dropped_positions=("encoder", "decoder")))
    memory, tokens = changed.encode(features), before.tokens[:-1]
    logits = changed.logits(memory, tokens)
    monkeypatch.setattr("s2t_np.encoder.positions", lambda first, count, config, dtype: 0)
    np.testing.assert_array_equal(memory, model.encode(features))
    monkeypatch.setattr("s2t_np.decoder.sinusoids", lambda first, count, width, dtype: np.zeros((count, width), dtype))
    np.testing.assert_array_equal(logits, model.logits(memory, tokens))


def test_masks_hide_a_band_and_a_stretch():
    x = np.ones((300, 80), np.float32)
    band, stretch = masked(x, Experiment(masked_bins=(10, 20))), masked(x, Experiment(masked_seconds=(0.5, 1.25)))
    assert (band[:, 10:20] == 0).all() and band.sum() == 300 * 70
    assert (stretch[50:125] == 0).all() and stretch.sum() == 225 * 80
    assert (x == 1).all()


def test_the_search_is_another(model, features):
    done = compare(subject(model, features, num_beams=1), Experiment(num_beams=4, length_penalty=0.0))
    expected = model.generate(features, num_beams=4, length_penalty=0.0)[0]
    assert done.after.score == expected.score
    assert done.largest_change == 0


def test_run_is_the_whole_story(model):
    done = run(model, RECORDING, Experiment(muted_layers=("decoder.layers.2",)))
    assert (done.before.text, done.after.text) == ("two nine three four zero", "two nine three five four zero")
    assert "three five four" in str(done)
    record = done.record()
    assert record["largest_change"] == max(step["change"] for step in record["steps"]) > 1
    assert record["steps"][0]["before"] > 0.7 > record["steps"][0]["after"]


def test_a_prefix_is_no_step(model, features):
    prefix = model.tokenizer.encode("two")[:-1]
    record = compare(subject(model, features, prefix=prefix), Experiment()).record()
    assert [step["piece"] for step in record["steps"]] == ["▁nine", "▁three", "▁four", "▁zero", "</s>"]
    assert record["steps"][0]["before"] == pytest.approx(record["before"]["probabilities"][0], rel=1e-4)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"muted_heads": ["encoder.layers.0.self_attn/4"]}, "there is no head 'encoder.layers.0.self_attn/4'"),
        ({"muted_heads": ["encoder.layers.0.encoder_attn/0"]}, "there is no head"),
        ({"muted_heads": ["decoder.layers.3.self_attn/0"]}, "there is no head"),
        ({"muted_heads": "x"}, "muted_heads is 'x', expected a list"),
        ({"muted_layers": ["decoder.layers.3"]}, "expected decoder.layers.0 to decoder.layers.2"),
        ({"muted_layers": ["layers.0"]}, "there is no layer 'layers.0'"),
        ({"dropped_positions": ["search"]}, "dropped_positions has 'search'"),
        ({"masked_bins": [0, 81]}, "masked_bins end at 81, expected at most 80"),
        ({"masked_bins": [3, 3]}, "masked_bins is (3, 3)"),
        ({"masked_bins": [0.0, 2.5]}, "masked_bins is (0.0, 2.5)"),
        ({"masked_seconds": [2, 1]}, "masked_seconds is (2, 1)"),
        ({"masked_seconds": [0, float("nan")]}, "masked_seconds is (0, nan)"),
        ({"num_beams": 0}, "num_beams is 0"),
        ({"length_penalty": "long"}, "length_penalty is 'long'"),
        ({"mute": []}, "expected an object with some of muted_heads"),
        ([], "found [], expected an object"),
    ],
)
def test_what_cannot_be_is_refused(before, description, said):
    with pytest.raises(OptionError) as refused:
        compare(before, Experiment.from_json(description))
    assert said in str(refused.value)


def test_packed_weights_are_refused(model):
    other = dataclasses.replace(model, backend=model.backend._replace(name="numba", encode=lambda *_: None))
    with pytest.raises(OptionError, match='load the model with backend "numpy"'):
        subject(other, np.zeros((10, 80), np.float32))


def test_other_networks_are_refused(model):
    config = dataclasses.replace(model.config, encoder_normalize_before=False)
    with pytest.raises(OptionError, match="encoder_normalize_before=False"):
        applied(dataclasses.replace(model, config=config), Experiment())
