"""Several models that write one text: an ensemble, which averages the probabilities of the next token.

Each model makes a memory of its own of the same features, and has a cache of its own. To every other room the ensemble
is a model; its memory is a tuple of theirs. Its settings are those of the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from . import search
from .errors import ModelError, OptionError
from .model import S2T
from .search import ensemble as averaging
from .search.port import next_token
from .sending import settings_of

Memories = tuple[np.ndarray, ...]


@dataclass(frozen=True, repr=False)
class Ensemble(S2T):
    """Models with the same features and the same dictionary, as one."""

    members: tuple[S2T, ...] = ()

    @classmethod
    def of(cls, models: Sequence[S2T]) -> "Ensemble":
        """Raises ModelError where the models do not fit each other."""
        for model in models[1:]:
            check_alike(models[0], model)
        return cls(**{field.name: getattr(models[0], field.name) for field in fields(S2T)}, members=tuple(models))

    def __repr__(self) -> str:
        return f"Ensemble({', '.join(map(repr, self.members))})"

    def __reduce__(self):
        """Pickle by the names of the models."""
        return restored_ensemble, (self.members, settings_of(self))

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders, or .pt files, of the models."""
        return tuple(model.folder for model in self.members)

    def encode(self, features: np.ndarray, padded_length: int | None = None) -> Memories:
        """Features (T, M) -> a memory (S, D) of each model. As S2T.encode."""
        return tuple(model.encode(features, padded_length) for model in self.members)

    def checked_memory(self, memory: Memories) -> Memories:
        """As S2T.checked_memory, for the memories of all models."""
        if not isinstance(memory, tuple) or len(memory) != len(self.members):
            raise OptionError(f"memory is a {type(memory).__name__}, expected the tuple that `encode` gave")
        return tuple(model.checked_memory(own) for model, own in zip(self.members, memory, strict=True))

    def logits(self, memory: Memories, tokens) -> np.ndarray:
        """Logarithms of the mean probabilities for the memories and token ids (U,): (U, V). As S2T.logits."""
        pairs = zip(self.members, self.checked_memory(memory), strict=True)
        return averaging.mean_probabilities([next_token(model.logits(own, tokens)) for model, own in pairs]).logits

    def decoder(self, memory: Memories) -> search.Decoder:
        """As S2T.decoder."""
        pairs = zip(self.members, self.checked_memory(memory), strict=True)
        return averaging.ensemble([model.decoder(own) for model, own in pairs])

    def step(self, tokens: np.ndarray, cache: averaging.EnsembleCache) -> search.NextToken:
        """As S2T.step."""
        (answer,) = self.step_together([search.Ask(tokens, cache)])
        return answer

    def step_together(self, asks: Sequence[search.Ask]) -> list[search.NextToken]:
        """As S2T.step_together: each model takes one step for all."""
        answers = [model.step_together(averaging.member_asks(asks, i)) for i, model in enumerate(self.members)]
        return [averaging.mean_probabilities(own) for own in zip(*answers, strict=True)]

    def leading(self, memory: Memories) -> tuple[S2T, np.ndarray]:
        """The first model and its memory: its attention tells where the words are."""
        return self.members[0], memory[0]


def restored_ensemble(members: Sequence[S2T], settings: dict) -> Ensemble:
    """The ensemble that was pickled."""
    return replace(Ensemble.of(members), **settings)


def check_alike(first: S2T, other: S2T) -> None:
    """Raise ModelError where two models hear or write in different ways."""
    if first.feature_config != other.feature_config:
        names = [f.name for f in fields(first.feature_config)]
        found = next(n for n in names if getattr(first.feature_config, n) != getattr(other.feature_config, n))
        what = f"their features differ ({found})"
    elif first.tokenizer.vocab != other.tokenizer.vocab or first.config.vocab_size != other.config.vocab_size:
        what = "their dictionaries differ"
    elif first.config.decoder_start_token_id != other.config.decoder_start_token_id:
        what = "their start tokens differ"
    else:
        return
    raise ModelError(f"{first.folder} and {other.folder} cannot be an ensemble: {what}; expected them to be the same")
