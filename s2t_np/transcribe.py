"""From inputs to recordings: each heard as a stream of segments, what cannot be heard as a Failure among the rest.

Nothing here knows of terminals or exit codes (`cli` does). `batch.py` runs many side by side, `formats` writes them
down, `resume.py` remembers what is done.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from threading import Event
from typing import NamedTuple

from .batch import completed, stoppable
from .errors import AudioError
from .inputs import Failure, Input, name_of
from .model import S2T
from .segment import Recording, Segment
from .stream import StreamOptions, stream

Listener = Callable[[Input, Segment], None]


class Task(NamedTuple):
    """What to do with every recording."""

    model: S2T
    options: StreamOptions
    generation: dict  # as in S2T.generate


def stream_of(task: Task, item: Input) -> Generator[Segment, None, float]:
    """The segments of one input as they close; returns its duration (s). Raises AudioError, OptionError."""
    return stream(task.model, item.path, options=task.options, **task.generation)


def hear(task: Task, item: Input, listener: Listener) -> Recording:
    """One input as a whole; `listener` is told of each segment. Raises AudioError, OptionError."""
    heard: list[Segment] = []
    with closing(stream_of(task, item)) as segments:
        while True:
            try:
                heard.append(next(segments))
            except StopIteration as end:
                return Recording(item.path, tuple(heard), end.value)
            listener(item, heard[-1])


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
