"""The polyphase resampler: tones keep their place, nothing folds back, blocks do not show, scipy agrees."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import signal

from s2t_np.audio import resampling as room
from s2t_np.errors import AudioError
from tests.support.paths import ROOT

RATES = [8000, 11025, 12345, 15999, 16001, 22050, 24000, 32000, 44100, 48000, 96000, 192000]


def resampled(x, rate, new_rate, pieces=1):
    return np.concatenate(list(room.resample(np.array_split(x.astype(np.float32), pieces), rate, new_rate)))


def tone(hertz, rate, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def level(x):
    """Root mean square in dB of the middle of `x`, relative to a full tone."""
    return 10 * np.log10(2 * np.mean(x[1000:-1000].astype(np.float64) ** 2) + 1e-20)


@pytest.mark.parametrize("rate", RATES)
def test_tones_keep_frequency_phase_and_level(rate):
    for hertz in (50, 440, 3000, 0.4 * min(rate, 16000)):
        y = resampled(tone(hertz, rate), rate, 16000)
        expected = tone(hertz, 16000)
        assert np.abs(y[: len(expected)] - expected)[200:-200].max() < 3e-4


@pytest.mark.parametrize("rate", [22050, 24000, 44100, 48000, 96000])
def test_nothing_above_the_new_nyquist_folds_back(rate):
    for hertz in np.arange(8250, rate / 2, 611):
        assert level(resampled(tone(hertz, rate), rate, 16000)) < -78
    assert level(resampled(tone(8100, rate), rate, 16000)) < -35  # within the transition band
    assert level(resampled(tone(6900, rate), rate, 16000)) > -0.1


@pytest.mark.parametrize("rate", [8000, 11025])
def test_no_image_appears_above_the_old_nyquist(rate):
    hertz = 0.4 * rate
    y = resampled(tone(hertz, rate, 1.0), rate, 16000)
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)))) / (len(y) / 4)
    assert 20 * np.log10(spectrum[rate * 8000 // 16000 + 200 :].max()) < -78


@pytest.mark.parametrize("rate", [8000, 12345, 44100, 48000])
@pytest.mark.parametrize("pieces", [2, 50])
def test_blocks_do_not_show(rate, pieces, monkeypatch):
    monkeypatch.setattr(room, "BLOCK", 3000)
    x = np.random.default_rng(0).standard_normal(20011)
    in_small_blocks = resampled(x, rate, 16000, pieces)
    np.testing.assert_array_equal(in_small_blocks, resampled(x, rate, 16000))
    monkeypatch.setattr(room, "BLOCK", 1 << 16)
    np.testing.assert_array_equal(in_small_blocks, resampled(x, rate, 16000))


@pytest.mark.parametrize("samples", [0, 1, 2, 3, 440, 441, 442, 65536, 66150, 66151, 130000])
@pytest.mark.parametrize("rates", [(44100, 16000), (16000, 44100), (48000, 16000), (16000, 16000)])
def test_length_is_ceil(samples, rates):
    rate, new_rate = rates
    blocks = list(room.resample([np.ones(samples, np.float32)], rate, new_rate))
    assert sum(map(len, blocks)) == -(-samples * new_rate // rate)
    assert all(block.dtype == np.float32 for block in blocks)


def test_constant_stays_constant():
    for rate in (8000, 12345, 44100, 192000):
        y = resampled(np.full(9000, 0.5), rate, 16000)
        np.testing.assert_allclose(y[200:-200], 0.5, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_blocks_give_what_scipy_gives_in_one_piece(rate):
    up, down = room.ratio(rate, 16000)
    x = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    response = room.impulse_response(up, down)
    whole = signal.resample_poly(x.astype(np.float64), up, down, window=response.astype(np.float64) / up)
    np.testing.assert_allclose(resampled(x, rate, 16000, 37), whole, rtol=0, atol=2e-5)


@pytest.mark.parametrize("rates", [(0, 16000), (16000, 0), (16000, 2**31 - 1), (2**31 - 1, 16000), (-1, 16000)])
def test_absurd_rates_are_refused(rates):
    with pytest.raises(AudioError, match=f"at {rates[0]} Hz cannot be brought to {rates[1]} Hz"):
        list(room.resample([np.zeros(9, np.float32)], *rates))


def test_scipy_is_imported_only_for_another_rate():
    code = """
import sys, numpy as np
from s2t_np import audio
audio.load(np.zeros(16000), 16000, 16000)
assert not any(name.split(".")[0] == "scipy" for name in sys.modules)
audio.load(np.zeros(16000), 16000, 8000)
assert "scipy.signal" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "rates", [(16000, 999_983), (999_983, 16000), (44_101, 16000), (16000, 15_999.5), (1000, 96000)]
)
def test_any_ratio_has_a_small_table(rates):
    up, down = room.ratio(*rates)
    assert max(up, down) <= room.MOST_PHASES
    assert abs(up / down / (rates[1] / rates[0]) - 1) < 4e-5
    assert room.impulse_response(up, down).size < 2.2e6


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 22050.0])
def test_common_ratios_are_exact(rate):
    up, down = room.ratio(rate, 16000)
    assert up * rate == down * 16000
