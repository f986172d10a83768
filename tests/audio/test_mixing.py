"""Channels to mono: the mean, and where the channels cancel each other the loudest of them, with a warning."""

import warnings

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio.mixing import RAMP, mixed
from s2t_np.errors import InputWarning
from tests.support.sounds import encode, read, signal

X = signal(40_000)


def mix(x, *cuts):
    return np.concatenate(list(mixed(np.split(x, cuts), "talk")))


def test_opposite_phase_keeps_the_sound_and_says_so():
    y, said = read(encode(np.stack([X, -X], 1), subtype="FLOAT"))
    np.testing.assert_array_equal(y[800:], X[800:])
    assert "opposite phase" in said


@pytest.mark.parametrize("weak", [0, 1])
def test_the_louder_channel_is_taken(weak):
    pair = [X, -X]
    pair[weak] = pair[weak] * np.float32(0.9)
    with pytest.warns(InputWarning, match="opposite phase"):
        y = audio.load(np.stack(pair, 1), 16000, 16000)
    np.testing.assert_array_equal(np.abs(y[800:]), np.abs(X[800:]) if weak else np.abs(pair[0][800:]))


def test_other_channels_are_mixed_by_mean_without_a_warning():
    rng = np.random.default_rng(0)
    apart = np.zeros((40_000, 2), np.float32)
    apart[:20_000, 0], apart[20_000:, 1] = X[:20_000], X[20_000:]
    for x in (np.stack([X, X], 1), apart, rng.standard_normal((40_000, 2)).astype(np.float32) / 9, 0 * apart):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_allclose(mix(x), x.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("cuts", [(1,), (799, 801), range(0, 40_000, 333), (30_000, 30_000, 39_999)])
def test_blocks_do_not_show(cuts):
    x = np.stack([X, -X], 1)
    x[10_000:20_000, 1] = X[10_000:20_000]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        np.testing.assert_array_equal(mix(x, *cuts), mix(x))


def test_no_click_where_the_choice_changes():
    t = np.arange(40_000) / 16000
    left = np.sin(2 * np.pi * 100 * t).astype(np.float32)
    x = np.stack([left, np.where(t < 1.25, left, -left)], 1)
    with pytest.warns(InputWarning, match="opposite phase"):
        y = mix(x)
    assert np.abs(np.diff(y)).max() < 2 * np.abs(np.diff(left)).max()
    changing = slice(20_000, 20_000 + RAMP)
    np.testing.assert_allclose(np.delete(y, changing), np.delete(left, changing), atol=1e-6)
