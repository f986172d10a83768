"""The filterbank against the oracle, the golden row of transformers' own tests, and the edges of its input."""

import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest

from s2t_np import features as room
from s2t_np.config import FeatureConfig
from s2t_np.errors import AudioError, InputWarning
from tests.support import oracles
from tests.support.paths import LIBRISPEECH, ROOT, needs_shared
from tests.support.sounds import signal

GOLDEN = """-1.5745 -1.7713 -1.7020 -1.6069 -1.2250 -1.1105 -0.9072 -0.8241 -1.2310 -0.8098 -0.3320 -0.4101
            -0.7985 -0.4996 -0.8213 -0.9128 -1.0420 -1.1286 -1.0440 -0.7999 -0.8405 -1.2275 -1.5443 -1.4625"""
RATES = [100, 1000, 8000, 11025, 12345, 16000, 22050, 44100, 48000, 96000]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("bins", [1, 7, 24, 80])
@pytest.mark.filterwarnings("ignore::s2t_np.errors.InputWarning")
def test_matches_the_oracle_at_any_rate(rate, bins):
    x = signal(rate // 10 + 3, rate)
    expected = oracles.fbank(x, rate, bins)
    assert expected.shape == (1 + (len(x) - rate * 25 // 1000) // (rate * 10 // 1000), bins)
    np.testing.assert_allclose(room.fbank(x, rate, bins, np.float64), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(room.fbank(x, rate, bins), expected, rtol=0, atol=3e-6)


@needs_shared
def test_golden_row_of_transformers():
    import soundfile

    x, rate = soundfile.read(LIBRISPEECH / "dev-clean/1272/128104/1272-128104-0000.flac", dtype="float32")
    out = room.features(x, FeatureConfig(num_mel_bins=24, sampling_rate=rate))
    assert out.shape == (584, 24)
    np.testing.assert_allclose(out[0], [float(v) for v in GOLDEN.split()], rtol=0, atol=1e-4)


@needs_shared
def test_float32_is_float64_rounded_once_on_real_speech():
    import soundfile

    for path in sorted(LIBRISPEECH.rglob("*.flac"))[::12]:
        x, rate = soundfile.read(path, dtype="float32")
        exact = room.fbank(x, rate, dtype=np.float64)
        assert np.abs(room.fbank(x, rate) - exact).max() < 2e-6


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 401, 559, 560, 561, 10_000, 10_159, 10_160, 40_000])
def test_number_of_frames(samples):
    out = room.fbank(signal(samples), 16000, 40)
    assert out.shape == (0 if samples < 400 else 1 + (samples - 400) // 160, 40)
    assert out.dtype == np.float32


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_frame_is_the_same_in_any_block(extra):
    x = signal(400 + 160 * (2 * room.BLOCK_FRAMES + extra))
    whole = room.fbank(x, 16000)
    for t in (0, 1, room.BLOCK_FRAMES - 1, room.BLOCK_FRAMES, len(whole) - 1):
        np.testing.assert_allclose(whole[t], room.fbank(x[160 * t : 160 * t + 400], 16000)[0], rtol=0, atol=2e-6)


def test_silence_is_the_floor_and_then_zero():
    out = room.fbank(np.zeros(16000, np.float32), 16000)
    np.testing.assert_allclose(out, np.log(2.0**-23), rtol=1e-7)
    np.testing.assert_array_equal(room.cmvn(out), 0)
    np.testing.assert_array_equal(room.features(np.zeros(16000, np.float32), FeatureConfig()), 0)
    constant = room.features(np.full(16000, 0.25, np.float32), FeatureConfig())  # the mean is all there is to it
    assert np.isfinite(constant).all()


@pytest.mark.parametrize("full_scale", [1.0, -1.0, 1e6])
def test_loud_sound_stays_finite(full_scale):
    out = room.features(full_scale * np.sign(signal(4000)), FeatureConfig())
    assert np.isfinite(out).all()


def test_gain_and_offset():
    x = signal(8000)
    quiet = room.fbank(0.5 * x, 16000, dtype=np.float64)
    np.testing.assert_allclose(quiet, room.fbank(x, 16000, dtype=np.float64) - 2 * np.log(2), rtol=0, atol=1e-9)
    np.testing.assert_allclose(room.fbank(x + 0.125, 16000), room.fbank(x, 16000), rtol=0, atol=2e-4)


def test_a_tone_peaks_in_its_mel_bin():
    for hertz in (300, 1000, 3000, 7000):
        x = 0.1 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
        corners = np.linspace(room.mel(20), room.mel(8000), 42)
        assert abs(room.fbank(x, 16000, 40)[5].argmax() - (np.searchsorted(corners, room.mel(hertz)) - 1)) <= 1


def test_cmvn_matches_the_oracle():
    x = np.random.default_rng(1).normal(5, 3, (50, 7)).astype(np.float32)
    x[:, 3] = 7.25
    np.testing.assert_allclose(room.cmvn(x), oracles.cmvn(x), rtol=0, atol=1e-6)
    assert room.cmvn(x).dtype == np.float32
    assert room.cmvn(x.astype(np.float64)).dtype == np.float64


def test_cmvn_switches():
    x = np.random.default_rng(2).normal(5, 3, (50, 7))
    np.testing.assert_array_equal(room.cmvn(x, False, False), x)
    np.testing.assert_allclose(room.cmvn(x, True, False), x - x.mean(0), atol=1e-12)
    np.testing.assert_allclose(room.cmvn(x, False, True), x / x.std(0), atol=1e-12)
    off = FeatureConfig(do_ceptral_normalize=False)
    np.testing.assert_array_equal(room.features(signal(4000), off), room.fbank(signal(4000), 16000))
    means_only = FeatureConfig(normalize_vars=False)
    np.testing.assert_array_equal(
        room.features(signal(4000), means_only), room.cmvn(room.fbank(signal(4000), 16000), True, False)
    )


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_cmvn_of_few_frames(rows):
    out = room.cmvn(np.random.default_rng(3).normal(size=(rows, 5)).astype(np.float32))
    assert out.shape == (rows, 5)
    if rows:
        expected = np.zeros((1, 5)) if rows == 1 else np.ones((2, 5))
        np.testing.assert_allclose(np.abs(out), np.broadcast_to(expected, (rows, 5)), atol=1e-5)


def test_too_short_says_how_long():
    with pytest.raises(AudioError, match=r"12.5 ms long \(200 samples at 16000 Hz\), expected at least 25 ms"):
        room.features(np.zeros(200, np.float32), FeatureConfig())
    with pytest.raises(AudioError, match="0 ms long"):
        room.features(np.zeros(0, np.float32), FeatureConfig())
    with pytest.raises(AudioError, match="sampling rate 99 Hz"):
        room.fbank(np.zeros(1000), 99)


def test_too_many_filters_are_said_once():
    room.mel_bank.cache_clear()
    with pytest.warns(InputWarning, match="of 200 mel filters are empty at 8000 Hz") as caught:
        out = room.fbank(signal(800, 8000), 8000, 200)
    assert len(caught) == 1
    assert np.isfinite(out).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        room.fbank(signal(800, 8000), 8000, 200)
        room.fbank(signal(800, 8000), 8000, 80)


def test_cached_tables_cannot_be_changed():
    for table in (room.povey_window(400), room.mel_bank(16000, 80)):
        with pytest.raises(ValueError, match="read-only"):
            table[...] = 0


def test_input_is_left_alone_and_may_be_a_view():
    x = signal(8000)
    kept = x.copy()
    forward = room.fbank(x, 16000)
    np.testing.assert_array_equal(x, kept)
    doubled = np.repeat(x, 2)[::2]
    np.testing.assert_array_equal(room.fbank(doubled, 16000), forward)


def test_memory_is_that_of_the_features():
    x = signal(16000 * 60)
    room.fbank(x[:400], 16000)
    tracemalloc.start()
    out = room.fbank(x, 16000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < out.nbytes + 3e6


def test_import_needs_numpy_only():
    program = "import sys, s2t_np.features, s2t_np.audio; print([m for m in ('scipy','soundfile') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
