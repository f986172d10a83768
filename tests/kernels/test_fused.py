"""The fused encoder and the fused step against the readable ones; results do not depend on the number of threads."""

import numpy as np
import pytest

from s2t_np import threads
from s2t_np.decoder import decode_full, decoder_step, start_cache
from s2t_np.encoder import encode
from s2t_np.ops import numpy_ops

pytest.importorskip("numba")

from kernels import backend
from tests.kernels.models import SHAPES, model

THREADS = (1, 2, 5)


@pytest.fixture(autouse=True)
def _threads_as_before():
    yield
    threads.set_threads(None)


def features(frames: int, bins: int) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((frames, bins)).astype(np.float32)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("frames", (1, 5, 61, 64, 65, 130, 1100))
def test_encoder(name, frames):
    config, plain = model(name)
    packed = backend.numba_ops.prepare(plain)
    x = features(frames, config.input_feat_per_channel)
    results = []
    for count in THREADS:
        threads.set_threads(count)
        results.append(backend.encode(backend.numba_ops, packed.encoder, config, x))
    np.testing.assert_allclose(results[0], encode(numpy_ops, plain.encoder, config, x), atol=3e-5)
    np.testing.assert_allclose(encode(backend.numba_ops, packed.encoder, config, x), results[0], atol=3e-5)
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_encoder_reproduces_padded_batches():
    config, plain = model("round")
    packed, x = backend.numba_ops.prepare(plain), features(50, config.input_feat_per_channel)
    fast = backend.encode(backend.numba_ops, packed.encoder, config, x, 90)
    np.testing.assert_allclose(fast, encode(numpy_ops, plain.encoder, config, x, 90), atol=3e-5)


def walk(step, ops, w, config, cache, beams: int, length: int):
    """Logits of `length` steps with seeded tokens and reorderings."""
    rng = np.random.default_rng(beams)
    for i in range(length):
        yield step(ops, w, config, rng.integers(0, config.vocab_size, beams), cache)
        cache.reorder(rng.integers(0, beams, beams) if i % 3 else np.zeros(beams, np.int64))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("beams", (1, 2, 5, 8, 9, 17, 33))
def test_step_gives_the_logits_and_the_cache_of_the_readable_step(name, beams):
    config, plain = model(name)
    packed, memory = backend.numba_ops.prepare(plain), features(19, config.d_model)
    slow, fast = (start_cache(numpy_ops, plain.decoder, memory, beams) for _ in range(2))
    length = 140 if beams == 5 else 12  # over two enlargements of the cache, and over a block of attention's keys
    expected = walk(decoder_step, numpy_ops, plain, config, slow, beams, length)
    for logits, other in zip(
        walk(backend.step, backend.numba_ops, packed, config, fast, beams, length), expected, strict=True
    ):
        np.testing.assert_allclose(logits, other, atol=3e-5)
    assert slow.length == fast.length == length and np.array_equal(slow.ancestors, fast.ancestors)
    np.testing.assert_allclose(fast.keys[:, :length], slow.keys[:, :length], atol=3e-5)
    np.testing.assert_allclose(fast.values[:, :length], slow.values[:, :length], atol=3e-5)


def test_step_gives_the_same_bits_for_any_number_of_threads():
    config, plain = model("round")
    packed, memory = backend.numba_ops.prepare(plain), features(300, config.d_model)
    results = []
    for count in THREADS:
        threads.set_threads(count)
        cache = start_cache(numpy_ops, plain.decoder, memory, 5)
        results.append([x.copy() for x in walk(backend.step, backend.numba_ops, packed, config, cache, 5, 20)])
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


@pytest.mark.parametrize("name", SHAPES)
def test_decode_full_by_ops(name):
    config, plain = model(name)
    packed, memory = backend.numba_ops.prepare(plain), features(33, config.d_model)
    tokens = np.random.default_rng(0).integers(2, config.vocab_size, 21)
    fast = decode_full(backend.numba_ops, packed, config, tokens, memory)
    np.testing.assert_allclose(fast, decode_full(numpy_ops, plain, config, tokens, memory), atol=3e-5)
