"""From a file or an array to float32 samples: mono, at the model's rate, about -1 to 1.

    load         a path, "-", a file object, the bytes of a file, or an array
      read         files: their headers put right (audio_headers.py), decoded by libsndfile block by block
      from_array   arrays: integers scaled by their range, floats as they are
    both           channels mixed by mean, checked, brought to the model's rate (resample.py)

No length is believed that a header claims: reading goes on until nothing more comes. What is damaged or cut short gives
the sound that is there and one InputWarning; what gives no sound at all is an AudioError.
"""

import contextlib
import ctypes
import functools
import io
import math
import numbers
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator

import numpy as np

from . import audio_headers
from .errors import AudioError, InputWarning
from .resample import resample

BLOCK = 1 << 17  # samples read at a time, over all channels
COPY_BYTES = 1 << 20  # read at a time from a pipe
SPOOL_BYTES = 1 << 25  # a pipe's content is held in memory up to here, then in a temporary file
LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000  # Hz; a header outside of it is wrong
MOST_CHANNELS = 8  # of a 2-D array
SAMPLES_PER_CHANNEL = 16  # at least this many times as long as it has channels, or a 2-D array is no recording
LOUD = 1.5  # floats are meant to lie in [-1, 1]; decoders overshoot a little
ABSURD = 2.0**31  # more than any integer format could mean


def load(audio, model_rate: int, sampling_rate: float | None = None) -> np.ndarray:
    """Anything that holds sound -> (N,) float32 at `model_rate` (Hz).

    `audio` is a path, "-" for standard input, a binary file object, the bytes of a file, or an array (N,),
    (N, channels) or (channels, N) recorded at `sampling_rate`; a file knows its own. Raises AudioError.
    """
    if isinstance(audio, bytes | bytearray):
        audio = io.BytesIO(audio)
    if isinstance(audio, str | os.PathLike) or hasattr(audio, "read"):
        return read(audio, model_rate)
    return from_array(audio, sampling_rate, model_rate)


def read(source, sampling_rate: int) -> np.ndarray:
    """Decode a file: a path, "-" for standard input, or a binary file object -> (N,) float32 at `sampling_rate` (Hz).

    A file object that can seek is read from its beginning. Raises AudioError for what is no recording, has no sound,
    or holds numbers that are not finite; gives an InputWarning for what is damaged, cut short or too loud.
    """
    with opened(source) as (file, name):
        found = audio_headers.parts(audio_headers.Source(file, name))
        blocks: list[np.ndarray] = []
        for part in found:
            try:
                blocks += decode(part, sampling_rate, name)
            except AudioError as error:
                if not blocks:
                    raise
                part.note = f"breaks off ({error})"
    note = next((part.note for part in found if part.note), None)
    if note and blocks:
        warnings.warn(f"{name}: {note}", InputWarning, stacklevel=2)
    return joined(blocks, name, note)


def from_array(samples, sampling_rate: float | None, model_rate: int) -> np.ndarray:
    """Samples in memory, recorded at `sampling_rate` (Hz) -> (N,) float32 at `model_rate`; may share their memory.

    (N,), or (N, channels) or (channels, N) where it is plain which is which. Floats are taken as they are, integers
    divided by their range (int16 by 32768; uint8 as (x - 128) / 128). Anything with `__array__` will do. Raises
    AudioError.
    """
    rate = usable_rate(sampling_rate, model_rate, "the array")
    x = mixed(scaled(as_numbers(samples)))
    check_samples(x, 0, "the array")
    return joined(list(resample([x.astype(np.float32, copy=False)], rate, model_rate)), "the array")


# ---- files


@contextlib.contextmanager
def opened(source) -> Iterator[tuple]:
    """(a binary file that can seek, its name for messages) for a path, "-" or a file object. Raises AudioError."""
    with contextlib.ExitStack() as stack:
        name = "standard input" if source == "-" and isinstance(source, str) else name_of(source)
        try:
            file = binary_file(source, stack)
            if not isinstance(file.read(0), bytes):
                raise AudioError(f'{name}: is a text file object, expected a binary one: open(..., "rb")')
            if not getattr(file, "seekable", lambda: hasattr(file, "seek"))():
                file = stack.enter_context(spooled(file))
        except AudioError:
            raise
        except Exception as error:  # OSError, and whatever a caller's own file object raises
            raise AudioError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
        try:
            yield file, name
        except MemoryError as error:
            raise AudioError(f"{name}: is too long for the memory of this machine; cut it into pieces") from error


def name_of(source) -> str:
    """What to call it in messages."""
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "the file object"


def binary_file(source, stack: contextlib.ExitStack):
    """Open what has to be opened; `stack` closes it again."""
    if source == "-" and isinstance(source, str):
        return sys.stdin.buffer
    if isinstance(source, str | os.PathLike):
        return stack.enter_context(open(source, "rb"))
    return source


def spooled(file):
    """A copy of what a pipe has to give that can seek: in memory while it is small, then on disk."""
    copy = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - the caller closes it
    while block := file.read(COPY_BYTES):
        copy.write(block)
    return copy


@functools.cache
def stream_class():
    """soundfile.SoundFile that only goes forward, made when first needed. Raises AudioError without soundfile."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, its library libsndfile is not
        raise AudioError(f"reading files needs the package soundfile ({error}): pip install soundfile") from error

    class Stream(soundfile.SoundFile):
        """After each block soundfile seeks to where it already is, which fails in streams of unknown length."""

        def seekable(self) -> bool:
            return False

    return Stream, soundfile.SoundFileError


def decode(part: audio_headers.Part, model_rate: int, name: str) -> list[np.ndarray]:
    """The sound of one part as mono blocks at the model's rate. Raises AudioError; sets `part.note`."""
    stream, failure = stream_class()
    try:
        with silenced(part.noisy), stream(part) as sound:
            rate = usable_rate(sound.samplerate, model_rate, name)
            blocks = list(resample(mono_blocks(sound, part, name), rate, model_rate))
    except failure as error:
        if part.error:
            raise part.error from None
        if part.size == 0:
            raise AudioError(f"{name}: is empty") from None
        raise AudioError(
            f"{name}: is not a recording that can be read ({reason(error)}); expected WAV, FLAC, OGG, MP3 or another "
            "format that libsndfile knows"
        ) from error
    if part.error:
        raise part.error
    return blocks


def mono_blocks(sound, part: audio_headers.Part, name: str) -> Iterator[np.ndarray]:
    """Blocks of (up to BLOCK // channels,) float32, channels mixed by mean, until no more sound comes."""
    channels = sound.channels
    block = np.empty((max(1, BLOCK // channels), channels), np.float32)
    share = np.full(channels, 1 / channels, np.float32)
    total, count = 0, 1
    while count:
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


# ---- arrays


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


# ---- both


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


def joined(blocks: list[np.ndarray], name: str, note: str | None = None) -> np.ndarray:
    """One array of all blocks. Raises AudioError if there is nothing in it; gives an InputWarning if it is too loud."""
    if not blocks:
        raise AudioError(f"{name}: {note or 'is empty'}; there is no sound in it")
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
