"""From a file or an array to float32 samples: mono, at the model's rate, about -1 to 1.

    load       a path, "-", a file object, the bytes of a file, or an array -> one array
    blocks     the same, and iterators of arrays -> block after block, for what is long or has no end yet
      files    decoded by libsndfile (audio_files.py), pipes of plain samples as they come (audio_pipe.py)
      arrays   integers scaled by their range, floats as they are
    all        channels mixed by mean, checked, brought to the model's rate (resample.py)

What is damaged or cut short gives the sound that is there: `load` then gives an InputWarning, `blocks` ends in an
IncompleteAudioError. What gives no sound at all is an AudioError.
"""

import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import AudioError, IncompleteAudioError, InputWarning
from .files import can_seek, check_samples, file_blocks, name_of, opened, usable_rate
from .pipe import pipe_blocks
from .resampling import resample

BLOCK = 1 << 17  # samples of an array handed on at a time
MOST_CHANNELS = 8  # of a 2-D array
SAMPLES_PER_CHANNEL = 16  # at least this many times as long as it has channels, or a 2-D array is no recording
LOUD = 1.5  # floats are meant to lie in [-1, 1]; decoders overshoot a little


def load(audio, model_rate: int, sampling_rate: float | None = None) -> np.ndarray:
    """Anything that holds sound -> (N,) float32 at `model_rate` (Hz).

    `audio` is a path, "-" for standard input, a binary file object, the bytes of a file, or an array (N,),
    (N, channels) or (channels, N) recorded at `sampling_rate`; a file knows its own. Raises AudioError.
    """
    if is_file(audio):
        return read(audio, model_rate)
    return from_array(audio, sampling_rate, model_rate)


def blocks(audio, model_rate: int, sampling_rate: float | None = None) -> Iterator[np.ndarray]:
    """The same sound, and the same numbers, block by block: (n,) float32 at `model_rate`.

    `audio` may also be an iterator of arrays, (n,) each, recorded at `sampling_rate`: a microphone's, for instance.
    Raises AudioError; IncompleteAudioError after all blocks that could be had.
    """
    if is_file(audio):
        return read_blocks(audio, model_rate)
    if isinstance(audio, Iterator):
        rate = usable_rate(sampling_rate, model_rate, "the iterator")
        return resample(checked(audio), rate, model_rate)
    x, rate = samples_of(audio, sampling_rate, model_rate)
    return resample((x[i : i + BLOCK] for i in range(0, len(x), BLOCK)), rate, model_rate)


def is_file(audio) -> bool:
    """Whether it is something to read from, rather than samples."""
    return isinstance(audio, str | os.PathLike | bytes | bytearray) or hasattr(audio, "read")


def read(source, sampling_rate: int) -> np.ndarray:
    """Decode a file: a path, "-", a binary file object, or a file's bytes -> (N,) float32 at `sampling_rate` (Hz).

    A file object that can seek is read from its beginning. Raises AudioError for what is no recording, has no sound,
    or holds numbers that are not finite; gives an InputWarning for what is damaged, cut short or too loud.
    """
    return joined(list(forgiven(read_blocks(source, sampling_rate))), name_of(source))


def read_blocks(source, model_rate: int) -> Iterator[np.ndarray]:
    """A file's sound, block by block. Raises AudioError."""
    with opened(io.BytesIO(source) if isinstance(source, bytes | bytearray) else source) as (file, name):
        yield from (file_blocks if can_seek(file) else pipe_blocks)(file, name, model_rate)


def is_live(audio) -> bool:
    """Whether its sound may still be in the making: an iterator, or a file that cannot seek."""
    if isinstance(audio, str) and audio == "-":
        return not can_seek(sys.stdin.buffer)
    if isinstance(audio, str | os.PathLike):
        return os.path.exists(audio) and not os.path.isfile(audio)
    return not can_seek(audio) if hasattr(audio, "read") else isinstance(audio, Iterator)


def beginning(sound: Iterator[np.ndarray], samples: float) -> tuple[list[np.ndarray], AudioError | None]:
    """The first blocks, until they hold more than so many samples; and the error they end in, if they do."""
    head, total = [], 0
    try:
        while total <= samples and (block := next(sound, None)) is not None:
            head.append(block)
            total += len(block)
    except AudioError as error:
        return head, error
    return head, None


def forgiven(sound: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The blocks there are; that a recording is incomplete is an InputWarning, unless there is nothing in it."""
    given = False
    try:
        for block in sound:
            given = True
            yield block
    except IncompleteAudioError as error:
        if not given:
            raise
        warnings.warn(str(error), InputWarning, stacklevel=3)


def from_array(samples, sampling_rate: float | None, model_rate: int) -> np.ndarray:
    """Samples in memory, recorded at `sampling_rate` (Hz) -> (N,) float32 at `model_rate`; may share their memory.

    (N,), or (N, channels) or (channels, N) where it is plain which is which. Floats are taken as they are, integers
    divided by their range (int16 by 32768; uint8 as (x - 128) / 128). Anything with `__array__` will do. Raises
    AudioError.
    """
    x, rate = samples_of(samples, sampling_rate, model_rate)
    return joined(list(resample([x], rate, model_rate)), "the array")


def samples_of(samples, sampling_rate: float | None, model_rate: int) -> tuple[np.ndarray, float]:
    """An array of samples as (N,) float32, and its rate. Raises AudioError."""
    rate = usable_rate(sampling_rate, model_rate, "the array")
    x = mixed(scaled(as_numbers(samples)))
    check_samples(x, 0, "the array")
    return x.astype(np.float32, copy=False), rate


def checked(arrays: Iterable) -> Iterator[np.ndarray]:
    """Arrays of one recording, in order, each (n,) -> float32. Raises AudioError."""
    total = 0
    for array in arrays:
        if np.size(array) == 0:
            continue
        x = mixed(scaled(as_numbers(array)))
        check_samples(x, total, "the iterator")
        total += len(x)
        yield x.astype(np.float32, copy=False)


def as_numbers(samples) -> np.ndarray:
    """A numpy array of floats or integers. Raises AudioError for anything else."""
    try:
        x = np.asarray(samples)
    except Exception as error:  # ragged lists, tensors on a GPU, an __array__ that fails in its own way
        raise AudioError(f"a {type(samples).__name__} cannot be taken as an array of samples ({error})") from error
    if x.dtype.kind not in "fiu":
        raise AudioError(
            f"a {type(samples).__name__} of {x.dtype} is no sound; expected a path, a binary file object, or an array "
            "of floats in [-1, 1] or of integers"
        )
    if x.size == 0 or x.ndim == 0:
        raise AudioError("the array is empty: there are no samples in it" if x.ndim else "a single number is no sound")
    if isinstance(samples, list | tuple) and x.dtype == np.int64:
        raise AudioError("a list of whole numbers does not say their range; pass np.array(samples, dtype=np.int16)")
    return x


def scaled(x: np.ndarray) -> np.ndarray:
    """Integers divided by their range, unsigned ones centred first, to floats in [-1, 1): same shape."""
    if x.dtype.kind == "f":
        return x.astype(np.float32) if x.dtype.itemsize == 2 else x
    if x.dtype.itemsize == 8 and -(2**31) <= x.min() <= x.max() < 2**31:
        warnings.warn(
            f"an array of {x.dtype} in which nothing exceeds 32 bits comes out as silence; if these are 16-bit "
            "samples, pass samples.astype(np.int16)",
            InputWarning,
            stacklevel=3,
        )
    half = 2.0 ** (8 * x.dtype.itemsize - 1)
    centre = half if x.dtype.kind == "u" else 0.0
    return (x.astype(np.float32 if x.dtype.itemsize <= 2 else np.float64) - centre) / half


def mixed(x: np.ndarray) -> np.ndarray:
    """(N,), (N, channels) or (channels, N) -> (N,), the mean over channels. Raises AudioError where that is unclear."""
    few, many = min(x.shape), max(x.shape)
    if x.ndim == 1 or (x.ndim == 2 and few == 1):
        return x.reshape(-1)
    if x.ndim > 2 or few > MOST_CHANNELS or many < SAMPLES_PER_CHANNEL * few:
        raise AudioError(
            f"an array of shape {x.shape} is not plainly one recording; expected (samples,), or up to {MOST_CHANNELS} "
            "channels as (samples, channels) or (channels, samples); pass the recordings of a batch one by one"
        )
    with np.errstate(all="ignore"):
        return x.mean(axis=x.shape.index(few))


def joined(blocks: list[np.ndarray], name: str) -> np.ndarray:
    """One array of all blocks. Raises AudioError if there is nothing in it; gives an InputWarning if it is too loud."""
    if not blocks:
        raise AudioError(f"{name}: is empty; there is no sound in it")
    samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    peak = max(-float(samples.min()), float(samples.max()))
    if peak > LOUD:
        warnings.warn(
            f"{name}: the samples reach {peak:.4g}, where -1 to 1 is expected; integers kept as floats have to be "
            "divided by their range",
            InputWarning,
            stacklevel=3,
        )
    return samples
