"""The gradient of a text by the features: against central differences, and where the words are."""

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import OptionError
from s2t_np.training.saliency import gradient_by_features, gradients_of_words
from tests.support.paths import DIGITS
from tests.training.differences import directional

RECORDING = DIGITS.parent.parent / "recordings" / "five-five.flac"


def loss_of(model, features, text):
    """Minus the log-probability of a text, by the readable model."""
    labels = np.array(model.tokenizer.encode(text))
    tokens = np.array([model.config.decoder_start_token_id, *labels[:-1]])
    logits = model.logits(model.encode(features), tokens)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(labels)), labels].sum()


def test_it_is_the_derivative():
    model = s2t_np.load("digits", backend="numpy", dtype="float64")
    features = model.features(RECORDING)
    found = gradient_by_features(model, features, "five nine")
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = rng.standard_normal(features.shape)
        tried = directional(lambda: loss_of(model, features, "five nine"), features, direction, 1e-6)
        assert (found * direction).sum() == pytest.approx(tried, rel=1e-5)


def test_the_gradients_of_words_add_up_to_that_of_the_text():
    model = s2t_np.load("digits", backend="numpy", dtype="float64")
    features, labels = model.features(RECORDING), model.tokenizer.encode("five nine")
    parts = gradients_of_words(model, features, labels, [[i] for i in range(len(labels))])
    whole = gradient_by_features(model, features, "five nine")
    np.testing.assert_allclose(sum(parts), whole, atol=1e-9 * np.abs(whole).max())
    assert not np.allclose(parts[0], parts[1])


def test_silence_at_the_ends_matters_less_than_the_words():
    model = s2t_np.load("digits", backend="numpy")
    features = model.features(RECORDING)
    found = np.abs(gradient_by_features(model, features, "five five")).sum(axis=1)
    assert found.dtype == np.float32 and found.shape == (len(features),)
    loud = features.mean(axis=1) > 0.3
    assert found[loud].mean() > 1.2 * found[~loud].mean()


def test_packed_weights_are_refused():
    with pytest.raises(OptionError, match='which has no derivative; load with backend="numpy"'):
        gradient_by_features(s2t_np.load("digits", backend="numba"), np.zeros((50, 80)), "five")
