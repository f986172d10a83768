"""A recording that is being read: whole if it is short enough to be one utterance, else block by block."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from .. import audio
from ..audio import EVERYTHING, Selection
from .options import StreamOptions
from .stream import has_speech
from .vad_ops import VadOps


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
    ops: VadOps,
    selection: Selection = EVERYTHING,
) -> OpenRecording:
    """Read `sound` (as in `audio.blocks`) up to `options.max_whole_duration` and look for speech if that is all of it.

    Only what `selection` chooses counts.
    `options` are resolved, so they hold numbers. Raises AudioError; gives an InputWarning for a recording that is
    damaged or cut short.
    """
    source = str(sound) if isinstance(sound, str | Path) else None
    blocks = audio.warn_if_truncated(audio.blocks(sound, model_rate, sampling_rate, selection))
    return replace(begun(blocks, model_rate, options, ops, audio.name_of(sound)), source=source, selection=selection)


def begun(blocks: Iterator[np.ndarray], rate: int, options: StreamOptions, ops: VadOps, name: str) -> OpenRecording:
    """The same of blocks (n,) of mono sound at the model's rate; `name` begins what is said of them. Raises AudioError.

    Beyond the first `options.max_whole_duration` seconds, blocks are not held.
    """
    longest = options.max_whole_duration * rate
    head, failure = audio.take_until(blocks, longest)
    if failure:
        raise failure
    if sum(map(len, head)) > longest:
        return OpenRecording(rate, None, None, chain(head, blocks))
    whole = audio.concat(head, name)
    return OpenRecording(rate, None, whole, iter(()), len(whole), has_speech(whole, rate, options, ops))
