"""One part of a recording -> blocks of float32 samples, mono, at the model's rate. libsndfile decodes."""

import contextlib
from collections.abc import Iterator

import numpy as np

from ..errors import AudioError, ReadingError
from ..system.signals import raised_again
from . import decoder, process
from .checks import check_samples, usable_rate
from .containers import Part
from .kinds import described, other_kind
from .mixing import mono
from .seeking import EXACT, resampled_from, silence, to_pass_over, without_first
from .selection import MIX

BLOCK = 1 << 17  # samples read at a time, over all channels


class UnknownFormatError(AudioError):
    """libsndfile does not know the format; another decoder may."""


class LocalSound:
    """A part as libsndfile reads it in this process, by functions that it calls.

    An interrupt in one of those would be lost, in soundfile's lines as in `Part`'s, and the sound seem to end.
    """

    def __init__(self, part: Part):
        stream, failure = libsndfile()
        self.part, self.errors, self.refused, self.stream = part, 0, None, None
        try:
            with raised_again():
                self.stream = stream(part)
        except failure as error:
            self.refused = decoder.reason(error)
            return
        self.samplerate, self.channels = self.stream.samplerate, self.stream.channels

    def seek(self, frames: int) -> int:
        """Go on at that frame, if the samples from there are the same then -> the frame that comes next."""
        if self.stream.subtype not in EXACT or not 0 < frames < self.stream.frames:
            return 0
        stream, failure = libsndfile()
        try:
            with raised_again():
                return self.stream.seek(frames)
        except failure:  # damaged, or shorter than it says: what can be heard of it is found from its beginning
            self.stream.close()
            self.part.position = 0
            with raised_again():
                self.stream = stream(self.part)
            return 0

    def read_into(self, block: np.ndarray) -> tuple[int, str | None]:
        """As decoder.read_into, for a block (frames, channels)."""
        block.fill(np.nan)
        with raised_again():
            return decoder.read_into(self.stream, block)


def libsndfile():
    """decoder.stream_class(). Raises AudioError that says what to install."""
    try:
        return decoder.stream_class()
    except ImportError as error:
        raise AudioError(f"reading files needs the package soundfile ({error}): pip install soundfile") from error
    except OSError as error:
        raise AudioError(
            f"reading files needs the library libsndfile, which the package soundfile does not find ({error}): install "
            "it with apt install libsndfile1, apk add libsndfile, dnf install libsndfile or brew install libsndfile; "
            "without it, WAV files of plain samples can be read through a pipe: cat talk.wav | s2t-np transcribe -"
        ) from error


def decode(
    part: Part, model_rate: int, name: str, channel: int | str = MIX, start: float = 0.0
) -> Iterator[np.ndarray]:
    """The sound of one part, blocks (n,), its channels mixed or one of them; well before `start` seconds come zeros.

    Raises AudioError; sets `part.note` where sound is missing.
    """
    with sound_of(part, name) as sound:
        rate = usable_rate(sound.samplerate, model_rate, name)
        passed = to_pass_over(start, rate, model_rate)
        at = sound.seek(passed)
        blocks = without_first(frames_of(sound, part, at), passed - at)
        yield from resampled_from(passed, checked(mono(blocks, name, channel), name), rate, model_rate)
        if 0 < part.decoded <= passed:
            yield silence(part.decoded, rate, model_rate)
    if part.error:
        raise part.error
    if part.shrunk and not part.note:
        part.note = "became shorter while it was read"


@contextlib.contextmanager
def sound_of(part: Part, name: str) -> Iterator:
    """One part, opened. Raises AudioError."""
    libsndfile()  # not there: say so, and start no process for it
    with contextlib.ExitStack() as stack:
        apart = stack.enter_context(process.process()) if part.apart else None
        try:
            sound = process.RemoteSound(apart, part) if apart else LocalSound(part)
        except process.DecoderDiedError as error:
            raise died(error, name) or AudioError(f"{name}: is not a recording that can be read ({error})") from error
        if sound.refused:
            raise refusal(part, name, sound.refused)
        if isinstance(sound, LocalSound):
            stack.enter_context(sound.stream)
        yield sound


def died(error: process.DecoderDiedError, name: str) -> ReadingError | None:
    """Return what the end of a decoder becomes if the recording is not to blame."""
    return ReadingError(f"{name}: cannot be read ({error})") if error.was_killed else None


def refusal(part: Part, name: str, words: str) -> BaseException:
    """Why libsndfile did not open a part."""
    if part.error:
        return part.error
    if part.shrunk:
        return AudioError(f"{name}: became shorter while it was read; there is no sound left in it")
    if part.size == 0:
        return AudioError(f"{name}: is empty")
    position, part.position = part.position, 0
    head, part.position = part.read(4096), position
    if found := described(head, name):
        return (AudioError if other_kind(head) else UnknownFormatError)(f"{name}: {found}")
    return UnknownFormatError(
        f"{name}: is not a recording that can be read ({words}); expected WAV, FLAC, OGG, MP3 or another format that "
        "libsndfile knows, or FFmpeg with PyAV (pip install av)"
    )


def frames_of(sound, part: Part, at: int = 0) -> Iterator[np.ndarray]:
    """Blocks of (up to BLOCK // channels, channels) float32 until no more sound comes; sets `part.note`.

    `at`: the number of the frame that comes first.
    """
    frames = max(1, BLOCK // sound.channels)
    total, count, excused = at, 1, part.excused
    while count:
        errors = max(sound.errors, excused)
        count, failure, block = read_block(sound, frames, part.source.name)
        if sound.errors > errors and not part.note:
            part.note = f"is damaged about {total / sound.samplerate:.1f} s in: MPEG frames cannot be decoded"
        total = part.decoded = total + count
        if failure and (part.frames is None or total < part.frames):
            part.note = f"is damaged or cut short after {total / sound.samplerate:.2f} s ({failure})"
        if count:
            yield block
        if part.shrunk:  # what decoders of blocks give from now on is silence
            break
    if part.frames and total < part.frames and not part.note:
        part.note = f"is cut short: its header promises {part.frames} samples, {total} are there"


def read_block(sound, frames: int, name: str) -> tuple[int, str | None, np.ndarray]:
    """As many frames as come, at most `frames` -> how many, what went wrong if something did, (n, C) float32.

    Raises ReadingError where the decoder was killed.
    """
    block = np.empty((frames, sound.channels), np.float32)
    try:
        count, failure = sound.read_into(block)
    except process.DecoderDiedError as error:
        if killed := died(error, name):
            raise killed from error
        return 0, str(error), block[:0]
    if count < 0:
        decoded = np.flatnonzero(~np.isnan(block).any(axis=1))
        count = int(decoded[-1]) + 1 if len(decoded) else 0
    return count, failure, block[:count]


def checked(blocks: Iterator[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """The same blocks. Raises AudioError for the first sample that is NaN or implausibly large."""
    total = 0
    for block in blocks:
        check_samples(block, total, name)
        total += len(block)
        yield block
