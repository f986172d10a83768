"""The voice-activity detector: what stands out of the noise, wherever the noise is, however the sound is cut up."""

import dataclasses

import numpy as np
import pytest

from s2t_np.errors import OptionError
from s2t_np.longform.vad import Detector, VadOptions
from tests.support.speech import RATE, bundled, concatenated, noise, silent, tone


def excess(x, size=1 << 17, rate=RATE, **options):
    """Through the detector in blocks of `size` samples: (T,) dB."""
    detector = Detector(rate, VadOptions(**options))
    blocks = [detector.push(x[i : i + size].astype(np.float32)) for i in range(0, len(x), size)]
    return np.concatenate([*blocks, detector.finish()])


def speech():
    return concatenated([bundled("five-five"), bundled("two-nine-three-four-zero")], 0.7, -60)[0]


@pytest.mark.parametrize("size", [1, 7, 160, 1000, 16000])
def test_blocks_do_not_matter(size):
    x = speech()[: 4000 if size == 1 else None]
    assert np.array_equal(excess(x, size), excess(x))


def test_one_number_for_each_frame():
    for n, frames in ((0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16000, 98)):
        assert len(excess(noise(1)[:n])) == frames


@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("tilt", [0, 1, 2])
def test_steady_noise_never_stands_out(size, tilt):
    assert excess(noise(20, size, tilt)).max() < VadOptions().vad_threshold


def test_silence_is_no_noise():
    assert np.all(excess(silent(3)) == 0)


@pytest.mark.parametrize("scale", [1e10, 1e20, 1e37])
def test_a_voice_far_above_full_scale_stands_out_as_any_other(scale):
    x = (speech() + noise(len(speech()) / RATE, 1e-3)[: len(speech())]).astype(np.float32)
    np.testing.assert_allclose(excess(x * np.float32(scale)), excess(x * np.float32(100)), atol=0.01)


@pytest.mark.parametrize("floor", [-80, -60, -40])
def test_a_voice_stands_out_of_any_noise(floor):
    x, times = concatenated([bundled("five-five")] * 3, 1.0, floor)
    found = excess(x)
    for start, end in times * 100:
        assert np.median(found[int(start) : int(end)]) > 10
        assert np.median(found[int(start) - 60 : int(start) - 20]) < 3


def test_a_hum_hides_only_its_own_band():
    x, times = concatenated([bundled("two-nine-three-four-zero")], 1.0)
    found = excess(x + tone(len(x) / RATE, 150, 0.3)[: len(x)])
    start, end = (times[0] * 100).astype(int)
    assert np.mean(found[start:end] > 6) > 0.6 and np.all(found[:90] < 6)


def test_the_floor_rises_with_the_noise():
    x = np.concatenate([noise(5, 0.001), noise(25, 0.03)])
    found = excess(x, floor_rise=2.0)
    assert found[600] > 15  # louder by 30 dB, and new
    assert np.all(found[-500:] < 6)  # 20 s later it is the floor
    assert excess(x, floor_rise=0.1)[-1] > 15


@pytest.mark.parametrize("rate", [8000, 11025, 48000])
def test_other_rates(rate):
    t = np.arange(4 * rate) / rate
    x = 1e-3 * np.random.default_rng(0).standard_normal(len(t)) + 0.1 * np.sin(2 * np.pi * 500 * t) * (t > 2)
    found = excess(x, rate=rate)
    assert found[100] < 6 < found[250]


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(VadOptions)])
@pytest.mark.parametrize("value", [-1000, float("nan"), float("inf"), "much", None, True])
def test_options_that_mean_nothing(field, value):
    with pytest.raises(OptionError, match=f"{field} is .*expected a number"):
        VadOptions(**{field: value})


def test_an_overlap_that_leaves_nothing():
    with pytest.raises(OptionError, match=r"max_speech_duration is 5.*cut_overlap of 3"):
        VadOptions(max_speech_duration=5)
