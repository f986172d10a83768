"""The detector over the compiled arithmetic: the same pieces and the same answers, however the sound is cut up."""

import numpy as np
import pytest
import soundfile

from s2t_np.longform.segmenter import pieces
from s2t_np.longform.speech_check import SpeechCheckOptions, is_speech_like, measures
from s2t_np.longform.vad import Detector, VadOptions
from s2t_np.longform.vad_ops import NUMPY_VAD, running_sums
from tests.support.paths import needs_shared
from tests.support.speech import RATE, RECORDINGS, around, bundled, concatenated, librispeech, no_speech, noise, silent

pytest.importorskip("numba")

from s2t_np_kernels import backend

SOUNDS = no_speech() | {
    "nothing": silent(3),
    "zeros": np.zeros(3 * RATE),
    "a level of its own": np.full(3 * RATE, 0.5),
    "a single sample": np.eye(1, 3 * RATE, RATE)[0],
    "clipped": np.clip(50 * around(bundled("five-five")), -1, 1),
    "far too loud": 1e20 * around(bundled("five-five")),
    "hardly there": 1e-4 * around(bundled("five-five")),
}


def found(x, ops, rate=RATE):
    """The times of the pieces, and whether each may be speech."""
    spans = pieces([x.astype(np.float32)], rate, VadOptions(), ops)
    return [(*p[1:], is_speech_like(p.samples, rate, SpeechCheckOptions(), ops)) for p in spans]


@pytest.mark.parametrize("name", SOUNDS)
def test_what_is_no_voice_and_what_is_extreme(name):
    assert found(SOUNDS[name], backend.vad) == found(SOUNDS[name], NUMPY_VAD)


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.flac")), ids=lambda path: path.stem)
def test_recordings(path):
    x = soundfile.read(path, dtype="float32")[0]
    assert found(x, backend.vad) == found(x, NUMPY_VAD) != []


@needs_shared
def test_real_speech_also_in_noise():
    for i, x in enumerate(librispeech()[:12]):
        y = around(x)
        y += noise(len(y) / RATE, 0.003 * (i % 3), tilt=i % 2, seed=i)[: len(y)].astype(y.dtype)
        assert found(y, backend.vad) == found(y, NUMPY_VAD) != []


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 48000])
def test_other_rates(rate):
    x = np.concatenate([noise(2, 1e-3), bundled("two-nine-three-four-zero"), noise(2, 1e-3)])
    assert found(x, backend.vad, rate) == found(x, NUMPY_VAD, rate) != []


@pytest.mark.parametrize("size", [1, 7, 160, 1000, 16000])
def test_blocks_do_not_matter(size):
    x = concatenated([bundled("five-five"), bundled("two-nine-three-four-zero")], 0.7, -60)[0].astype(np.float32)
    x = x[: 4000 if size == 1 else None]
    results = []
    for n in (size, len(x)):
        detector = Detector(RATE, VadOptions(), backend.vad)
        parts = [detector.push(x[i : i + n]) for i in range(0, len(x), n)]
        results.append(np.concatenate([*parts, detector.finish()]))
    assert np.array_equal(*results)


@pytest.mark.parametrize("samples", [1, 400, 1023, 1024, 1984, 1985, 2304])
def test_the_shortest(samples):
    x = noise(1)[:samples].astype(np.float32)
    for own, plain in zip(measures(x, RATE, backend.vad), measures(x, RATE), strict=True):
        np.testing.assert_allclose(own, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9, 15])
def test_running_sums(count):
    for rows in (count, count + 1, 31):
        x = np.random.default_rng(rows).standard_normal((rows, 3))
        expected = [x[i : i + count].sum(axis=0) for i in range(rows - count + 1)]
        np.testing.assert_allclose(running_sums(x, count), expected, atol=1e-13)


def test_running_sums_keep_what_is_small_after_what_is_large():
    x = np.array([1e9, 1e9, 1.0, 1.0, 1.0], np.float32)
    assert running_sums(x, 3)[-1] == 3
