"""Pages of the explorer: made of a recording on request, kept for a while under a name that cannot be guessed.

The explorer needs the readable backend; the same model is loaded once more with it when the first page is asked for. A
kept page may ask about its recording (inspect/explorer/questions.py), without a key: its name is one. Little is kept
with it for the answers: the samples and the text, from which numbers are computed once more.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import NamedTuple

import numpy as np

from .. import audio
from ..backend import choose
from ..errors import AudioError
from ..inspect.experiments import Subject, traced_subject
from ..inspect.explorer import STAGES, Asked, page
from ..inspect.explorer.questions import Questions
from ..inspect.explorer.search import words_of
from ..inspect.trace import again, trace
from ..inspect.trace.plan import check_arrangement
from ..loading import load_folder
from ..model import S2T
from ..search import Hypothesis
from ..together import cancellable
from ..training.saliency import explaining
from .cancelling import cancellable_model
from .desk import Stop
from .refusals import Refusal, is_of_this_machine, refusal_of

KEPT, KEPT_SECONDS = 8, 600.0  # pages of 3 to 15 MB each, since they were last asked for
MOST_NUMBERS = 100_000_000  # bytes of arrays computed for one question
QUESTIONS = ("experiment", "numbers", "gradient")


class Follower(NamedTuple):
    """The readable model as one job uses it."""

    model: S2T  # raises Cancelled at its next call of the backend once no client waits
    check: Callable[[], None]  # does the same


class Kept(NamedTuple):
    """A page, and what its questions are about."""

    html: str
    samples: np.ndarray  # (N,)
    subject: Subject
    best: Hypothesis
    words: tuple[list[int], ...]  # the places of their tokens


class Explorer:
    """The pages of one model."""

    def __init__(self, model: S2T):
        self.served, self.lock = model, threading.Lock()
        self.readable = model if model.backend.name == "numpy" else None
        self.pages: OrderedDict[str, tuple[float, Kept]] = OrderedDict()

    def follower(self, stop: Stop) -> Follower:
        """The model as one job uses it. Raises OptionError for one that cannot be followed."""
        return Follower(cancellable_model(self.model(), stop), cancellable(lambda: None, stop))

    def model(self) -> S2T:
        """The model with the readable backend. Raises OptionError for one that cannot be followed."""
        check_arrangement(self.served)  # an ensemble has the folder of its first model, which is not all of it
        with self.lock:
            if self.readable is None:
                self.readable = load_folder(self.served.folder, choose("numpy", "float32"), np.float32)
            return self.readable

    def make(self, file, generation: dict, name: str, follower: Follower) -> Kept:
        """The page of the recording in a binary file object, to be kept under a name. Raises Refusal."""
        model, samples = follower.model, self.samples_of(file)
        seen = trace(model, samples, STAGES, sampling_rate=model.feature_config.sampling_rate, **generation)
        follower.check()
        html = page(seen, model, Asked(f"{name}/", not model.config.unlike_released(), False))
        words = tuple(word["tokens"] for word in words_of(seen, model.tokenizer))
        return Kept(html, samples, traced_subject(model, seen, **generation), seen.transcript.hypotheses[0], words)

    def samples_of(self, file) -> np.ndarray:
        """The samples (N,) of a recording of at most one utterance. Raises Refusal."""
        rate, longest = self.served.feature_config.sampling_rate, self.served.utterance_config.longest_utterance
        try:
            blocks, failure = audio.take_until(audio.blocks(file, rate), longest * rate)
            if failure and (not blocks or is_of_this_machine(failure)):
                raise failure
            samples = audio.concat(blocks, "the recording")
        except AudioError as error:
            raise refusal_of(error, audio.name_of(file)) from error
        if len(samples) > longest * rate:
            raise Refusal(413, f"a page shows one utterance of at most {longest:g} s; send a part", "file")
        return samples

    def answer(self, kept: Kept, question: str, data, follower: Follower) -> dict:
        """The answer to what a kept page asks. Raises OptionError, Refusal."""
        subject = replace(kept.subject, model=follower.model)
        stages = partial(again, follower.model, kept.samples, subject.tokens, limit=MOST_NUMBERS)
        gradients = explaining(follower.model, subject.features, kept.best, follower.check)
        return Questions(subject, kept.words, stages, gradients).answers()[question](data)

    def keep(self, name: str, kept: Kept) -> None:
        """A page is kept."""
        with self.lock:
            self.pages[name] = monotonic(), kept
            while len(self.pages) > KEPT:
                self.pages.popitem(last=False)

    def find(self, name: str) -> Kept:
        """The page of that name, which is kept on from now. Raises Refusal."""
        with self.lock:
            made, kept = self.pages.pop(name, (-KEPT_SECONDS, None))
            if kept is None or monotonic() - made > KEPT_SECONDS:
                raise Refusal(404, "this page is not kept any longer; make it again")
            self.pages[name] = monotonic(), kept
        return kept


def new_name() -> str:
    """A name that cannot be guessed."""
    return secrets.token_urlsafe(24)
