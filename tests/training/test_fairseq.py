"""fairseq's own numbers: the losses, all gradients and the SpecAugment masks of one training step."""

import numpy as np
import pytest

import s2t_np
from s2t_np.training.derivatives.network import backward, forward, make_batch
from s2t_np.training.derivatives.parameters import named, writable
from s2t_np.training.specaugment import POLICIES, spec_augment
from tests.support.paths import SHARED

FOLDER = SHARED / "reference" / "fairseq"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="needs ../shared (numbers that fairseq computed)")
PAD = 1


@pytest.fixture(scope="module")
def recorded():
    with np.load(FOLDER / "trainstep" / "expected.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def shared():
    return s2t_np.load(FOLDER / "shared" / "model.pt", backend="numpy")


def fairseq_name(name):
    """encoder.conv -> encoder.subsample, encoder.layers -> encoder.transformer_layers."""
    name = name.removeprefix("model.").replace("encoder.conv.", "encoder.subsample.")
    return name.replace("encoder.layers.", "encoder.transformer_layers.")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_training_step(recorded, shared, smoothing, dtype):
    """The batch is padded there, so it is here. fairseq divides gradients by the number of tokens, 76."""
    lengths, texts = recorded["lengths"], recorded["target"]
    pairs = [
        (x[:n].astype(dtype), ids[ids != PAD]) for x, n, ids in zip(recorded["features"], lengths, texts, strict=True)
    ]
    batch = make_batch(pairs, shared.config, padded=max(lengths))
    _, w = writable(shared.weights, shared.config, dtype)
    loss, kept = forward(w, shared.config, batch, smoothing)
    assert loss.loss == pytest.approx(recorded[f"eps{smoothing}.loss"], rel=1e-6)
    assert loss.nll == pytest.approx(recorded[f"eps{smoothing}.nll_loss"], rel=1e-6)
    assert loss.tokens == recorded[f"eps{smoothing}.sample_size"] == 76
    for name, gradient in named(backward(w, shared.config, kept).weights, shared.config).items():
        expected = recorded[f"eps{smoothing}.grad.{fairseq_name(name)}"]
        # a shift of all keys changes no softmax: the gradient of k_proj.bias is zero, and fairseq's is rounding
        scale = np.abs(expected).max() if not name.endswith("k_proj.bias") else 1e-4
        np.testing.assert_allclose(gradient / loss.tokens, expected, atol=1e-4 * scale, err_msg=name)


class AsFairseqDraws:
    """numpy's old global generator, which fairseq draws from, under the name of the new one's method."""

    def __init__(self, seed):
        self.integers = np.random.RandomState(seed).randint


@pytest.mark.parametrize("policy", ["lb", "ld"])
def test_spec_augment(recorded, policy):
    features = recorded["features"][0]
    found = spec_augment(features, POLICIES[policy], AsFairseqDraws(3))
    expected = recorded[f"specaugment.{policy}.seed3"]
    np.testing.assert_array_equal(found != features, expected != features)
    np.testing.assert_allclose(found, expected, atol=1e-7)  # the mean of normalised features is a rounding
    assert (found != features).sum() > 1000
