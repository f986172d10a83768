"""From inputs to recordings: each heard as a stream of segments; one that cannot be heard is a Failure among the rest.

Nothing here knows of terminals or exit codes (`cli` does).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from .. import audio
from ..audio.raw import raw_blocks
from ..errors import AudioError, IncompleteAudioError, ReadingError
from ..features import WINDOW_MS, frame_geometry
from ..longform.options import StreamOptions
from ..longform.partial import OnPartial
from ..longform.placing import in_time, placed
from ..longform.segment import Recording, Segment
from ..longform.stream import segments_of, utterances_of
from ..model import S2T
from ..search import Asking
from ..together import ALONE, Sharing, by_group, ordered
from .items import Failure, Input, Unread
from .manifests import source_of

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
    sharing: Sharing = ALONE
    on_partial: OnPartial | None = None  # called with the words so far of an open segment


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
            kind = Unread if isinstance(error.__cause__, ReadingError) else str
            self.incomplete = kind(str(error).removeprefix(f"{self.name}: "))
        if self.samples < frame_geometry(self.rate)[0]:
            raise AudioError(f"is {1000 * self.duration:.3g} ms long, expected at least {WINDOW_MS} ms")


def blocks_of(task: Task, item: Input) -> Iterator[np.ndarray]:
    """The blocks (n,) of one input at the model's rate; it is opened for the first. Raises AudioError, OptionError."""
    rate, raw = task.model.feature_config.sampling_rate, task.raw
    if raw is None:
        source, selection = source_of(item.path, item.piece, item.selection)
        yield from audio.blocks(source, rate, selection=selection)
    else:
        samples = raw_blocks(item.path, raw.encoding, raw.channels, item.selection.channel)
        name = audio.name_of(item.path)
        yield from audio.clipped(audio.blocks(samples, rate, raw.rate), rate, item.selection, name)


class Listening:
    """One input on its way to a Recording: a group of utterances (together.Group), and what becomes of them.

    A recording that is damaged or cut short gives the segments there are; then `incomplete` of its sound says why.
    """

    def __init__(self, task: Task, item: Input):
        """Nothing is opened before the first utterance is asked for."""
        rate, name = task.model.feature_config.sampling_rate, audio.name_of(item.path)
        self.task, self.item, self.sound = task, item, CountedBlocks(blocks_of(task, item), rate, name)

    def utterances(self) -> Iterator[Asking]:
        """The whole recording, or its pieces. Raises AudioError, OptionError."""
        live, task = audio.is_live(self.item.path), self.task
        yield from utterances_of(task.model, iter(self.sound), live, task.options, task.generation, task.on_partial)

    def segments(self, heard: Iterable) -> Iterator[Segment]:
        """The segments, each as it closes. Raises what the utterances raise."""
        return placed(segments_of(heard, self.task.model.tokenizer, self.task.options), self.item.selection)

    def recording(self, heard: Iterable, listener: Listener) -> Recording:
        """The input as a whole; `listener` is called with each segment. Raises AudioError, OptionError."""
        segments = []
        for segment in self.segments(heard):
            segments.append(segment)
            listener(self.item, segment)
        begin = self.item.selection.start
        return Recording(self.item.path, tuple(segments), self.sound.duration, self.sound.incomplete, begin)


class CountedChannels(NamedTuple):
    """The sounds of several channels of one recording; the same face as CountedBlocks."""

    sounds: list[CountedBlocks]

    @property
    def duration(self) -> float:
        """Seconds handed on so far."""
        return max((sound.duration for sound in self.sounds), default=0.0)

    @property
    def incomplete(self) -> str | None:
        """After the last block: why there should have been more."""
        return next((sound.incomplete for sound in self.sounds if sound.incomplete), None)


Sound = CountedBlocks | CountedChannels


class ListeningToEach(Listening):
    """The same for a recording of which every channel is heard: one Listening after the other."""

    def __init__(self, task: Task, item: Input):
        """Nothing is opened before the first utterance is asked for."""
        self.task, self.item, self.sound = task, item, CountedChannels([])
        self.channels: list[Listening] = []

    def utterances(self) -> Iterator[Asking]:
        """Those of each channel, with its number. Raises AudioError, OptionError."""
        for number, one in enumerate(each_channel(self.task, self.item)):
            self.channels.append(Listening(self.task, one))
            self.sound.sounds.append(self.channels[number].sound)
            yield from (numbered(utterance, number) for utterance in self.channels[number].utterances())

    def segments(self, heard: Iterable) -> Iterator[Segment]:
        """The segments of all channels in the order of time, when all are there."""
        by_channel = groupby(heard, key=itemgetter(0))
        return in_time([list(self.channels[n].segments(one for _, one in own)) for n, own in by_channel])


def numbered(utterance: Asking, number: int) -> Asking:
    """An utterance whose result is (number, its result)."""
    return number, (yield from utterance)


def each_channel(task: Task, item: Input) -> list[Input]:
    """The input once for every channel that it has. Raises AudioError."""
    count = task.raw.channels if task.raw else audio.channel_count(item.path, item.selection.stream)
    return [item._replace(selection=replace(item.selection, channel=channel)) for channel in range(1, count + 1)]


def listening_to(task: Task, item: Input) -> Listening:
    """One input, of which one channel is heard, or each."""
    return (ListeningToEach if item.selection.channel == audio.EACH else Listening)(task, item)


def listen(task: Task, item: Input) -> tuple[Sound, Iterator[Segment]]:
    """The sound of one input, and its segments, each as it closes; those of a live one are decoded one by one.

    The segments of several channels come in the order of time. Raises AudioError, OptionError.
    """
    if item.selection.channel == audio.EACH:
        each = [listen(task, one) for one in each_channel(task, item)]
        return CountedChannels([sound for sound, _ in each]), in_time([segments for _, segments in each])
    one_by_one = task.on_partial is not None or audio.is_live(item.path)
    listening, sharing = Listening(task, item), ALONE if one_by_one else task.sharing
    heard = ordered(listening.utterances(), task.model.step_together, sharing)
    return listening.sound, listening.segments(heard)


def failure(item: Input, error: AudioError | MemoryError) -> Failure:
    """The result of an input that cannot be heard."""
    name = audio.name_of(item.path)
    if isinstance(error, MemoryError):
        return Failure(name, "not enough memory for this recording")
    return Failure(name, str(error).removeprefix(f"{name}: "))


def attempt(listening: Listening, heard: Iterable, listener: Listener) -> Recording | Failure:
    """One input; an error of the recording itself is returned as a Failure. Raises OptionError."""
    try:
        return listening.recording(heard, listener)
    except (AudioError, MemoryError) as error:
        return failure(listening.item, error)


def transcribe_all(
    task: Task, inputs: Sequence[Input], listener: Listener = lambda *_: None
) -> Iterator[Recording | Failure]:
    """Every input's recording or failure, in order, each as soon as it and those before it are there.

    Utterances of one recording or of several are decoded together. A recording that is damaged or cut short has
    the text there is, and `incomplete` says why. Raises OptionError.
    """
    listenings = (listening_to(task, item) for item in inputs)
    for listening, heard in by_group(listenings, task.model.step_together, task.sharing, len(inputs)):
        yield attempt(listening, heard, listener)
