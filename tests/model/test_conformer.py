"""The parts of a conformer layer by their definitions; test_architectures.py has fairseq's numbers."""

import dataclasses
import math
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from s2t_np.architectures import conformer
from s2t_np.config import ModelConfig
from s2t_np.errors import OptionError
from s2t_np.ops import numpy_ops as ops
from tests.support.small_models import noise

SILENCE = np.zeros((8, 80))


@pytest.mark.parametrize("taps", [1, 3, 7, 31])
def test_depthwise(taps):
    x, kernel = noise(9, 4), noise(4, 1, taps, seed=1)
    expected = np.array([np.convolve(np.pad(x[:, d], taps // 2), kernel[d, 0, ::-1], "valid") for d in range(4)]).T
    np.testing.assert_allclose(conformer.depthwise(x, conformer.Kernel(kernel)), expected, atol=1e-12)


def test_batch_norm_uses_what_training_saw():
    gain, offset, mean, variance = noise(4, 5)
    x, w = noise(3, 5, seed=1), conformer.BatchNorm(gain, offset, mean, variance**2)
    for s, d in np.ndindex(x.shape):
        expected = (x[s, d] - mean[d]) / math.sqrt(variance[d] ** 2 + 1e-5) * gain[d] + offset[d]
        assert conformer.batch_norm(x, w)[s, d] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("heads", [1, 2])
def test_rotated_rows_turn_with_their_position(heads):
    x = noise(6, 8)
    found = conformer.rotated(x, heads)
    size = 8 // heads
    for s, h, i in np.ndindex(6, heads, size // 2):
        angle = s * 10000.0 ** (-2 * i / size)
        a, b = x[s, h * size + i], x[s, h * size + size // 2 + i]
        turned = complex(a, b) * complex(math.cos(angle), math.sin(angle))
        assert found[s, h * size + i] == pytest.approx(turned.real, abs=1e-12)
        assert found[s, h * size + size // 2 + i] == pytest.approx(turned.imag, abs=1e-12)


def test_distances_count_down_from_the_first_key():
    rows = conformer.distance_rows(4, 6, np.float64)
    assert rows.shape == (7, 6)
    for row, distance in zip(rows, (3, 2, 1, 0, -1, -2, -3), strict=True):
        angles = [distance * 10000.0 ** (-i / 6) for i in (0, 2, 4)]
        np.testing.assert_allclose(row, [f(angle) for angle in angles for f in (math.sin, math.cos)], atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_key_gets_the_score_of_its_distance(count):
    scores = noise(2, count, 2 * count - 1)
    found = conformer.by_distance(scores)
    for h, i, j in np.ndindex(2, count, count):
        assert found[h, i, j] == scores[h, i, count - 1 - (i - j)]


@pytest.mark.parametrize(("queries", "keys"), [(1, 4), (3, 5), (5, 3)])
def test_some_queries_have_distances_of_their_own(queries, keys):
    scores = noise(2, queries, queries + keys - 1)
    found = conformer.by_distance(scores)
    for h, i, j in np.ndindex(2, queries, keys):
        assert found[h, i, j] == scores[h, i, queries - 1 - (i - j)]


def relative(width: int, heads: int):
    """The weights that relative attention looks at."""
    q, k, v, far = noise(4, width, width) / width
    u, w = noise(2, heads, width // heads, seed=1)
    linears = [conformer.Linear(x, np.zeros(width)) for x in (q, k, v)]
    return SimpleNamespace(
        self_attn=SimpleNamespace(**dict(zip(("q_proj", "k_proj", "v_proj"), linears, strict=True))),
        distances=SimpleNamespace(linear_pos=conformer.Kernel(far), pos_bias_u=u, pos_bias_v=w),
    )


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_relative_attention_in_blocks_is_that_of_all_queries(rows, monkeypatch):
    w, x = relative(8, 2), noise(7, 8)
    monkeypatch.setattr(conformer, "SCORES_AT_ONCE", 1 << 18)
    whole = conformer.relative_attention(ops, w, 2, x)
    monkeypatch.setattr(conformer, "SCORES_AT_ONCE", rows * 2 * 7)
    np.testing.assert_allclose(conformer.relative_attention(ops, w, 2, x), whole, atol=1e-12)


def test_memory_of_relative_attention_does_not_grow_with_the_square():
    w, peaks = relative(8, 2), []
    for count in (500, 3000):
        x = noise(count, 8)
        tracemalloc.start()
        try:
            conformer.relative_attention(ops, w, 2, x)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 6.5 * peaks[0]


def test_without_espnets_attention_there_is_none_of_its_positions():
    plain = dataclasses.replace(ModelConfig(), pos_enc_type="rope")
    assert conformer.attention_of(plain) is conformer.absolute_attention
    assert conformer.attention_of(dataclasses.replace(plain, attn_type="espnet")) is conformer.rotary_attention


def test_padded_batches_are_refused():
    with pytest.raises(OptionError, match="padded_length"):
        conformer.encode(ops, None, ModelConfig(), SILENCE, 20)
