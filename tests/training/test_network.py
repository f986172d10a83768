"""The gradient of whole models: against central differences, and what lies side by side does not meet."""

from dataclasses import replace

import numpy as np
import pytest

from s2t_np import decoder, encoder
from s2t_np.ops import log_softmax, numpy_ops
from s2t_np.training.derivatives.dropout import Dropout, Rates
from s2t_np.training.derivatives.network import backward, forward, make_batch
from s2t_np.training.derivatives.parameters import named, writable
from tests.support.small_models import SHAPES, noise, small_model
from tests.training.differences import worst

CLOSE = 1e-6
RATES = Rates(0.1, 0.2, 0.3, 0.4, 0.4)


def utterances(config, dtype=np.float64):
    """Three pairs of unlike lengths."""
    rng = np.random.default_rng(0)
    bins = config.input_feat_per_channel
    sizes = (23, 3), (9, 1), (40, 5)
    return [(noise(n, bins, seed=n, dtype=dtype), [*rng.integers(4, config.vocab_size, u), 2]) for n, u in sizes]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_that_of_the_readable_model(shape):
    model = small_model(shape)
    pairs, expected = utterances(model.config), 0.0
    for x, ids in pairs:
        memory = encoder.encode(numpy_ops, model.weights.encoder, model.config, x)
        tokens = np.array([model.config.decoder_start_token_id, *ids[:-1]])
        logits = decoder.decode_full(numpy_ops, model.weights, model.config, tokens, memory)
        expected -= log_softmax(logits)[np.arange(len(ids)), ids].sum()
    found = forward(model.weights, model.config, make_batch(pairs, model.config), 0.1)[0]
    assert found.nll == pytest.approx(expected, rel=1e-12)
    assert found.tokens == sum(len(ids) for _, ids in pairs)


@pytest.mark.parametrize("shape, noisy", [*((shape, False) for shape in SHAPES), ("tied", True), ("untied", True)])
def test_every_gradient(shape, noisy):
    """Each parameter's, and the features': with noise, the same noise each time."""
    model = small_model(shape)
    parameters, w = writable(model.weights, model.config, np.float64)
    batch = make_batch(utterances(model.config), model.config)

    def pass_forward():
        dropout = Dropout(RATES if noisy else Rates(), np.random.default_rng(5))
        return forward(w, model.config, batch, 0.1, dropout)

    found = backward(w, model.config, pass_forward()[1], by_features=True)
    gradients = named(found.weights, model.config)
    assert gradients.keys() == parameters.keys()
    pairs = [(parameters[name], gradients[name]) for name in parameters] + [(batch.features, found.features)]
    assert worst(lambda: pass_forward()[0].loss, pairs, floor=1e-1, step=1e-5) < CLOSE


def test_layers_that_are_left_out_have_no_gradient():
    model = small_model("tied")
    batch = make_batch(utterances(model.config), model.config)
    always = Dropout(Rates(encoder_layerdrop=0.999999), np.random.default_rng(0))
    kept = forward(model.weights, model.config, batch, 0.0, always)[1]
    gradients = named(backward(model.weights, model.config, kept).weights, model.config)
    layers = [gradient for name, gradient in gradients.items() if "encoder.layers" in name]
    assert layers and not any(gradient.any() for gradient in layers)
    assert gradients["model.encoder.conv.conv_layers.0.weight"].any()


def test_neighbours_do_not_matter():
    """The gradient of a batch is the sum of the gradients of its utterances."""
    model = small_model("untied")
    pairs = utterances(model.config)

    def gradients(some):
        kept = forward(model.weights, model.config, make_batch(some, model.config), 0.1)[1]
        return named(backward(model.weights, model.config, kept).weights, model.config)

    together, alone = gradients(pairs), [gradients([pair]) for pair in pairs]
    for name, gradient in together.items():
        np.testing.assert_allclose(gradient, sum(g[name] for g in alone), atol=1e-11)


def test_a_frozen_encoder_has_no_gradient_and_the_decoder_the_same():
    model = small_model("tied")
    kept = forward(model.weights, model.config, make_batch(utterances(model.config), model.config), 0.1)[1]
    whole, half = (backward(model.weights, model.config, kept, by_encoder=encoder).weights for encoder in (True, False))
    whole, half = named(whole, model.config), named(half, model.config)
    for name, gradient in half.items():
        np.testing.assert_array_equal(gradient, 0 if "encoder." in name[:14] else whole[name])


def test_float32_is_close_to_float64():
    model = small_model("lanes-even")
    batch = make_batch(utterances(model.config, np.float32), model.config)
    weights = writable(model.weights, model.config, np.float32)[1]
    kept = forward(weights, model.config, batch, 0.1)[1]
    single = named(backward(weights, model.config, kept).weights, model.config)
    exact = batch._replace(features=batch.features.astype(np.float64))
    kept = forward(model.weights, model.config, exact, 0.1)[1]
    double = named(backward(model.weights, model.config, kept).weights, model.config)
    for name, gradient in single.items():
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(gradient, double[name], atol=1e-4 * (1 + np.abs(double[name]).max()))


def test_padding_is_heard_only_where_asked_for():
    """Zero frames after an utterance reach its last position, as upstream has it."""
    model = small_model("tied")
    pairs, config = utterances(model.config), model.config
    alone, padded = (make_batch(pairs, config, padded=n) for n in (0, 60))
    assert alone.memory_lengths.tolist() == padded.memory_lengths.tolist()
    found = forward(model.weights, config, padded)[0].nll
    expected = 0.0
    for x, ids in pairs:
        memory = encoder.encode(numpy_ops, model.weights.encoder, config, x, padded_length=60)
        logits = decoder.decode_full(numpy_ops, model.weights, config, np.array([2, *ids[:-1]]), memory)
        expected -= log_softmax(logits)[np.arange(len(ids)), ids].sum()
    assert found == pytest.approx(expected, rel=1e-12)
    assert found != pytest.approx(forward(model.weights, config, alone)[0].nll, rel=1e-9)


def test_rates_come_from_config_json():
    rates = Rates.from_json({"dropout": 0.3, "attention_dropout": None, "encoder_layerdrop": 0.1, "d_model": 5})
    assert rates == replace(Rates(), dropout=0.3, encoder_layerdrop=0.1)
