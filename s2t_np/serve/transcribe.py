"""One upload, on a worker thread: segments as they close, then the recording."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .. import audio
from ..batch.run import CountedBlocks
from ..longform.options import StreamOptions
from ..longform.segment import Recording
from ..longform.stream import segments_of, utterances_of
from ..model import S2T
from ..together import Sharing, ordered
from .desk import Emit
from .parameters import Wanted
from .refusals import Refusal, is_of_this_machine, refusal_of
from .settings import Limits


class Hearer(NamedTuple):
    """The model, and how many segments of one recording it decodes together."""

    model: S2T
    width: int


def bounded(blocks: Iterable[np.ndarray], rate: int, limits: Limits) -> Iterator[np.ndarray]:
    """The same blocks (n,). Raises Refusal where they are longer than the server takes."""
    samples = 0
    for block in blocks:
        samples += len(block)
        if samples > limits.max_duration * rate:
            raise Refusal(
                413, f"file: the recording is longer than {limits.max_duration:g} s", "file", "audio_too_long"
            )
        yield block


def from_disk(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same blocks (n,). Raises Refusal where the server cannot read on, so that no part passes for the whole."""
    try:
        yield from blocks
    except audio.AudioError as error:
        if is_of_this_machine(error):
            raise refusal_of(error) from error
        raise


def transcribe(
    hearer: Hearer, file, wanted: Wanted, options: StreamOptions, generation: dict, limits: Limits, emit: Emit
) -> Recording:
    """Hear a binary file object; `emit` gets each segment. Raises Refusal."""
    model, generation = hearer.model, generation | dict(wanted.generation)
    rate, name = model.feature_config.sampling_rate, audio.name_of(file)
    sound = CountedBlocks(bounded(from_disk(audio.blocks(file, rate)), rate, limits), rate, name)
    options = replace(options, word_timestamps=options.word_timestamps or wanted.words)
    heard = []
    try:
        utterances = utterances_of(model, iter(sound), False, options, generation)
        results = ordered(utterances, model.step_together, Sharing(hearer.width))
        for segment in segments_of(results, model.tokenizer, options):
            heard.append(segment)
            emit(segment)
    except (audio.AudioError, MemoryError) as error:
        raise refusal_of(error, name) from error
    return Recording("", tuple(heard), sound.duration, sound.incomplete)
