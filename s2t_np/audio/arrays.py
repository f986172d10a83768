"""Samples in memory -> float32, mono: integers divided by their range, floats as they are, channels mixed."""

import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import AudioError, InputWarning
from .checks import check_samples, usable_rate
from .mixing import mono
from .selection import MIX

BLOCK = 1 << 17  # frames of an array handed on at a time
MOST_CHANNELS = 8  # channels of a 2-D array
SAMPLES_PER_CHANNEL = 16  # a 2-D array at most this many times as long as it has channels is not a recording


def samples_of(
    samples, sampling_rate: float | None, model_rate: int, channel: int | str = MIX
) -> tuple[Iterator[np.ndarray], float]:
    """An array of samples as blocks (n,) float32, its channels mixed or one of them, and its rate. Raises AudioError.

    What is converted or mixed is so block by block, so that nothing as long as the array is made.
    """
    numbers = as_numbers(samples)
    rate = usable_rate(sampling_rate, model_rate, "the array")
    warn_of_range(numbers)
    frames = oriented(numbers)
    parts = (scaled(frames[i : i + BLOCK]) for i in range(0, len(frames), BLOCK))
    return mono_checked(parts, "the array", channel), rate


def checked(arrays: Iterable, channel: int | str = MIX) -> Iterator[np.ndarray]:
    """Arrays of one recording, in order, each (n,) or (n, channels) -> (n,) float32. Raises AudioError."""
    numbers = (as_numbers(array) for array in arrays if np.size(array))
    return mono_checked((oriented(scaled(warn_of_range(x))) for x in numbers), "the iterator", channel)


def mono_checked(floats: Iterable[np.ndarray], name: str, channel: int | str) -> Iterator[np.ndarray]:
    """Blocks (n, channels) of floats -> blocks (n,) float32, none of them NaN or absurd. Raises AudioError."""
    total = 0
    for x in mono(floats, name, channel):
        check_samples(x, total, name)
        total += len(x)
        yield x.astype(np.float32, copy=False)


def is_rate_and_array(samples) -> bool:
    """Return whether it is a rate and an array, in either order."""
    kinds = sorted(isinstance(part, np.ndarray) for part in samples) if isinstance(samples, tuple) else []
    return kinds == [False, True] and any(isinstance(part, int | float) for part in samples)


def as_numbers(samples) -> np.ndarray:
    """A numpy array of floats or integers. Raises AudioError for anything else."""
    if is_rate_and_array(samples):
        raise AudioError(
            "a pair of a rate and an array (as gradio gives it) is not an array; pass the array, and sampling_rate=rate"
        )
    try:
        x = np.asarray(samples)
    except Exception as error:  # ragged lists, tensors on a GPU, an __array__ that fails in its own way
        raise AudioError(f"a {type(samples).__name__} cannot be taken as an array of samples ({error})") from error
    if x.dtype.kind not in "fiu":
        raise AudioError(
            f"a {type(samples).__name__} of {x.dtype} is not sound; expected a path, a binary file object, or an array "
            "of floats in [-1, 1] or of integers"
        )
    if x.size == 0 or x.ndim == 0:
        raise AudioError("the array is empty: there are no samples in it" if x.ndim else "a single number is not sound")
    if isinstance(samples, list | tuple) and x.dtype == np.int64:
        raise AudioError("a list of whole numbers does not say their range; pass np.array(samples, dtype=np.int16)")
    return x


def warn_of_range(x: np.ndarray) -> np.ndarray:
    """The same array; gives an InputWarning where 64-bit integers hold what looks like 16-bit samples."""
    if x.dtype.kind != "f" and x.dtype.itemsize == 8 and -(2**31) <= x.min() <= x.max() < 2**31:
        warnings.warn(
            f"an array of {x.dtype} in which nothing exceeds 32 bits comes out as silence; if these are 16-bit "
            "samples, pass samples.astype(np.int16)",
            InputWarning,
            stacklevel=3,
        )
    return x


def scaled(x: np.ndarray) -> np.ndarray:
    """Integers divided by their range, unsigned ones centred first, to floats in [-1, 1): same shape."""
    if x.dtype.kind == "f":
        return x.astype(np.float32) if x.dtype.itemsize == 2 else x
    half = 2.0 ** (8 * x.dtype.itemsize - 1)
    centre = half if x.dtype.kind == "u" else 0.0
    return (x.astype(np.float32 if x.dtype.itemsize <= 2 else np.float64) - centre) / half


def oriented(x: np.ndarray) -> np.ndarray:
    """(N,), (N, channels) or (channels, N) -> (N, channels). Raises AudioError where it is unclear which is which."""
    few, many = min(x.shape), max(x.shape)
    if x.ndim == 1 or (x.ndim == 2 and few == 1):
        return x.reshape(-1, 1)
    if x.ndim > 2 or few > MOST_CHANNELS or many < SAMPLES_PER_CHANNEL * few:
        raise AudioError(
            f"an array of shape {x.shape} is not plainly one recording; expected (samples,), or up to {MOST_CHANNELS} "
            "channels as (samples, channels) or (channels, samples); pass the recordings of a batch one by one"
        )
    return x if x.shape[1] == few else x.T
