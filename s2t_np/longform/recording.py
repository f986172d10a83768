"""A recording that is being read: whole if it is short enough to be one utterance, else block by block."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from .. import audio
from ..audio import EVERYTHING, Selection
from .options import StreamOptions
from .stream import has_speech


@dataclass
class OpenRecording:
    """Mono sound at the model's rate, of which the beginning has been read."""

    sampling_rate: int  # Hz
    source: str | None  # the file, if it is one
    whole: np.ndarray | None  # (N,) float32, if the recording is short enough to be one utterance
    rest: Iterator[np.ndarray]  # else: its blocks (n,), from the beginning
    samples: int = 0  # read so far
    has_speech: bool = True  # the answer of the detector about `whole`
    selection: Selection = EVERYTHING  # the part of the recording that this is

    def __iter__(self) -> Iterator[np.ndarray]:
        """The blocks of a recording that is too long to be one utterance."""
        for block in self.rest:
            self.samples += len(block)
            yield block

    @property
    def duration(self) -> float:
        """Seconds of sound read so far; of all of it, once everything is read."""
        return self.samples / self.sampling_rate


def open_recording(
    sound,
    model_rate: int,
    sampling_rate: float | None,
    options: StreamOptions,
    selection: Selection = EVERYTHING,
) -> OpenRecording:
    """Read `sound` (as in `audio.blocks`) up to `options.max_whole_duration` and look for speech if that is all of it.

    Only what `selection` chooses counts.
    `options` are resolved, so they hold numbers. Raises AudioError; gives an InputWarning for a recording that is
    damaged or cut short.
    """
    source = str(sound) if isinstance(sound, str | Path) else None
    blocks = audio.warn_if_truncated(audio.blocks(sound, model_rate, sampling_rate, selection))
    longest = options.max_whole_duration * model_rate
    head, failure = audio.take_until(blocks, longest)
    if failure:
        raise failure
    if sum(map(len, head)) > longest:
        return OpenRecording(model_rate, source, None, chain(head, blocks), selection=selection)
    whole = audio.concat(head, audio.name_of(sound))
    return OpenRecording(model_rate, source, whole, iter(()), len(whole), has_speech(whole, model_rate, options))
