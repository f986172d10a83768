"""The fused encoder where units of 16 positions do not come out even, where planes end, and in memory full of NaN."""

import numpy as np
import pytest

from s2t_np.encoder import encode
from s2t_np.ops import numpy_ops
from s2t_np.system import threads

pytest.importorskip("numba")

from s2t_np_kernels.aligned import empty_aligned
from s2t_np_kernels.encoder import host
from s2t_np_kernels.pool import Pool

from s2t_np_kernels import backend
from tests.support.kernel_models import model, random_model

OPS = {"float32": backend.numba_ops, "float16": backend.float16_ops, "int8": backend.int8_ops}
# one to three convolutions, windows longer than a unit of positions, and more inputs than have a scale of bytes
SUBSAMPLERS = ((5,), (1, 1), (3, 41), (3, 1, 7), (5, 33))


def features(frames: int, bins: int = 20) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((frames, bins)).astype(np.float32)


def near_the_readable_one(config, plain, packed, x, padded_length=None) -> None:
    fast = backend.encode(backend.numba_ops, packed.encoder, config, x, padded_length)
    np.testing.assert_allclose(fast, encode(numpy_ops, plain.encoder, config, x, padded_length), atol=3e-5)


@pytest.mark.parametrize("positions", (1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257))
def test_any_number_of_positions(positions):
    config, plain = model("lanes-even")
    packed = backend.numba_ops.prepare(plain)
    for frames in (4 * positions - 3, 4 * positions):  # the fewest and the most that make so many
        near_the_readable_one(config, plain, packed, features(frames))


@pytest.mark.parametrize("kernel_sizes", SUBSAMPLERS)
def test_other_subsamplers(kernel_sizes):
    config, plain = random_model({"num_conv_layers": len(kernel_sizes), "conv_kernel_sizes": kernel_sizes})
    packed = backend.numba_ops.prepare(plain)
    for frames in (1, 2, 7, 70, 300):
        near_the_readable_one(config, plain, packed, features(frames))
        near_the_readable_one(config, plain, packed, features(frames), frames + 9)


@pytest.mark.parametrize("kind", OPS)
def test_nothing_is_read_that_was_not_written(kind, monkeypatch):
    config, plain = random_model({"d_model": 36, "encoder_attention_heads": 3, "conv_kernel_sizes": (3, 41)})
    packed = OPS[kind].prepare(plain)
    inputs = [features(frames) for frames in (1, 61, 64, 65, 200)]
    expected = [backend.encode(OPS[kind], packed.encoder, config, x) for x in inputs]

    def poisoned(*sizes):
        parts = empty_aligned(*sizes)
        for part in parts:
            part.fill(np.nan)
        return parts

    monkeypatch.setattr("s2t_np_kernels.pool.empty_aligned", poisoned)
    monkeypatch.setattr(host, "LENT", Pool(0))  # keeps nothing, so that all memory is new
    for x, once in zip(inputs, expected, strict=True):
        assert np.array_equal(backend.encode(OPS[kind], packed.encoder, config, x), once)


@pytest.mark.parametrize("kind", OPS)
def test_groups_are_dealt_to_any_number_of_threads(kind):
    config, plain = model("lanes-even")
    packed, results = OPS[kind].prepare(plain), []
    for count in (1, 2, 3, 7, 40):
        threads.set_threads(count)
        results.append([backend.encode(OPS[kind], packed.encoder, config, features(n)) for n in (3, 260, 1030)])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_features_of_any_layout():
    config, plain = model("lanes-even")
    packed, x = backend.numba_ops.prepare(plain), features(77)
    expected = backend.encode(backend.numba_ops, packed.encoder, config, x)
    for same in (np.asfortranarray(x), x.astype(np.float64), np.repeat(x, 2, axis=0)[::2]):
        assert np.array_equal(backend.encode(backend.numba_ops, packed.encoder, config, same), expected)


def test_empty_aligned():
    parts = empty_aligned(5, 16, 1, 33)
    assert [len(part) for part in parts] == [5, 16, 1, 33] and all(part.ctypes.data % 64 == 0 for part in parts)
    for i, part in enumerate(parts):
        part.fill(i)
    assert all((part == i).all() for i, part in enumerate(parts))
