"""The compiled encoder against the readable one; results do not depend on the number of threads."""

import tracemalloc

import numpy as np
import pytest

from s2t_np.encoder import encode
from s2t_np.ops import numpy_ops
from s2t_np.system import threads

pytest.importorskip("numba")


from s2t_np_kernels import backend
from tests.support.kernel_kinds import KINDS, OPS, OVER_KINDS, THREADS, features
from tests.support.kernel_models import SHAPES, model


@OVER_KINDS
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("frames", (1, 5, 61, 64, 65, 130, 1100))
def test_encoder(name, frames, kind):
    config, plain = model(name)
    ops, kept = KINDS[kind]
    packed, plain = ops.prepare(plain), kept(plain)
    x = features(frames, config.input_feat_per_channel)
    results = []
    for count in THREADS:
        threads.set_threads(count)
        results.append(backend.encode(backend.numba_ops, packed.encoder, config, x))
    np.testing.assert_allclose(results[0], encode(numpy_ops, plain.encoder, config, x), atol=3e-5)
    np.testing.assert_allclose(encode(backend.numba_ops, packed.encoder, config, x), results[0], atol=3e-5)
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("frames", (5, 130, 1100))
def test_encoder_in_bytes_gives_the_same_bits_for_any_number_of_threads(name, frames):
    config, plain = model(name)
    packed, x = backend.int8_ops.prepare(plain), features(frames, config.input_feat_per_channel)
    results = []
    for count in THREADS:
        threads.set_threads(count)
        results.append(backend.encode(backend.int8_ops, packed.encoder, config, x))
    assert np.isfinite(results[0]).all()
    assert all(np.array_equal(results[0], other) for other in results[1:])


def memory_of_encoding(ops, packed, config, positions: int) -> int:
    """Bytes of arrays that encoding holds at once, at most."""
    x = features(4 * positions, config.input_feat_per_channel)
    tracemalloc.start()
    try:
        backend.encode(ops, packed.encoder, config, x)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", OPS)
def test_memory_of_the_encoder_grows_with_the_recording_and_no_faster(kind):
    config, plain = model("lanes-even")
    ops = OPS[kind]
    packed = ops.prepare(plain)
    short, long = (memory_of_encoding(ops, packed, config, positions) for positions in (1_500, 15_000))
    assert short < long < 10.2 * short


def test_encoder_reproduces_padded_batches():
    config, plain = model("lanes-even")
    packed, x = backend.numba_ops.prepare(plain), features(50, config.input_feat_per_channel)
    fast = backend.encode(backend.numba_ops, packed.encoder, config, x, 90)
    np.testing.assert_allclose(fast, encode(numpy_ops, plain.encoder, config, x, 90), atol=3e-5)
