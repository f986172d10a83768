"""From inputs to recordings: each heard as a stream of segments, what cannot be heard as a Failure among the rest.

Nothing here knows of terminals or exit codes (`cli` does). `batch.py` runs many side by side, `formats` writes them
down, `resume.py` remembers what is done.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from threading import Event
from typing import NamedTuple

import numpy as np

from .. import audio
from ..audio.pipe import raw_blocks
from ..errors import AudioError
from ..features import WINDOW_MS, frame_geometry
from ..longform.options import StreamOptions
from ..longform.segment import Recording, Segment
from ..longform.stream import segments_of
from ..model import S2T
from .inputs import Failure, Input, name_of
from .pool import completed, stoppable

Listener = Callable[[Input, Segment], None]


class RawSamples(NamedTuple):
    """Sound without a header."""

    rate: int  # Hz
    encoding: str = "s16le"  # one of audio_pipe.ENCODINGS
    channels: int = 1


class Task(NamedTuple):
    """What to do with every recording."""

    model: S2T
    options: StreamOptions
    generation: dict  # as in S2T.generate
    raw: RawSamples | None = None  # what the inputs are, if they have no header to say so


class Sound:
    """The blocks (n,) of one recording, handed on and counted."""

    def __init__(self, blocks: Iterable[np.ndarray], rate: int):
        """`rate`: in Hz."""
        self.blocks, self.rate, self.samples = blocks, rate, 0

    @property
    def duration(self) -> float:
        """Seconds handed on so far."""
        return self.samples / self.rate

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raises AudioError where all of it together is less than the model's shortest window."""
        for block in self.blocks:
            self.samples += len(block)
            yield block
        if self.samples < frame_geometry(self.rate)[0]:
            raise AudioError(f"is {1000 * self.duration:.3g} ms long, expected at least {WINDOW_MS} ms")


def blocks_of(task: Task, item: Input) -> Iterator[np.ndarray]:
    """The blocks (n,) of one input at the model's rate. Raises AudioError, OptionError."""
    rate, raw = task.model.feature_config.sampling_rate, task.raw
    if raw is None:
        return audio.blocks(item.path, rate)
    return audio.blocks(raw_blocks(item.path, raw.encoding, raw.channels), rate, raw.rate)


def listen(task: Task, item: Input) -> tuple[Sound, Iterator[Segment]]:
    """The sound of one input, and its segments, each as it closes.

    What is damaged or cut short gives the segments there are, and an InputWarning. Raises AudioError, OptionError.
    """
    rate = task.model.feature_config.sampling_rate
    sound = Sound(audio.forgiven(blocks_of(task, item)), rate)
    return sound, segments_of(task.model, iter(sound), audio.is_live(item.path), task.options, task.generation)


def hear(task: Task, item: Input, listener: Listener) -> Recording:
    """One input as a whole; `listener` is told of each segment. Raises AudioError, OptionError."""
    heard: list[Segment] = []
    sound, segments = listen(task, item)
    for segment in segments:
        heard.append(segment)
        listener(item, segment)
    return Recording(item.path, tuple(heard), sound.duration)


def failure(item: Input, error: AudioError | MemoryError) -> Failure:
    """What is wrong with a recording, as a result."""
    name = name_of(item.path)
    if isinstance(error, MemoryError):
        return Failure(name, "not enough memory for this recording")
    return Failure(name, str(error).removeprefix(f"{name}: "))


def attempt(task: Task, listener: Listener, item: Input) -> Recording | Failure:
    """One input; what is wrong with the recording itself comes back as a Failure. Raises OptionError."""
    try:
        return hear(task, item, listener)
    except (AudioError, MemoryError) as error:
        return failure(item, error)


def transcribe_all(
    task: Task, inputs: Sequence[Input], jobs: int = 1, listener: Listener = lambda *_: None
) -> Iterator[tuple[int, Recording | Failure]]:
    """Every input, `jobs` at a time: (its index, its recording or failure) as it is done.

    `batch.in_order` puts them in order. Raises OptionError.
    """
    stop = Event()
    quick = task._replace(model=stoppable(task.model, stop))
    return completed(partial(attempt, quick, listener), inputs, jobs, stop)
