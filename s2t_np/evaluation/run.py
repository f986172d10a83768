"""Every utterance of a corpus through the model, compared with what was said."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event

from .. import audio
from ..batch.inputs import Failure, Input
from ..batch.pool import cancellable, imap_unordered
from ..batch.run import failure
from ..errors import AudioError
from ..model import S2T
from .corpus import Utterance
from .report import Outcome, compare

LONGEST = 60  # s that are heard in one piece


def hear(model: S2T, path: Path, generation: dict) -> tuple[str, float]:
    """Text and seconds of one recording, which is not cut as `transcribe` would: corpora are made of utterances.

    LibriSpeech's reach 35 s, and the published figures are of whole ones. Raises AudioError, OptionError.
    """
    rate = model.feature_config.sampling_rate
    samples = audio.load(path, rate)
    if len(samples) > LONGEST * rate:
        return model.transcribe(samples, rate, **generation).text, len(samples) / rate
    best = model.generate(model.features_of_samples(samples), **generation)[0]
    return model.tokenizer.decode(best.tokens), len(samples) / rate


def evaluate_one(model: S2T, normalization: str, generation: dict, utterance: Utterance) -> Outcome | Failure:
    """One utterance; what is wrong with its recording comes back as a Failure. Raises OptionError."""
    started = time.perf_counter()
    try:
        text, duration = hear(model, utterance.audio, generation)
    except (AudioError, MemoryError) as error:
        return failure(Input(str(utterance.audio), utterance.id), error)
    seconds = time.perf_counter() - started
    return compare(utterance, text, normalization, duration, seconds)


def evaluate_all(
    model: S2T, utterances: Sequence[Utterance], normalization: str = "case", jobs: int = 1, **generation
) -> Iterator[tuple[int, Outcome | Failure]]:
    """(index, outcome or failure) of every utterance as it is done, `jobs` at a time.

    normalization: a key of NORMALIZERS; `generation` as in S2T.generate. Raises OptionError.
    """
    stop = Event()
    work = partial(evaluate_one, cancellable(model, stop), normalization, generation)
    return imap_unordered(work, utterances, jobs, stop)
