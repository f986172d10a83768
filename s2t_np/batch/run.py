"""From inputs to recordings: each heard as a stream of segments; one that cannot be heard is a Failure among the rest.

Nothing here knows of terminals or exit codes (`cli` does).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from threading import Event
from typing import NamedTuple

import numpy as np

from .. import audio
from ..audio.raw import raw_blocks
from ..errors import AudioError, IncompleteAudioError
from ..features import WINDOW_MS, frame_geometry
from ..longform.options import StreamOptions
from ..longform.placing import in_time, placed
from ..longform.segment import Recording, Segment
from ..longform.stream import segments_of
from ..model import S2T
from .items import Failure, Input
from .pool import cancellable, imap_unordered

Listener = Callable[[Input, Segment], None]


class RawSamples(NamedTuple):
    """The rate, channels and encoding of samples without a header."""

    rate: int  # Hz
    encoding: str = "s16le"  # a key of audio.raw.ENCODINGS
    channels: int = 1


class Task(NamedTuple):
    """The work to do on every recording."""

    model: S2T
    options: StreamOptions
    generation: dict  # as in S2T.generate
    raw: RawSamples | None = None  # if the inputs have no header


class CountedBlocks:
    """The blocks (n,) of one recording, handed on and counted."""

    def __init__(self, blocks: Iterable[np.ndarray], rate: int, name: str):
        """`rate`: in Hz; `name`: what the errors of `blocks` begin with."""
        self.blocks, self.rate, self.name, self.samples = blocks, rate, name, 0
        self.incomplete: str | None = None  # after the last block: why there should have been more

    @property
    def duration(self) -> float:
        """Seconds handed on so far."""
        return self.samples / self.rate

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raises AudioError where all of it together is shorter than the model's window."""
        try:
            for block in self.blocks:
                self.samples += len(block)
                yield block
        except IncompleteAudioError as error:
            if not self.samples:
                raise
            self.incomplete = str(error).removeprefix(f"{self.name}: ")
        if self.samples < frame_geometry(self.rate)[0]:
            raise AudioError(f"is {1000 * self.duration:.3g} ms long, expected at least {WINDOW_MS} ms")


def blocks_of(task: Task, item: Input) -> Iterator[np.ndarray]:
    """The blocks (n,) of one input at the model's rate. Raises AudioError, OptionError."""
    rate, raw = task.model.feature_config.sampling_rate, task.raw
    if raw is None:
        return audio.blocks(item.path, rate, selection=item.selection)
    samples = raw_blocks(item.path, raw.encoding, raw.channels, item.selection.channel)
    return audio.clipped(audio.blocks(samples, rate, raw.rate), rate, item.selection, audio.name_of(item.path))


class CountedChannels(NamedTuple):
    """The sounds of several channels of one recording; the same face as CountedBlocks."""

    sounds: list[CountedBlocks]

    @property
    def duration(self) -> float:
        """Seconds handed on so far."""
        return max(sound.duration for sound in self.sounds)

    @property
    def incomplete(self) -> str | None:
        """After the last block: why there should have been more."""
        return next((sound.incomplete for sound in self.sounds if sound.incomplete), None)


Sound = CountedBlocks | CountedChannels


def each_channel(task: Task, item: Input) -> list[Input]:
    """The input once for every channel that it has. Raises AudioError."""
    count = task.raw.channels if task.raw else audio.channel_count(item.path, item.selection.stream)
    return [item._replace(selection=replace(item.selection, channel=channel)) for channel in range(1, count + 1)]


def listen(task: Task, item: Input) -> tuple[Sound, Iterator[Segment]]:
    """The sound of one input, and its segments, each as it closes; those of several channels in the order of time.

    A recording that is damaged or cut short gives the segments there are; then `incomplete` of its sound says why.
    Raises AudioError, OptionError.
    """
    if item.selection.channel == audio.EACH:
        each = [listen(task, one) for one in each_channel(task, item)]
        return CountedChannels([sound for sound, _ in each]), in_time([segments for _, segments in each])
    rate = task.model.feature_config.sampling_rate
    sound = CountedBlocks(blocks_of(task, item), rate, audio.name_of(item.path))
    segments = segments_of(task.model, iter(sound), audio.is_live(item.path), task.options, task.generation)
    return sound, placed(segments, item.selection)


def hear(task: Task, item: Input, listener: Listener) -> Recording:
    """One input as a whole; `listener` is called with each segment. Raises AudioError, OptionError."""
    heard: list[Segment] = []
    sound, segments = listen(task, item)
    for segment in segments:
        heard.append(segment)
        listener(item, segment)
    return Recording(item.path, tuple(heard), sound.duration, sound.incomplete, item.selection.start)


def failure(item: Input, error: AudioError | MemoryError) -> Failure:
    """The result of an input that cannot be heard."""
    name = audio.name_of(item.path)
    if isinstance(error, MemoryError):
        return Failure(name, "not enough memory for this recording")
    return Failure(name, str(error).removeprefix(f"{name}: "))


def attempt(task: Task, listener: Listener, item: Input) -> Recording | Failure:
    """One input; an error of the recording itself is returned as a Failure. Raises OptionError."""
    try:
        return hear(task, item, listener)
    except (AudioError, MemoryError) as error:
        return failure(item, error)


def transcribe_all(
    task: Task, inputs: Sequence[Input], jobs: int = 1, listener: Listener = lambda *_: None
) -> Iterator[tuple[int, Recording | Failure]]:
    """Every input, `jobs` at a time: (its index, its recording or failure) as it is done.

    A recording that is damaged or cut short has the text there is, and `incomplete` says why. `pool.in_order` sorts
    the results. Raises OptionError.
    """
    cancel = Event()
    quick = task._replace(model=cancellable(task.model, cancel))
    return imap_unordered(partial(attempt, quick, listener), inputs, jobs, cancel)
