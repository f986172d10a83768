"""A model while it learns: its weights, the optimizer, and one update from a list of batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..config import ModelConfig
from ..errors import OptionError
from ..ops import Linear
from ..parts import Weights
from .derivatives.ctc import ctc
from .derivatives.dropout import NO_DROPOUT, Dropout, Rates
from .derivatives.network import Batch, Kept, Loss, backward, forward
from .derivatives.operations import linear_backward, linear_forward
from .derivatives.parameters import Parameters, named, writable
from .derivatives.ragged import stretches
from .optimizer import Adam, clip
from .recipe import Recipe

CTC_WEIGHT, CTC_BIAS = "ctc.weight", "ctc.bias"  # a head for training only: no checkpoint of a model has it


class Update(NamedTuple):
    """Figures of one update. Losses are means over the tokens (natural logarithms)."""

    loss: float  # all that is minimised: smoothed cross-entropy and CTC
    nll: float
    accuracy: float  # the share of tokens whose label was the likeliest
    gradient_norm: float
    rate: float
    tokens: int
    frames: int


def part_of(name: str) -> str:
    """The name of a tensor as the parts to freeze are named: without "model."."""
    return name.removeprefix("model.")


def trained_names(names: Iterable[str], freeze: Sequence[str]) -> list[str]:
    """The names that are not in a frozen part. Raises OptionError for a part that there is not, and if none is left."""
    names = list(names)
    for part in freeze:
        if not any(part_of(name).startswith(f"{part}.") for name in names):
            raise OptionError(
                f"freeze: there is no part {part!r:.60}; parts are encoder, decoder, encoder.layers.0, ..."
            )
    left = [name for name in names if not part_of(name).startswith(tuple(f"{part}." for part in freeze))]
    if not left:
        raise OptionError("freeze: nothing is left to train")
    return left


def add(total: Parameters, more: Parameters) -> Parameters:
    """The sum of two gradients; changes the first."""
    for name, gradient in more.items():
        if name in total:
            total[name] += gradient
        else:
            total[name] = gradient
    return total


@dataclass
class Learner:
    """A model's weights and all that changes with them."""

    config: ModelConfig
    recipe: Recipe
    rates: Rates
    parameters: Parameters  # the model's weights, and the CTC head's
    weights: Weights  # the same arrays, as the layers take them
    optimizer: Adam
    by_encoder: bool = field(init=False)

    def __post_init__(self):
        self.by_encoder = any("model.encoder." in name for name in self.optimizer.means)

    @classmethod
    def start(cls, weights: Weights, config: ModelConfig, rates: Rates, recipe: Recipe) -> "Learner":
        """From a model's weights, which are copied. Raises OptionError for parts to freeze that there are not."""
        parameters, weights = writable(weights, config)
        names = trained_names(parameters, recipe.freeze)
        if recipe.ctc_weight:
            end = config.d_model**-0.5
            rng = np.random.default_rng(recipe.seed)
            shape = config.vocab_size + 1, config.d_model
            parameters[CTC_WEIGHT] = rng.uniform(-end, end, shape).astype(np.float32)
            parameters[CTC_BIAS] = np.zeros(shape[0], np.float32)
            names += [CTC_WEIGHT, CTC_BIAS]
        return cls(config, recipe, rates, parameters, weights, Adam.start(parameters, names))

    @property
    def model_tensors(self) -> Parameters:
        """The tensors of a checkpoint, by name."""
        return {name: array for name, array in self.parameters.items() if name not in (CTC_WEIGHT, CTC_BIAS)}

    def ctc_step(self, batch: Batch, kept: Kept) -> tuple[float, np.ndarray, Parameters]:
        """The weighted CTC loss of a batch, and its gradient by the memory (S, D) and by the head."""
        head = Linear(self.parameters[CTC_WEIGHT], self.parameters[CTC_BIAS])
        texts = [batch.labels[rows][:-1] for rows in stretches(batch.text_lengths)]
        found = ctc(linear_forward(kept.memory, head), batch.memory_lengths, texts)
        dlogits = found.dlogits * np.float32(self.recipe.ctc_weight)
        dmemory, gradient = linear_backward(dlogits, kept.memory, head)
        parts = {CTC_WEIGHT: gradient.weight, CTC_BIAS: gradient.bias}
        return self.recipe.ctc_weight * found.loss, dmemory, parts

    def gradient(self, batch: Batch, rng: np.random.Generator) -> tuple[Loss, float, Parameters]:
        """The loss of a batch, that of CTC, and the gradient of their sum by everything that is trained."""
        loss, kept = forward(self.weights, self.config, batch, self.recipe.label_smoothing, Dropout(self.rates, rng))
        second, dmemory, head = self.ctc_step(batch, kept) if self.recipe.ctc_weight else (0.0, None, {})
        found = backward(self.weights, self.config, kept, dmemory, self.by_encoder)
        every = named(found.weights, self.config) | head
        return loss, second, {name: every[name] for name in self.optimizer.means}

    def update(self, batches: Sequence[tuple[Batch, np.random.Generator]]) -> Update:
        """One step against the gradient of the mean loss of these batches, each with the noise it is to have."""
        losses, second, gradients = [], 0.0, {}
        for batch, rng in batches:
            loss, more, gradient = self.gradient(batch, rng)
            losses.append(loss)
            second += more
            gradients = add(gradients, gradient)
        total = Loss(*map(sum, zip(*losses, strict=True)))
        for gradient in gradients.values():
            gradient /= np.float32(total.tokens)
        norm = clip(gradients, self.recipe.clip_norm)
        rate = self.recipe.rate(self.optimizer.count + 1)
        if np.isfinite(norm):
            self.optimizer.step(self.parameters, gradients, rate)
        tokens, frames = total.tokens, sum(len(batch.features) for batch, _ in batches)
        mean = (total.loss + second) / tokens, total.nll / tokens, 1 - total.wrong / tokens
        return Update(*mean, norm, rate, tokens, frames)

    def loss(self, batch: Batch) -> Loss:
        """The loss of a batch without noise."""
        return forward(self.weights, self.config, batch, self.recipe.label_smoothing, NO_DROPOUT)[0]
