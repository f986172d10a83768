"""Samples in memory: every number type by its range, channels where they are plain, everything else refused."""

import warnings

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.errors import AudioError, InputWarning
from tests.support.sounds import signal

X = signal(1000)


def of(x, rate=16000, model_rate=16000):
    return audio.from_array(x, rate, model_rate)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8", "g"])
def test_floats_as_they_are(dtype):
    y = of(X.astype(dtype))
    assert y.dtype == np.float32 and y.dtype.isnative
    np.testing.assert_allclose(y, X, atol=5e-4 if dtype == "f2" else 1e-7)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", ">i2", "u2", "i4", "u4", "i8", "u8"])
def test_integers_by_their_range(dtype):
    info = np.iinfo(dtype)
    half = 2.0 ** (info.bits - 1)
    centre = half if info.min == 0 else 0
    values = [info.min, int(centre), int(centre) + int(half) // 2, info.max]
    y = of(np.array(values, dtype))
    np.testing.assert_allclose(y, [-1, 0, 0.5, (info.max - centre) / half], atol=1e-7)
    assert np.abs(y).max() <= 1


def test_int16_and_uint8_of_the_same_sound():
    y16, y8 = of(np.round(X * 32768).astype(np.int16)), of(np.round(X * 128 + 128).astype(np.uint8))
    np.testing.assert_allclose(y16, X, atol=2**-15)
    np.testing.assert_allclose(y8, X, atol=2**-7)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_small_numbers_in_wide_integers_are_doubted(dtype):
    with pytest.warns(InputWarning, match=r"comes out as silence.*astype\(np.int16\)"):
        of(np.arange(1000, dtype=dtype))


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_mixed_by_mean_either_way(channels):
    x = signal(1000, channels=channels).reshape(1000, channels)
    for array in (x, np.ascontiguousarray(x.T), np.asfortranarray(x)):
        np.testing.assert_allclose(of(array), x.mean(axis=1), atol=1e-6)
    integers = np.round(x * 32768).astype(np.int16)
    np.testing.assert_allclose(of(integers), x.mean(axis=1), atol=2**-15)


@pytest.mark.parametrize(
    "shape", [(9, 1000), (1000, 9), (2, 31), (31, 2), (2, 2), (8, 8), (4, 10), (2, 3, 1000), (1, 1, 5)]
)
def test_unclear_shapes(shape):
    with pytest.raises(AudioError, match=r"not plainly one recording.*one by one"):
        of(np.zeros(shape, np.float32))


def test_one_column_and_one_row_are_clear():
    for shape in ((5, 1), (1, 5), (1, 1)):
        assert of(np.full(shape, 0.5)).shape == (max(shape),)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([], "empty"),
        (np.zeros(0), "empty"),
        (np.zeros((0, 2)), "empty"),
        (np.zeros((2, 0), np.int16), "empty"),
        (0.5, "single number"),
        (np.float32(1), "single number"),
        (None, "NoneType of object is not sound"),
        (np.zeros(99, bool), "bool"),
        (np.zeros(99, complex), "complex"),
        (np.array(["a", "b"]), "is not sound"),
        (np.zeros(99, "M8[s]"), "is not sound"),
        (np.zeros(99, [("a", "f4")]), "is not sound"),
        (np.array([0.5, None]), "object"),
        ({"array": X, "sampling_rate": 16000}, "dict"),
        ({1.0, 2.0}, "set"),
        ((x for x in X), "generator"),
        ([[0.0, 1.0], [0.0]], "cannot be taken as an array"),
        ((16000, X), "a pair of a rate and an array"),
        ([1, 2, 3], "list of whole numbers"),
        (memoryview(b"abc")[:0], "empty"),
    ],
)
def test_what_is_no_sound(samples, words):
    with pytest.raises(AudioError, match=words) as caught:
        audio.load(samples, 16000, 16000)
    assert "\n" not in str(caught.value)


def test_lists_of_floats_and_other_buffers():
    np.testing.assert_array_equal(audio.load([0.0, 0.5, 1], 16000, 16000), np.float32([0, 0.5, 1]))
    np.testing.assert_array_equal(audio.load((0.25,) * 40, 16000, 16000), np.full(40, 0.25, np.float32))
    np.testing.assert_array_equal(audio.load(memoryview(X), 16000, 16000), X)


def test_anything_with_an_array_inside():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return X.astype(np.float64)

    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("tensor is on the GPU")

    np.testing.assert_array_equal(audio.load(Tensor(), 16000, 16000), X)
    with pytest.raises(AudioError, match="tensor is on the GPU"):
        audio.load(Broken(), 16000, 16000)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(audio.load(torch.from_numpy(X), 16000, 16000), X)
    with pytest.raises(AudioError, match="grad"):
        audio.load(torch.from_numpy(X).requires_grad_(), 16000, 16000)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e10, -1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_bad_sample_is_named(value, dtype):
    x = X.astype(np.float64)
    x[[17, 400]] = value
    with np.errstate(over="ignore"):
        x = x.astype(dtype)
    with pytest.raises(AudioError, match=r"sample 17 is .*expected numbers from -1 to 1"):
        of(x)
    with pytest.raises(AudioError, match="sample 17 is"):
        of(np.stack([X, x], axis=1))


def test_infinity_in_float16():
    with pytest.raises(AudioError, match="sample 3 is inf"):
        of(np.array([0, 0, 0, np.inf], np.float16))


@pytest.mark.parametrize("rate", [None, 0, -16000, np.nan, np.inf, True, "16000", 16, 999, 2e6, [16000], 1j])
def test_rates_that_are_none(rate):
    words = "pass sampling_rate=" if rate is None else "expected 1000 to 1000000"
    with pytest.raises(AudioError, match=words):
        audio.load(X, 16000, rate)


@pytest.mark.parametrize("rate", [16000, 16000.0, np.int16(16000), np.int64(16000), np.float32(16000)])
def test_rates_that_are_the_model_s(rate):
    np.testing.assert_array_equal(of(X, rate), X)


def test_other_rates_are_resampled():
    for rate in (8000, 22050, np.int32(44100), 48000.0, 11025.5):
        y = of(signal(int(rate), rate), rate)
        assert abs(len(y) - 16000) <= 1
        assert np.corrcoef(y[:15000], signal(16000)[:15000])[0, 1] > 0.99
    assert len(of(X, 150, 150)) == 1000  # a model of any rate, as long as nothing has to change


@pytest.mark.parametrize(("peak", "warns"), [(1.0, False), (1.5, False), (1.51, True), (-3.0, True), (32767.0, True)])
def test_loud_floats_are_doubted(peak, warns):
    x = np.zeros(100, np.float32)
    x[50] = peak
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(of(x), x)
    assert [w.category for w in caught] == [InputWarning] * warns


def test_the_caller_s_array_is_left_alone():
    for x in (X.copy(), np.round(X * 32768).astype(np.int16), signal(1000, channels=2)):
        kept = x.copy()
        of(x, 8000)
        np.testing.assert_array_equal(x, kept)
