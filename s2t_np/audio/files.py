"""From a file to blocks of float32 samples: mono, at the model's rate; memory does not grow with its length.

containers/ says which bytes are sound, decoding.py decodes them by libsndfile, ffmpeg.py what that does not know;
mixing.py and resampling.py bring them into shape. No
length is believed that a header claims: reading goes on until nothing more comes.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

from ..errors import AudioError, IncompleteAudioError
from . import containers
from .containers.source import ways_to_fail
from .decoding import UnknownFormatError, decode, sound_of
from .ffmpeg import ffmpeg_blocks, has_ffmpeg, is_for_ffmpeg
from .ffmpeg import rate_and_channels as told_by_ffmpeg
from .remote import RemoteFile, is_url, name_in_messages
from .selection import EVERYTHING, Selection

MOST_RESUMED = 1000  # times that decoding goes on after damage
COPY_BYTES = 1 << 20  # read at a time from a pipe
SPOOL_BYTES = 1 << 25  # a pipe's content is held in memory up to here, then in a temporary file


def file_blocks(file, name: str, model_rate: int, selection: Selection = EVERYTHING) -> Iterator[np.ndarray]:
    """A binary file that can seek, from its beginning -> blocks (n,) float32 at `model_rate` (Hz).

    Raises AudioError for what is not a recording; IncompleteAudioError, after all the sound there is, for what is
    damaged or cut short.
    """
    source = containers.Source(file, name)
    if is_for_ffmpeg(source, selection):
        yield from ffmpeg_blocks(source, model_rate, selection)
        return
    try:
        yield from libsndfile_blocks(source, model_rate, selection.channel)
    except UnknownFormatError:
        if not has_ffmpeg():
            raise
        yield from ffmpeg_blocks(source, model_rate, selection)


def libsndfile_blocks(source: containers.Source, model_rate: int, channel: int | str) -> Iterator[np.ndarray]:
    """The same for the formats that libsndfile knows. Raises UnknownFormatError, before any block, for another one."""
    found, name = containers.parts(source), source.name
    samples, left = 0, MOST_RESUMED
    for part in found:
        try:
            for block in decode(part, model_rate, name, channel):
                samples += len(block)
                yield block
        except AudioError as error:
            if part is found[0]:
                raise
            part.note = f"breaks off ({error})"
        if part.note and part.resume and left and (rest := part.resume(part.decoded)):
            found.insert(found.index(part) + 1, rest)
            left -= 1
    if note := next((part.note for part in found if part.note), None):
        there = f"{samples / model_rate:.2f} s of sound could be read" if samples else "there is no sound in it"
        raise IncompleteAudioError(f"{name}: {note}; {there}")


def rate_and_channels(file, name: str, stream: int | None = None) -> tuple[float, int]:
    """The sampling rate (Hz) and the number of channels of a binary file that can seek, or of one of its audio streams.

    Raises AudioError.
    """
    source = containers.Source(file, name)
    if is_for_ffmpeg(source, Selection(stream=stream)):
        return told_by_ffmpeg(source, stream)
    try:
        with sound_of(containers.parts(source)[0], name) as sound:
            return sound.samplerate, sound.channels
    except UnknownFormatError:
        if not has_ffmpeg():
            raise
        return told_by_ffmpeg(source, stream)


@contextlib.contextmanager
def opened(source) -> Iterator[tuple]:
    """(a binary file, its name for messages) for a path, "-" or a file object. Raises AudioError."""
    with contextlib.ExitStack() as stack:
        name = name_of(source)
        failing = (Exception,) if is_url(source) else ways_to_fail(source)
        try:
            file = binary_file(source, stack)
            if not isinstance(file.read(0), bytes):
                raise AudioError(f'{name}: is a text file object, expected a binary one: open(..., "rb")')
        except AudioError:
            raise
        except failing as error:
            raise unreadable(name, error) from error
        try:
            yield file, name
        except MemoryError as error:
            raise AudioError(f"{name}: is too long for the memory of this machine; cut it into pieces") from error


def unreadable(name: str, error: Exception) -> AudioError:
    """Return what an error of the operating system, or of a caller's own file object, becomes."""
    return AudioError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})")


def can_seek(file) -> bool:
    """Return whether one can go back in it; a pipe cannot."""
    return getattr(file, "seekable", lambda: hasattr(file, "seek"))()


def name_of(source) -> str:
    """Return what to call it in messages."""
    if isinstance(source, str) and source == "-":
        return "standard input"
    if isinstance(source, str | os.PathLike):
        return name_in_messages(source) if is_url(source) else os.fsdecode(source)
    name = getattr(source, "name", None)
    if isinstance(name, str):
        return name
    return "the file object" if hasattr(source, "read") or isinstance(source, bytes | bytearray) else "the array"


def binary_file(source, stack: contextlib.ExitStack):
    """Open what has to be opened; `stack` closes it again."""
    if source == "-" and isinstance(source, str):
        return sys.stdin.buffer
    if is_url(source):
        return stack.enter_context(RemoteFile(source))
    if isinstance(source, str | os.PathLike):
        return stack.enter_context(open(source, "rb"))
    return source


def spooled(file, name: str):
    """A copy of what a pipe has to give that can seek: in memory while it is small, then on disk. Raises AudioError."""
    copy = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        while block := file.read(COPY_BYTES):
            copy.write(block)
    except ways_to_fail(file) as error:
        copy.close()
        raise unreadable(name, error) from error
    return copy
