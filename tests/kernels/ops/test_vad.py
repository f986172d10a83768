"""The detector's kernels against their plain twins: any rate, any number of frames, and the edges of their input."""

import numpy as np
import pytest

from s2t_np.features import frame_geometry
from s2t_np.longform import vad_ops
from s2t_np.system import threads
from tests.support.paths import LIBRISPEECH, needs_shared
from tests.support.sounds import signal

pytest.importorskip("numba")

from s2t_np_kernels import backend
from tests.support import guarded

BANDS = np.array([1, 2, 5, 6, 9])


def both(samples, *shape):
    """The kernel's answer and numpy's."""
    return (function(samples, *shape) for function in (backend.vad.band_powers, vad_ops.band_powers))


def compare(samples, window, hop, length, edges):
    """To within what float64 loses of the strongest frequency of a frame."""
    taper = np.hanning(window + 2)[1:-1]
    found, expected = both(samples, taper, hop, length, edges)
    assert found.shape == expected.shape and found.dtype == np.float64
    size = np.abs(samples).max(initial=0).astype(float) * taper.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13 * size**2)


@pytest.mark.parametrize("length", (2, 4, 8, 16, 32, 64, 256, 512, 1024, 4096))
def test_powers_of_any_length(length):
    every, x = np.arange(1, length // 2 + 1), signal(3 * length).astype(np.float32)
    for window in {1, length // 2, length - 1, length}:
        compare(x, window, max(1, length // 3), length, every)
        compare(x, window, max(1, length // 3), length, every[:: 1 + length // 9])


@pytest.mark.parametrize("frames", (0, 1, 2, 7, 8, 9, 16, 17))
def test_powers_of_any_number_of_frames(frames):
    compare(signal(10 + 5 * frames).astype(np.float32), 15, 5, 32, BANDS)


@pytest.mark.parametrize("length", (3, 6, 12, 706, 3072))
def test_a_length_that_is_no_power_of_2_is_transformed_by_numpy(length):
    compare(signal(3 * length).astype(np.float32), length, length, length, np.arange(1, length // 2 + 1))


@pytest.mark.parametrize("scale", (0.0, 1e-44, 1e-38, 1e-20, 1.0, 1e20, 3e38))
def test_powers_of_silence_denormals_and_more_than_full_scale(scale):
    x = (np.sign(signal(4000)) * scale).astype(np.float32)
    compare(x, 400, 160, 512, np.array([3, 12, 25, 51, 102, 224]))


def spectra(bins: int, frames: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Powers over 120 dB, and the scale of a floor 90 dB below the strongest."""
    power = 10 ** np.random.default_rng(seed).uniform(-12, 0, (bins, frames))
    return power, 1 / (1e-9 * power.max())


@pytest.mark.parametrize("frames", (1, 2, 3, 4, 5, 8, 9, 11, 16, 21))
@pytest.mark.parametrize("bins", (1, 2, 7, 8, 15, 16, 243))
def test_measures(bins, frames):
    power, scale = spectra(bins, frames)
    found, expected = (f(power, scale) for f in (backend.vad.frame_measures, vad_ops.frame_measures))
    np.testing.assert_allclose(found.power, expected.power, rtol=1e-5)
    np.testing.assert_allclose(found.flatness, expected.flatness, atol=2e-5)
    np.testing.assert_allclose(found.tonality, expected.tonality, atol=2e-5 if bins > 1 else 1)


def test_measures_of_silence():
    for found in (f(np.zeros((20, 9)), 1e300) for f in (backend.vad.frame_measures, vad_ops.frame_measures)):
        assert np.all(found.power == 20) and np.all(found.flatness == 0) and np.all(found.tonality == 0)


@needs_shared
def test_real_speech():
    import soundfile

    taper, every = np.hanning(1024), np.arange(13, 257)
    for path in sorted(LIBRISPEECH.rglob("*.flac"))[::20]:
        x, _ = soundfile.read(path, dtype="float32")
        compare(x, 400, 160, 512, np.array([3, 12, 25, 51, 102, 224]))
        power = vad_ops.band_powers(x, taper, 320, 1024, every)
        found, expected = (f(power, 1e9 / power.max()) for f in (backend.vad.frame_measures, vad_ops.frame_measures))
        for own, plain in zip(found, expected, strict=True):
            np.testing.assert_allclose(own, plain, rtol=1e-5, atol=1e-5)


def test_any_number_of_threads_gives_the_same_bits():
    x, found = signal(16000 * 3).astype(np.float32), []
    for count in (1, 2, 3, 5):
        threads.set_threads(count)
        power = backend.vad.band_powers(x, np.hanning(1024), 320, 1024, np.arange(13, 257))
        found.append((power, *backend.vad.frame_measures(power, 1e9 / power.max())))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(other, found[0], strict=True))


def test_a_frame_does_not_depend_on_the_others():
    window, hop, length = frame_geometry(16000)
    x, edges = signal(window + 40 * hop).astype(np.float32), np.array([3, 12, 25, 51, 102, 224])
    for powers in (backend.vad.band_powers, vad_ops.band_powers):
        whole = powers(x, np.hanning(window), hop, length, edges)
        for start, frames in ((0, 1), (3, 7), (8, 8), (13, 28), (40, 1)):
            part = powers(x[start * hop :][: window + (frames - 1) * hop], np.hanning(window), hop, length, edges)
            assert np.array_equal(part, whole[:, start : start + frames])


@pytest.mark.skipif(guarded.LIBC is None, reason="needs mprotect")
@pytest.mark.parametrize("at_end", (True, False), ids=("end", "start"))
@pytest.mark.parametrize("frames", (1, 8, 13))
def test_between_walls_and_with_poisoned_scratch(monkeypatch, frames, at_end):
    for window, length, edges in ((15, 16, BANDS[:-1]), (400, 512, np.array([3, 12, 25, 51, 102, 224]))):
        x, taper = signal(window + 7 * (frames - 1)).astype(np.float32), np.hanning(window)
        power = backend.vad.band_powers(x, taper, 7, length, edges)
        measures = backend.vad.frame_measures(power, 1e9 / power.max())
        walled = [guarded.guard(a, at_end) for a in (x, taper, edges, power)]
        with guarded.everything_guarded(monkeypatch, at_end):
            assert np.array_equal(backend.vad.band_powers(*walled[:2], 7, length, walled[2]), power)
            again = backend.vad.frame_measures(walled[3], 1e9 / power.max())
        assert all(np.array_equal(a, b) for a, b in zip(again, measures, strict=True))
