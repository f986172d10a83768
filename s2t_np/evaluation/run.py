"""Run a model over the utterances of a corpus and compare its transcripts with the references."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event

from .. import audio
from ..batch.inputs import Failure, Input
from ..batch.pool import cancellable, imap_unordered
from ..batch.run import failure
from ..config import UtteranceConfig
from ..errors import AudioError
from ..longform.options import StreamOptions
from ..model import S2T, Transcript
from .corpus import Utterance
from .report import Outcome, compare

LONGEST = 60.0  # seconds of an utterance; LibriSpeech's reach 35, and the published figures are of uncut ones


def utterance_options(model: S2T) -> StreamOptions:
    """How the recordings of a corpus are heard: up to LONGEST uncut, unless the model states that it knows less."""
    known = model.utterance_config.longest_utterance
    return StreamOptions(max_whole_duration=LONGEST if known >= UtteranceConfig().longest_utterance else known)


def transcribe_utterance(model: S2T, path: Path, generation: dict) -> Transcript:
    """The transcript of one recording. Raises AudioError, also for an incomplete recording, and OptionError."""
    rate = model.feature_config.sampling_rate
    samples = audio.concat(list(audio.blocks(path, rate)), str(path))
    return model.transcribe(samples, rate, utterance_options(model), **generation)


def evaluate_one(model: S2T, normalization: str, generation: dict, utterance: Utterance) -> Outcome | Failure:
    """One utterance; a recording that cannot be read becomes a Failure. Raises OptionError."""
    started = time.perf_counter()
    try:
        heard = transcribe_utterance(model, utterance.audio, generation)
    except (AudioError, MemoryError) as error:
        return failure(Input(str(utterance.audio), utterance.id), error)
    seconds = time.perf_counter() - started
    return compare(utterance, heard.text, normalization, heard.duration, seconds)


def evaluate_all(
    model: S2T, utterances: Sequence[Utterance], normalization: str = "case", jobs: int = 1, **generation
) -> Iterator[tuple[int, Outcome | Failure]]:
    """Yield (index, outcome or failure) of every utterance as it is done, `jobs` at a time.

    normalization: a key of NORMALIZERS; `generation` as in S2T.generate. Raises OptionError.
    """
    stop = Event()
    work = partial(evaluate_one, cancellable(model, stop), normalization, generation)
    return imap_unordered(work, utterances, jobs, stop)
