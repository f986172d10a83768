"""The merit of a model while it learns: its loss and its word error rate on recordings it does not learn from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..backend import Backend
from ..evaluation import align, count_errors
from ..evaluation.distance import Errors
from ..evaluation.text import NORMALIZERS
from ..model import S2T
from ..weights import build
from .data import Example, cut
from .derivatives.network import make_batch
from .learner import Learner
from .store import FeatureStore

TOKENS_PER_LABEL = 2  # a hypothesis may be this many times as long as its reference, and MARGIN tokens more
MARGIN = 10


class Validation(NamedTuple):
    """The figures of one validation; without an utterance to decode, `wer` is None."""

    nll: float  # mean over the tokens (natural logarithm)
    wer: float | None  # share of words

    @property
    def merit(self) -> tuple[float, float]:
        """The figures to sort by: the lowest is the best."""
        return (self.wer if self.wer is not None else 0.0), self.nll


def mean_nll(learner: Learner, store: FeatureStore, examples: Sequence[Example]) -> float:
    """The loss per token without noise and without label smoothing."""
    nll, tokens = 0.0, 0
    order = sorted(range(len(examples)), key=lambda i: examples[i].frames)
    for batch in cut(order, [e.frames for e in examples], learner.recipe.max_tokens):
        pairs = [(store.get(examples[i].audio), examples[i].labels) for i in batch]
        found = learner.loss(make_batch(pairs, learner.config))
        nll, tokens = nll + found.nll, tokens + found.tokens
    return nll / tokens


def model_of(learner: Learner, model: S2T, backend: Backend) -> S2T:
    """The model as it is now, to transcribe with: `model` gives everything but the weights."""
    tensors = {name: np.array(tensor) for name, tensor in learner.model_tensors.items()}
    weights = backend.ops.prepare(build(tensors, model.config, str(model.folder)))
    return replace(model, weights=weights, backend=backend)


def word_errors(model: S2T, store: FeatureStore, examples: Sequence[Example], lang: str | None = None) -> Errors:
    """The word errors of greedy transcripts, in the language `lang` of a model that writes several."""
    total, upper = Errors(), NORMALIZERS["case"]
    for example in examples:
        most = 1 + MARGIN + TOKENS_PER_LABEL * len(example.labels)
        options = {"num_beams": 1, "max_length": min(most, model.config.max_target_positions)}
        found = model.generate(store.get(example.audio), lang=lang, **options)[0]
        text = model.tokenizer.decode(found.tokens)
        total += count_errors(align(upper(example.text).split(), upper(text).split()))
    return total
