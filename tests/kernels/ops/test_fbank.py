"""The filterbank kernel against its plain twin: any rate, number of filters and frames, and the edges of its input."""

import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest

from s2t_np import features
from s2t_np.system import threads
from tests.support.paths import LIBRISPEECH, needs_shared
from tests.support.sounds import signal

pytest.importorskip("numba")

from s2t_np_kernels.build.arguments import Doubles, OutFloats
from s2t_np_kernels.build.device import entry
from s2t_np_kernels.build.in_process import compiled
from s2t_np_kernels.ops.fourier_host import places
from s2t_np_kernels.simd import vector64

from s2t_np_kernels import backend
from tests.support import guarded

pytestmark = pytest.mark.filterwarnings("ignore::s2t_np.errors.InputWarning")
RATES = (100, 160, 1000, 8000, 11025, 12345, 16000, 22050, 44100, 48000, 96000)


def samples(frames: int, rate: int) -> np.ndarray:
    window, hop, _ = features.frame_geometry(rate)
    return signal(window + (frames - 1) * hop, rate).astype(np.float32)


def close(fast: np.ndarray, x: np.ndarray, rate: int, bins: int = 80) -> None:
    exact = features.fbank(x, rate, bins, np.float64)
    assert fast.shape == exact.shape and fast.dtype == np.float32
    np.testing.assert_allclose(fast, exact, rtol=6e-8, atol=2e-6)


@pytest.mark.parametrize("rate", RATES)
def test_any_rate_and_any_number_of_filters(rate):
    for bins in (1, 7, 80, 128):
        close(backend.fbank(samples(10, rate), rate, bins), samples(10, rate), rate, bins)


@pytest.mark.parametrize("frames", (1, 2, 7, 8, 9, 16, 17))
def test_few_frames(frames):
    for rate in (1000, 16000):
        x = samples(frames, rate)
        close(backend.fbank(x, rate), x, rate)


def test_less_than_a_window_is_no_frame():
    assert backend.fbank(samples(1, 16000)[:-1], 16000, 24).shape == (0, 24)
    assert backend.fbank(np.zeros(0, np.float32), 16000, 24).shape == (0, 24)


@pytest.mark.parametrize("scale", (0.0, 1e-44, 1e-38, 1e-20, 1.0, 1e6, 1e18, 3e38))
def test_silence_denormals_and_full_scale(scale):
    x = (np.sign(signal(4000)) * scale).astype(np.float32)
    close(backend.fbank(x, 16000), x, 16000)


def test_nan_stays_nan_and_touches_only_its_frames():
    x = samples(12, 16000)
    x[0], x[-1] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        expected = features.fbank(x, 16000)
    np.testing.assert_array_equal(np.isnan(backend.fbank(x, 16000)), np.isnan(expected))


def test_samples_and_results_of_other_types():
    x = samples(9, 16000)
    fast = backend.fbank(x, 16000)
    for other in (x.astype(np.float64), np.repeat(x, 2)[::2], list(x)):
        assert np.array_equal(backend.fbank(other, 16000), fast)
    wide = backend.fbank(x, 16000, dtype=np.float64)
    assert wide.dtype == np.float64 and np.array_equal(wide, fast)


@needs_shared
def test_real_speech():
    import soundfile

    for path in sorted(LIBRISPEECH.rglob("*.flac"))[::20]:
        x, rate = soundfile.read(path, dtype="float32")
        close(backend.fbank(x, rate), x, rate)


@pytest.mark.parametrize("points", (1, 2, 4, 8, 16, 32, 64, 512))
def test_every_frequency_has_its_place(points):
    assert sorted(places(points)) == list(range(points))


def test_any_number_of_threads_gives_the_same_bits():
    x, results = samples(101, 16000), []
    for count in (1, 2, 3, 5):
        threads.set_threads(count)
        results.append(backend.fbank(x, 16000))
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.skipif(guarded.LIBC is None, reason="needs mprotect")
@pytest.mark.parametrize("at_end", (True, False), ids=("end", "start"))
@pytest.mark.parametrize("frames", (1, 8, 13))
def test_between_walls_and_with_poisoned_scratch(monkeypatch, frames, at_end):
    for rate, bins in ((1000, 5), (8000, 23), (16000, 80)):
        x = samples(frames, rate)
        free = backend.fbank(x, rate, bins)
        tables = type(backend._tables(rate, bins))(
            *(guarded.guard(x, at_end) if isinstance(x, np.ndarray) else x for x in backend._tables(rate, bins))
        )
        with guarded.everything_guarded(monkeypatch, at_end), monkeypatch.context() as patch:
            patch.setattr(backend, "_tables", lambda rate, bins, tables=tables: tables)
            assert np.array_equal(backend.fbank(guarded.guard(x, at_end), rate, bins), free)


def test_memory_is_that_of_the_result():
    x = signal(16000 * 60).astype(np.float32)
    backend.fbank(x, 16000)
    tracemalloc.start()
    try:
        result = backend.fbank(x, 16000)
        assert tracemalloc.get_traced_memory()[1] < result.nbytes + 500_000
    finally:
        tracemalloc.stop()


class LogarithmsCall(NamedTuple):
    x: Doubles
    y: OutFloats
    count: int


@compiled
@entry
def _logarithms(call: LogarithmsCall):
    x, y, count = call
    for i in range(0, count, vector64.DOUBLE_LANES):
        vector64.scatter(y, i, 1, vector64.DOUBLE_LANES, vector64.log(vector64.load(x, i)))


def test_logarithm():
    x = np.concatenate(
        [2.0 ** np.arange(-1022, 1024), np.linspace(0.5, 2, 4002), [np.inf, np.nan, 1.0, 0.9999999, 2 / 3, 4 / 3]]
    )
    x = x[: len(x) // 8 * 8]
    y = np.empty(len(x), np.float32)
    _logarithms(x, y, len(x))
    np.testing.assert_allclose(y, np.log(x).astype(np.float32), rtol=1.2e-7, atol=1e-10)
