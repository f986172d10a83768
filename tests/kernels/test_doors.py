"""Arrays of a wrong shape, and ids beyond the vocabulary, are refused before a kernel gets an address."""

import numpy as np
import pytest

from s2t_np.errors import OptionError

pytest.importorskip("numba")

from s2t_np_kernels import backend
from tests.support.kernel_models import model

OPS = backend.numba_ops


@pytest.fixture(scope="module")
def loaded():
    config, plain = model("lanes-even")
    return config, OPS.prepare(plain)


@pytest.mark.parametrize("shape", ((7, 19), (7, 21), (7,), (0, 20), (2, 7, 20)))
def test_features(loaded, shape):
    config, packed = loaded
    with pytest.raises(OptionError, match="features: found an array of shape"):
        backend.encode(OPS, packed.encoder, config, np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", ((7, 63), (7, 65), (64,), (0, 64), (1, 7, 64)))
def test_memory(loaded, shape):
    config, packed = loaded
    with pytest.raises(OptionError, match="memory: found an array of shape"):
        backend.start_cache(OPS, packed, config, np.zeros(shape, np.float32), 2)


@pytest.mark.parametrize("beams", (0, -1, 1.0, True, "5"))
def test_beams(loaded, beams):
    config, packed = loaded
    with pytest.raises(OptionError, match="beams: found"):
        backend.start_cache(OPS, packed, config, np.zeros((4, 64), np.float32), beams)


@pytest.mark.parametrize("tokens", ([4], [4, 5, 6], [[4, 5]], [4, 101], [-1, 4], [4.0, 5.0], [2**40, 4]))
def test_tokens(loaded, tokens):
    config, packed = loaded
    cache = backend.start_cache(OPS, packed, config, np.zeros((4, 64), np.float32), 2)
    with pytest.raises(OptionError, match="tokens: found"):
        backend.step(OPS, packed, config, np.array(tokens), cache)
    assert cache.length == 0


@pytest.mark.parametrize("parents", ([0], [0, 2], [-1, 0], [0.0, 1.0], [[0, 1]]))
def test_parents(loaded, parents):
    config, packed = loaded
    cache = backend.start_cache(OPS, packed, config, np.zeros((4, 64), np.float32), 2)
    with pytest.raises(OptionError, match="parents: found"):
        cache.reorder(np.array(parents))


def test_samples():
    with pytest.raises(OptionError, match="samples: found an array of shape"):
        backend.fbank(np.zeros((2, 400), np.float32), 16000)


@pytest.mark.parametrize("residual", ((3, 10), (4, 9), (4, 11), (40,)))
def test_linear(loaded, residual):
    w = loaded[1].decoder.layers[0].fc1
    x = np.zeros((4, 64), np.float32)
    for wrong in ((4, 63), (4, 65), (64,)):
        with pytest.raises(OptionError, match="x: found an array of shape"):
            OPS.linear(np.zeros(wrong, np.float32), w)
    with pytest.raises(OptionError, match="residual: found an array of shape"):
        OPS.linear(x, w, np.zeros(residual, np.float32))


def test_layer_norm_and_attention(loaded):
    with pytest.raises(OptionError, match="x: found an array of shape"):
        OPS.layer_norm(np.zeros((3, 63), np.float32), loaded[1].decoder.layer_norm)
    q, k = np.zeros((3, 64), np.float32), np.zeros((5, 64), np.float32)
    for keys, values, heads in ((k[:, :60], k, 2), (k, k[:4], 2), (k, k, 3), (k, k, 0)):
        with pytest.raises(OptionError, match="attention: found"):
            OPS.attention(q, keys, values, heads)


def test_features_of_a_convolution_alone(loaded):
    w = loaded[1].encoder.conv.conv_layers[0]
    with pytest.raises(OptionError, match="x: found an array of shape"):
        OPS.conv1d_glu(np.zeros((9, w.inputs + 1), np.float32), w)


def test_added_scores(loaded):
    config, packed = loaded
    cache = backend.start_cache(OPS, packed, config, np.zeros((4, 64), np.float32), 2)
    found = backend.step(OPS, packed, config, np.array([4, 5]), cache)
    for added in (np.zeros(1, np.float32), np.zeros(3, np.float32), np.zeros((2, 2), np.float32)):
        with pytest.raises(OptionError, match="added: found"):
            found.best(added, 4)


def test_detector():
    x, taper, edges = np.zeros(100, np.float32), np.ones(30), np.array([1, 3, 16])
    for wrong in (np.ones((2, 15)), np.ones(0), np.ones(33)):
        with pytest.raises(OptionError, match="taper: found an array of shape"):
            backend.vad.band_powers(x, wrong, 10, 32, edges)
    for wrong in ([3, 1], [1, 1, 3], [[1, 3]], [1.0, 3.0], [], [0, 3], [-1, 3], [1, 17]):
        with pytest.raises(OptionError, match="edges: found"):
            backend.vad.band_powers(x, taper, 10, 32, np.array(wrong))
    with pytest.raises(OptionError, match="samples: found an array of shape"):
        backend.vad.band_powers(x[None], taper, 10, 32, edges)
    for wrong in (np.ones(5), np.ones((0, 5)), np.ones((5, 0)), np.ones((1, 2, 3))):
        with pytest.raises(OptionError, match="spectra: found an array of shape"):
            backend.vad.frame_measures(wrong, 1.0)
