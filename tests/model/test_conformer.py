"""The parts of a conformer layer by their definitions; test_architectures.py has fairseq's numbers."""

import dataclasses
import math

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


def test_without_espnets_attention_there_is_none_of_its_positions():
    plain = dataclasses.replace(ModelConfig(), pos_enc_type="rope")
    assert conformer.attention_of(plain) is conformer.absolute_attention
    assert conformer.attention_of(dataclasses.replace(plain, attn_type="espnet")) is conformer.rotary_attention


def test_padded_batches_are_refused():
    with pytest.raises(OptionError, match="padded_length"):
        conformer.encode(ops, None, ModelConfig(), SILENCE, 20)
