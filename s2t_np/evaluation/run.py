"""Run a model over the utterances of a corpus and compare its transcripts with the references."""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from operator import length_hint

from ..batch.inputs import Failure, Input
from ..batch.run import failure
from ..config import UtteranceConfig
from ..errors import AudioError
from ..longform.options import StreamOptions
from ..longform.recording import OpenRecording, begun
from ..longform.transcript import Hearing, hear_features
from ..model import S2T
from ..search import Asking
from ..together import ALONE, Sharing, by_group
from .corpus import Utterance
from .report import Outcome, compare
from .stored import normalized, recording_of_features, sound_of, stored_features

LONGEST = 60.0  # seconds of an utterance; LibriSpeech's reach 35, and the published figures are of uncut ones


def utterance_options(model: S2T) -> StreamOptions:
    """How the recordings of a corpus are heard: up to LONGEST uncut, unless the model states that it knows less."""
    known = model.utterance_config.longest_utterance
    return StreamOptions(max_whole_duration=LONGEST if known >= UtteranceConfig().longest_utterance else known)


class Tested(Hearing):
    """An utterance of a corpus on its way to an Outcome."""

    def __init__(self, model: S2T, utterance: Utterance, generation: dict):
        """Its recording is read when it joins those that run."""
        options = utterance_options(model).resolve(model.utterance_config)
        super().__init__(model, partial(read_utterance, model, utterance, options), options, generation)
        self.utterance = utterance

    def utterances(self) -> Iterator[Asking]:
        """The whole recording, or its pieces, or its features where the corpus holds those. Raises AudioError."""
        features = stored_features(self.utterance)
        if features is None:
            yield from super().utterances()
            return
        self.recording = recording_of_features(self.model, features)
        features = normalized(self.model, features, str(self.utterance.audio))
        yield hear_features(self.model, features, self.recording, self.options, self.generation)

    def outcome(self, results: Iterable, normalization: str, started: float) -> Outcome | Failure:
        """The transcript compared with the reference; a recording that cannot be read becomes a Failure.

        `started`: when the outcome before it was there, by time.perf_counter. Raises OptionError.
        """
        try:
            heard = self.transcript(results)
        except (AudioError, MemoryError) as error:
            return failure(Input(str(self.utterance.audio), self.utterance.id), error)
        return compare(self.utterance, heard.text, normalization, heard.duration, time.perf_counter() - started)


def read_utterance(model: S2T, utterance: Utterance, options: StreamOptions) -> OpenRecording:
    """One recording, or a part of one. Raises AudioError, also for an incomplete one."""
    rate = model.feature_config.sampling_rate
    return begun(sound_of(utterance, rate), rate, options, model.backend.vad, str(utterance.audio))


def evaluate_all(
    model: S2T,
    utterances: Iterable[Utterance],
    normalization: str = "case",
    sharing: Sharing = ALONE,
    **generation,
) -> Iterator[Outcome | Failure]:
    """The outcome or failure of every utterance, in order, each as soon as it and those before it are there.

    normalization: a key of NORMALIZERS; `sharing` as S2T.sharing gives it; `generation` as in S2T.generate. The
    seconds of an outcome are those since the one before, so that their sum is that of the whole. Raises OptionError.
    """
    tested = (Tested(model, utterance, generation) for utterance in utterances)
    started = time.perf_counter()
    for one, results in by_group(tested, model.step_together, sharing, length_hint(utterances)):
        yield one.outcome(results, normalization, started)
        started = time.perf_counter()
