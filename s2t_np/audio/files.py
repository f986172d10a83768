"""From a file to blocks of float32 samples: mono, at the model's rate; memory does not grow with its length.

The headers are put right (audio_headers.py), libsndfile decodes, channels are mixed by mean, every sample is checked.
No length is believed that a header claims: reading goes on until nothing more comes.
"""

import contextlib
import ctypes
import functools
import math
import numbers
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

import numpy as np

from ..errors import AudioError, IncompleteAudioError
from . import headers
from .resampling import resample

BLOCK = 1 << 17  # samples read at a time, over all channels
COPY_BYTES = 1 << 20  # read at a time from a pipe
SPOOL_BYTES = 1 << 25  # a pipe's content is held in memory up to here, then in a temporary file
LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000  # Hz; a header outside of it is wrong
ABSURD = 2.0**31  # more than any integer format could mean


def file_blocks(file, name: str, model_rate: int) -> Iterator[np.ndarray]:
    """A binary file that can seek, from its beginning -> blocks (n,) float32 at `model_rate` (Hz).

    Raises AudioError for what is no recording; IncompleteAudioError, after all the sound there is, for what is damaged
    or cut short.
    """
    found = headers.parts(headers.Source(file, name))
    samples = 0
    for part in found:
        try:
            for block in decode(part, model_rate, name):
                samples += len(block)
                yield block
        except AudioError as error:
            if part is found[0]:
                raise
            part.note = f"breaks off ({error})"
    if note := next((part.note for part in found if part.note), None):
        after = f"{note}; there is no sound in it" if samples == 0 else f"{note}, after {samples / model_rate:.2f} s"
        raise IncompleteAudioError(f"{name}: {after}")


@contextlib.contextmanager
def opened(source) -> Iterator[tuple]:
    """(a binary file, its name for messages) for a path, "-" or a file object. Raises AudioError."""
    with contextlib.ExitStack() as stack:
        name = name_of(source)
        try:
            file = binary_file(source, stack)
            if not isinstance(file.read(0), bytes):
                raise AudioError(f'{name}: is a text file object, expected a binary one: open(..., "rb")')
        except AudioError:
            raise
        except Exception as error:  # OSError, and whatever a caller's own file object raises
            raise unreadable(name, error) from error
        try:
            yield file, name
        except MemoryError as error:
            raise AudioError(f"{name}: is too long for the memory of this machine; cut it into pieces") from error


def unreadable(name: str, error: Exception) -> AudioError:
    """What an error of the operating system, or of a caller's own file object, becomes."""
    return AudioError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})")


def can_seek(file) -> bool:
    """Whether one can go back in it; a pipe cannot."""
    return getattr(file, "seekable", lambda: hasattr(file, "seek"))()


def name_of(source) -> str:
    """What to call it in messages."""
    if isinstance(source, str) and source == "-":
        return "standard input"
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    name = getattr(source, "name", None)
    if isinstance(name, str):
        return name
    return "the file object" if hasattr(source, "read") or isinstance(source, bytes | bytearray) else "the array"


def binary_file(source, stack: contextlib.ExitStack):
    """Open what has to be opened; `stack` closes it again."""
    if source == "-" and isinstance(source, str):
        return sys.stdin.buffer
    if isinstance(source, str | os.PathLike):
        return stack.enter_context(open(source, "rb"))
    return source


def spooled(file, name: str):
    """A copy of what a pipe has to give that can seek: in memory while it is small, then on disk. Raises AudioError."""
    copy = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        while block := file.read(COPY_BYTES):
            copy.write(block)
    except Exception as error:  # as in `opened`
        copy.close()
        raise unreadable(name, error) from error
    return copy


@functools.cache
def stream_class():
    """soundfile.SoundFile that only goes forward, made when first needed. Raises AudioError without soundfile."""
    try:
        import soundfile
    except ImportError as error:
        raise AudioError(f"reading files needs the package soundfile ({error}): pip install soundfile") from error
    except OSError as error:
        raise AudioError(
            f"soundfile is installed, but its library libsndfile is not ({error}): apt install libsndfile1, "
            "apk add libsndfile or brew install libsndfile"
        ) from error

    class Stream(soundfile.SoundFile):
        """After each block soundfile seeks to where it already is, which fails in streams of unknown length."""

        def seekable(self) -> bool:
            return False

    return Stream, soundfile.SoundFileError


@contextlib.contextmanager
def sound_of(part: headers.Part, name: str) -> Iterator:
    """One part as libsndfile opens it. Raises AudioError."""
    stream, failure = stream_class()
    try:
        with silenced(part.noisy):
            sound = stream(part)
    except failure as error:
        if part.error:
            raise part.error from None
        if part.size == 0:
            raise AudioError(f"{name}: is empty") from None
        raise AudioError(
            f"{name}: is not a recording that can be read ({reason(error)}); expected WAV, FLAC, OGG, MP3 or another "
            "format that libsndfile knows"
        ) from error
    try:
        yield sound
    finally:
        with silenced(part.noisy):
            sound.close()


def decode(part: headers.Part, model_rate: int, name: str) -> Iterator[np.ndarray]:
    """The sound of one part as mono blocks at the model's rate. Raises AudioError; sets `part.note`."""
    with sound_of(part, name) as sound:
        rate = usable_rate(sound.samplerate, model_rate, name)
        yield from resample(mono_blocks(sound, part, name), rate, model_rate)
    if part.error:
        raise part.error


def mono_blocks(sound, part: headers.Part, name: str) -> Iterator[np.ndarray]:
    """Blocks of (up to BLOCK // channels,) float32, channels mixed by mean, until no more sound comes."""
    channels = sound.channels
    block = np.empty((max(1, BLOCK // channels), channels), np.float32)
    share = np.full(channels, 1 / channels, np.float32)
    total, count = 0, 1
    while count:
        with silenced(part.noisy):
            count, failure = read_block(sound, block)
        with np.errstate(all="ignore"):
            mono = block[:count] @ share
        check_samples(mono, total, name)
        total += count
        if failure and (part.frames is None or total < part.frames):
            part.note = f"is damaged or cut short after {total / sound.samplerate:.2f} s ({failure})"
        if count:
            yield mono
    if part.frames and total < part.frames and not part.note:
        part.note = f"is cut short: its header promises {part.frames} samples, {total} are there"


def read_block(sound, block: np.ndarray) -> tuple[int, str | None]:
    """Fill `block` (frames, channels) as far as there is sound -> how many frames, and what went wrong if it did."""
    _, failure = stream_class()
    block.fill(np.nan)  # still there, after an error, where nothing was decoded
    try:
        return len(sound.read(out=block)), None
    except failure as error:
        decoded = np.flatnonzero(~np.isnan(block).any(axis=1))
        return int(decoded[-1]) + 1 if len(decoded) else 0, reason(error)


def reason(error: Exception) -> str:
    """libsndfile's own words, without the name it gives to our file object."""
    return getattr(error, "error_string", str(error)).removeprefix("Error : ").strip(" .")


_silence = threading.Lock()


@contextlib.contextmanager
def silenced(descriptors: tuple[int, ...]) -> Iterator[None]:
    """Turn away what C code writes to these file descriptors: 1 is standard output, 2 standard error.

    The MP3 decoder comments on what it meets, others on what is damaged, with no way to ask them not to. Python's own
    `sys.stderr` writes to the same descriptor, so only one thread at a time does this, and only where it is needed.
    """
    open_at_start = {1: sys.__stdout__, 2: sys.__stderr__}  # None: the number may by now be that of the recording
    wanted = [descriptor for descriptor in descriptors if open_at_start[descriptor] is not None]
    if not wanted:
        yield
        return
    with _silence, contextlib.ExitStack() as stack, open(os.devnull, "wb") as null:
        flush_c()  # what was written before is not ours to turn away
        for descriptor in wanted:
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(null.fileno(), descriptor)
        stack.callback(flush_c)  # the first callback to run: what C still holds in its buffers goes the same way
        yield


def flush_c() -> None:
    """Have C's standard library write out its buffers, where it can be reached."""
    with contextlib.suppress(OSError, TypeError, AttributeError):  # Windows has no such library under this name
        ctypes.CDLL(None).fflush(None)


def usable_rate(rate, model_rate: int, name: str) -> int | float:
    """A sampling rate in Hz as a Python number. Raises AudioError."""
    if rate is None:
        raise AudioError(f"{name}: pass sampling_rate=, the number of samples per second it was recorded with")
    real = isinstance(rate, numbers.Real) and not isinstance(rate, bool | np.bool) and math.isfinite(rate)
    if not real or not (rate == model_rate or LOWEST_RATE <= rate <= HIGHEST_RATE):
        raise AudioError(
            f"{name}: the sampling rate is {rate!r:.40}, expected {LOWEST_RATE} to {HIGHEST_RATE} samples per second"
        )
    return int(rate) if rate == int(rate) else float(rate)


def check_samples(x: np.ndarray, offset: int, name: str) -> None:
    """Raise AudioError for the first of the samples (N,) that is no number or beyond all measure."""
    if len(x) == 0 or -ABSURD <= x.min() <= x.max() <= ABSURD:  # false for NaN too
        return
    bad = int(np.flatnonzero(~(np.abs(x) <= ABSURD))[0])
    raise AudioError(f"{name}: sample {offset + bad} is {x[bad]}, expected numbers from -1 to 1")
