"""The forms in which a feature extractor takes sound, one recording or several.

Besides samples, upstream's only form: paths, bytes and file objects; the records of `datasets`, which are dicts of
array and sampling_rate or of bytes and path; its decoders, which have `get_all_samples`; gradio's (rate, array).
"""

import os
from typing import Any, NamedTuple

import numpy as np

from .. import audio
from ..errors import OptionError
from .batch import as_list

MOST_CHANNELS = 8
SAMPLES_PER_CHANNEL = 100


class Recording(NamedTuple):
    """A recording, and its sampling rate (Hz) where that came with samples; files have their own."""

    sound: Any
    rate: int | None = None

    @property
    def has_rate(self) -> bool:
        """Return whether its rate is known without being told."""
        return self.rate is not None or audio.is_file(self.sound)


def recordings(raw_speech) -> list[Recording]:
    """One recording or several -> a list of them. Raises OptionError."""
    raw_speech = as_list(raw_speech)
    if is_one(raw_speech):
        return [as_recording(raw_speech)]
    if not isinstance(raw_speech, list | tuple):
        check_shape(raw_speech)
    rows = list(raw_speech)
    if not rows:
        raise OptionError("audio is an empty list, expected at least one recording")
    return [as_recording(row) for row in rows]


def is_one(raw_speech) -> bool:
    """Return whether it is a single recording rather than several."""
    if hasattr(raw_speech, "keys") or audio.is_file(raw_speech) or hasattr(raw_speech, "get_all_samples"):
        return True
    if isinstance(raw_speech, list | tuple):
        return is_rate_and_samples(raw_speech) or (len(raw_speech) > 0 and np.ndim(first(raw_speech)) == 0)
    return getattr(raw_speech, "ndim", 1) < 2 and np.dtype(object) != getattr(raw_speech, "dtype", None)


def first(rows):
    """The first entry, as something whose number of axes tells a sample from a recording."""
    row = rows[0]
    several = hasattr(row, "keys") or hasattr(row, "get_all_samples") or audio.is_file(row)
    return [0] if several or (isinstance(row, list | tuple)) else row


def is_rate_and_samples(pair) -> bool:
    """Return whether it is gradio's (rate, array)."""
    return len(pair) == 2 and isinstance(pair[0], int | np.integer) and getattr(pair[1], "ndim", 0) > 0


def check_shape(batch) -> None:
    """Raise OptionError for an array that is not (recordings, samples)."""
    shape = tuple(batch.shape)
    if len(shape) > 2:
        raise OptionError(f"audio has shape {shape}, expected (samples,) or (recordings, samples)")
    if len(shape) == 2 and shape[1] <= MOST_CHANNELS and shape[0] >= SAMPLES_PER_CHANNEL * shape[1]:
        raise OptionError(
            f"audio has shape {shape}, which looks like (samples, channels), expected (samples,) or (recordings, "
            "samples); mix it to mono first, for example by audio.mean(axis=1)"
        )


def as_recording(item) -> Recording:
    """One recording in any of the forms. Raises OptionError."""
    if hasattr(item, "get_all_samples"):
        samples = item.get_all_samples()
        return Recording(np.asarray(samples.data), int(samples.sample_rate))
    if isinstance(item, list | tuple) and is_rate_and_samples(item):
        return Recording(item[1], int(item[0]))
    return from_record(item) if hasattr(item, "keys") else Recording(item)


def from_record(record) -> Recording:
    """A dict of samples, of a file's bytes, or of its path. Raises OptionError."""
    if record.get("array") is not None and record.get("sampling_rate") is not None:
        return Recording(record["array"], int(record["sampling_rate"]))
    if isinstance(record.get("bytes"), bytes | bytearray | memoryview):
        return Recording(bytes(record["bytes"]))
    if isinstance(record.get("path"), str | os.PathLike):
        return Recording(record["path"])
    found = ", ".join(map(str, record))
    raise OptionError(f"a record of {found:.80} is not a sound; expected array and sampling_rate, or bytes, or path")
