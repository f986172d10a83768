"""From a file or an array to float32 samples: mono, at the model's rate, about -1 to 1.

    load       a path, "-", a file object, the bytes of a file, or an array -> one array
    blocks     the same, and iterators of arrays -> block after block, for what is long or has no end yet
      files    containers/ finds the sound in them, libsndfile decodes it (decoding.py), or FFmpeg (ffmpeg.py); pipes
               of plain samples are read as they come (pipe.py)
      remote   files at an address, through fsspec (remote.py)
      arrays   integers scaled by their range, floats as they are (arrays.py)
    all        channels mixed (mixing.py), or one of them (selection.py), checked, brought to the model's rate
               (resampling.py), and cut to the stretch that is meant

What is damaged or cut short gives the sound that is there: `load` then gives an InputWarning, `blocks` ends in an
IncompleteAudioError. What gives no sound at all is an AudioError.
"""

import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import AudioError, IncompleteAudioError, InputWarning, ReadingError
from ..system import memory
from ..system.atomic_files import is_device
from .arrays import as_numbers, checked, oriented, samples_of
from .checks import usable_rate
from .ffmpeg import has_ffmpeg as has_ffmpeg
from .files import can_seek, file_blocks, incomplete_where_reading_fails, name_of, opened
from .files import rate_and_channels as told_by_file
from .kinds import FFMPEG_SUFFIXES as FFMPEG_SUFFIXES
from .kinds import describe_format as describe_format
from .pipe import blocks_of_copy, pipe_blocks
from .remote import is_url as is_url
from .resampling import resample
from .selection import EACH as EACH
from .selection import EVERYTHING, Selection, clipped

LIVE = 1 << 10  # samples of an iterator that are resampled at a time: at most 0.13 s of delay, from 8 kHz
LOUD = 1.5  # floats are meant to lie in [-1, 1]; decoders overshoot a little


def load(audio, model_rate: int, sampling_rate: float | None = None) -> np.ndarray:
    """Anything that holds sound -> (N,) float32 at `model_rate` (Hz).

    `audio` is a path, an address (https://...), "-" for standard input, a binary file object, the bytes of a file, or
    an array (N,), (N, channels) or (channels, N) recorded at `sampling_rate`; a file knows its own. Raises AudioError.
    """
    if is_file(audio):
        return read(audio, model_rate)
    return from_array(audio, sampling_rate, model_rate)


def blocks(
    audio, model_rate: int, sampling_rate: float | None = None, selection: Selection = EVERYTHING
) -> Iterator[np.ndarray]:
    """The same sound, and the same numbers, block by block: (n,) float32 at `model_rate`.

    `audio` may also be an iterator of arrays, (n,) each, recorded at `sampling_rate`: a microphone's, for instance.
    `selection` says which channel and which stretch of it. Raises AudioError; IncompleteAudioError after all blocks
    that could be had.
    """
    sound = all_blocks(audio, model_rate, sampling_rate, selection)
    return clipped(sound, model_rate, selection, name_of(audio)) if selection.is_clip else sound


def all_blocks(audio, model_rate: int, sampling_rate: float | None, selection: Selection) -> Iterator[np.ndarray]:
    """The same from beginning to end. Raises AudioError."""
    if is_file(audio):
        return read_blocks(audio, model_rate, selection)
    if isinstance(audio, Iterator):
        rate = usable_rate(sampling_rate, model_rate, "the iterator")
        return resample(checked(audio, selection.channel), rate, model_rate, LIVE)
    x, rate = samples_of(audio, sampling_rate, model_rate, selection.channel)
    return resample(x, rate, model_rate)


def channel_count(audio, stream: int | None = None) -> int:
    """The number of channels of a file that can be read again, or of an array. Raises AudioError."""
    if not is_file(audio):
        return oriented(as_numbers(audio)).shape[1]
    return rate_and_channels(audio, stream)[1]


def sampling_rate_of(audio) -> float:
    """The sampling rate of a file that can be read again, in Hz. Raises AudioError."""
    return rate_and_channels(audio)[0]


def rate_and_channels(audio, stream: int | None = None) -> tuple[float, int]:
    """The sampling rate (Hz) and the number of channels of a file that can be read again. Raises AudioError."""
    with opened(io.BytesIO(audio) if isinstance(audio, bytes | bytearray) else audio) as (file, name):
        if not can_seek(file):
            raise AudioError(f"{name}: a pipe is read only once, so that one channel of it can be heard: choose which")
        return told_by_file(file, name, stream)


def is_file(audio) -> bool:
    """Return whether it is something to read from, rather than samples."""
    return isinstance(audio, str | os.PathLike | bytes | bytearray) or hasattr(audio, "read")


def read(source, sampling_rate: int) -> np.ndarray:
    """Decode a file: a path, "-", a binary file object, or a file's bytes -> (N,) float32 at `sampling_rate` (Hz).

    A file object that can seek is read from its beginning. Raises AudioError for what is not a recording, has no sound,
    or holds numbers that are not finite; gives an InputWarning for what is damaged, cut short or too loud.
    """
    name = name_of(source)
    return concat(list(held(warn_if_truncated(read_blocks(source, sampling_rate)), name)), name)


def read_blocks(source, model_rate: int, selection: Selection = EVERYTHING) -> Iterator[np.ndarray]:
    """A file's sound, block by block. Raises AudioError."""
    with opened(io.BytesIO(source) if isinstance(source, bytes | bytearray) else source) as (file, name):
        if not can_seek(file):
            yield from incomplete_where_reading_fails(pipe_blocks(file, name, model_rate, selection))
            return
        try:
            yield from incomplete_where_reading_fails(file_blocks(file, name, model_rate, selection))
        except ReadingError:  # before any sound: headers are looked for up to the end of a file
            file.seek(0)
            yield from incomplete_where_reading_fails(blocks_of_copy(file, name, model_rate, selection))


def is_live(audio) -> bool:
    """Return whether its sound may still be in the making: an iterator, or a file that cannot seek."""
    if isinstance(audio, str) and audio == "-":
        return not can_seek(sys.stdin.buffer)
    if isinstance(audio, str | os.PathLike):
        return is_device(audio)
    return not can_seek(audio) if hasattr(audio, "read") else isinstance(audio, Iterator)


def held(sound: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """The same blocks, for one who keeps them all and joins them. Raises AudioError before the memory is gone."""
    total = asked = 0
    for block in sound:
        total += block.nbytes
        if total - asked > memory.UNASKED:
            asked = total
            if short := memory.lacking(total):
                raise AudioError(f"{name}: is too long to be held whole: it needs {short}; stream() reads it in blocks")
        yield block


def take_until(sound: Iterator[np.ndarray], samples: float) -> tuple[list[np.ndarray], AudioError | None]:
    """Blocks until they hold more than `samples` samples, and the error in which they end, if they do."""
    head, total = [], 0
    try:
        sound = held(sound, "the recording")
        while total <= samples and (block := next(sound, None)) is not None:
            head.append(block)
            total += len(block)
    except AudioError as error:
        return head, error
    return head, None


def warn_if_truncated(sound: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same blocks; that a recording is incomplete becomes an InputWarning, unless there is no sound in it."""
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
    return concat(list(resample(x, rate, model_rate)), "the array")


def concat(blocks: list[np.ndarray], name: str) -> np.ndarray:
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
