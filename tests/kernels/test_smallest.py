"""Every kernel once, on the smallest shapes that reach all of its branches, against its readable twin.

These tests take seconds even where kernels run as the Python they are written in, and little compiled code is worth
more for being tested on another processor: test_other_processors.py runs this file in both environments.
"""

import numpy as np
import pytest

from s2t_np import decoder, encoder, features, ops
from s2t_np.longform import vad_ops
from s2t_np.ops import Linear, numpy_ops
from s2t_np.search import next_token

pytest.importorskip("numba")

from s2t_np_kernels.layout import FLOAT16, FLOAT32, INT8
from s2t_np_kernels.weights.arena import Arena
from s2t_np_kernels.weights.pack import pack_linear

from s2t_np_kernels import backend
from tests.support.kernel_models import in_halves, model

RNG = np.random.default_rng(4)
OPS = pytest.mark.parametrize("kind", ("float32", "float16", "int8"))
TOLERANCE = {"float32": 3e-5, "float16": 3e-5, "int8": 0.5}
CASES = 3 * 5 + 3 + 7  # tests in this file


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def prepared(kind: str):
    """Config, plain weights as that kind keeps them, and packed ones."""
    config, plain = model("lanes-odd")
    return config, in_halves(plain) if kind == "float16" else plain, backend.OPS[kind].prepare(plain)


@OPS
@pytest.mark.parametrize("frames", (1, 21))
def test_encoder(kind, frames):
    config, plain, packed = prepared(kind)
    x = normal(frames, config.input_feat_per_channel)
    found = backend.encode(backend.OPS[kind], packed.encoder, config, x)
    expected = encoder.encode(numpy_ops, plain.encoder, config, x)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE[kind])


@OPS
@pytest.mark.parametrize("beams", (1, 3))
def test_steps(kind, beams):
    config, plain, packed = prepared(kind)
    memory = normal(19, config.d_model)
    slow = decoder.start_cache(numpy_ops, plain, config, memory, beams)
    fast = backend.start_cache(backend.OPS[kind], packed, config, memory, beams)
    for i in range(3):
        tokens = RNG.integers(4, config.vocab_size, beams)
        found = backend.step(backend.OPS[kind], packed, config, tokens, fast)
        expected = decoder.step(numpy_ops, plain, config, tokens, slow)
        np.testing.assert_allclose(found.logits, expected.logits, atol=TOLERANCE[kind])
        again = next_token(found.logits)
        np.testing.assert_allclose(found.log_probs(), again.log_probs(), atol=1e-5)
        assert np.array_equal(found.best(normal(beams) * 0, 2).tokens, again.best(normal(beams) * 0, 2).tokens)
        parents = np.arange(beams)[::-1] if i else np.zeros(beams, np.int64)
        slow.reorder(parents)
        fast.reorder(parents)


@OPS
def test_steps_together(kind):
    config, _, packed = prepared(kind)
    memories = [normal(positions, config.d_model) for positions in (3, 33)]
    alone, together = (
        [backend.start_cache(backend.OPS[kind], packed, config, x, 2 + i) for i, x in enumerate(memories)]
        for _ in range(2)
    )
    for _ in range(2):
        tokens = [RNG.integers(4, config.vocab_size, beams) for beams in (2, 3)]
        asks = list(zip(tokens, together, strict=True))
        answers = backend.step_together(backend.OPS[kind], packed, config, asks)
        for ids, cache, found in zip(tokens, alone, answers, strict=True):
            expected = backend.step(backend.OPS[kind], packed, config, ids, cache)
            assert np.array_equal(found.logits, expected.logits) and np.array_equal(found.shift, expected.shift)


@pytest.mark.parametrize(("dtype", "tolerance"), ((FLOAT32, 2e-5), (FLOAT16, 5e-3), (INT8, 0.1)))
def test_linear(dtype, tolerance):
    w = Linear(normal(33, 20) * 20**-0.5, normal(33))
    packed = pack_linear(Arena(4096), w, dtype)
    x, residual = normal(9, 20), normal(9, 33)
    np.testing.assert_allclose(
        backend.numba_ops.linear(x, packed, residual), ops.linear(x, w, residual), atol=tolerance
    )


@pytest.mark.parametrize("causal", (False, True))
def test_attention(causal):
    q, k, v = normal(17, 12), normal(17, 12), normal(17, 12)
    found = backend.numba_ops.attention(q, k, v, 3, causal)
    np.testing.assert_allclose(found, ops.attention(q, k, v, 3, causal), atol=3e-5)


@pytest.mark.parametrize("width", (5, 33))
def test_next_token(width):
    logits = normal(2, width)
    found, expected = backend.next_token(logits), next_token(logits)
    np.testing.assert_allclose(found.log_probs(), expected.log_probs(), atol=1e-5)


def test_fbank():
    x = normal(250) * np.float32(0.1)
    np.testing.assert_allclose(backend.fbank(x, 1000, 5), features.fbank(x, 1000, 5, np.float64), rtol=1e-6, atol=2e-6)


def test_band_powers():
    shape = np.hanning(18)[1:-1], 5, 32, np.array([1, 2, 5, 16])
    x = normal(61)
    np.testing.assert_allclose(backend.vad.band_powers(x, *shape), vad_ops.band_powers(x, *shape), rtol=1e-9)


def test_frame_measures():
    power = normal(17, 11).astype(np.float64) ** 2
    for found, expected in zip(backend.vad.frame_measures(power, 1e6), vad_ops.frame_measures(power, 1e6), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
