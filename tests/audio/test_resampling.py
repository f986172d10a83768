"""The polyphase resampler: tones keep their place, nothing folds back, blocks do not show, scipy agrees."""

import numpy as np
import pytest

from s2t_np.audio import resampling as room

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
    np.testing.assert_array_equal(resampled(x, rate, 16000, pieces), resampled(x, rate, 16000))
    monkeypatch.setattr(room, "BLOCK", 1 << 16)
    np.testing.assert_allclose(resampled(x, rate, 16000), resampled(x, rate, 16000, pieces), rtol=0, atol=1e-5)


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


@pytest.mark.parametrize("rate", [22050, 48000])
def test_scipy_with_the_same_filter(rate):
    signal = pytest.importorskip("scipy.signal")
    up, down = room.ratio(rate, 16000)
    weights = room.phases(up, down).astype(np.float64)
    reach = weights.shape[1] // 2
    response = np.zeros((2 * reach + 2) * up)  # the same impulse response, sampled `up` times an input sample
    for i in range(up):
        for j, weight in enumerate(weights[i]):
            response[(reach + 1) * up + (i * down) % up - (j - reach) * up] = weight
    x = np.random.default_rng(0).standard_normal(5000)
    expected = signal.resample_poly(x, up, down, window=np.append(response, 0) / up)
    np.testing.assert_allclose(resampled(x, rate, 16000), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "rates", [(16000, 999_983), (999_983, 16000), (44_101, 16000), (16000, 15_999.5), (1000, 96000)]
)
def test_any_ratio_has_a_small_table(rates):
    up, down = room.ratio(*rates)
    assert max(up, down) <= room.MOST_PHASES
    assert abs(up / down / (rates[1] / rates[0]) - 1) < 4e-5
    assert room.phases(up, down).size < 2.2e6


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 22050.0])
def test_common_ratios_are_exact(rate):
    up, down = room.ratio(rate, 16000)
    assert up * rate == down * 16000
