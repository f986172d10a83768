"""The options of a training run, and the randomness that a seed and a purpose give.

Defaults are those of fairseq S2T on LibriSpeech where it is told to start from nothing (`FROM_NOTHING`), and gentler
ones for a model that already knows something (`FINE_TUNING`).
"""

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from ..errors import OptionError
from ..settings.fields import check_fields, is_integer, is_real, rule
from .optimizer import inverse_square_root, polynomial_decay
from .specaugment import POLICIES

ORDER, NOISE, SPEED = range(3)  # what randomness is for
SCHEDULERS = ("inverse_sqrt", "polynomial_decay")


def randomness(seed: int, *purpose: int) -> np.random.Generator:
    """Draws that depend on the seed and the purpose alone, so that a run which goes on draws as if never stopped."""
    return np.random.default_rng([seed, *purpose])


def option(default, help: str, expected: str, accepts):
    """A field with its rule and its line of help."""
    checked = rule(default, expected, accepts)
    return field(default=default, metadata={**checked.metadata, "help": help})


def number(default: float, help: str, low: float = 0.0, high: float = 1e9):
    return option(default, help, f"a number from {low:g} to {high:g}", lambda v: is_real(v, low, high))


def count(default: int, help: str, low: int = 0):
    return option(default, help, f"a whole number of at least {low}", lambda v: is_integer(v, low))


@dataclass(frozen=True)
class Recipe:
    """The way to train. Field names are the options of `s2t-np train`."""

    lr: float = number(2e-3, "peak learning rate")
    warmup_updates: int = count(10000, "updates over which the rate rises to its peak", 1)
    lr_scheduler: str = option(
        "inverse_sqrt",
        "how the rate falls: inverse_sqrt, or polynomial_decay to zero at --max-update",
        " or ".join(SCHEDULERS),
        lambda v: v in SCHEDULERS,
    )
    clip_norm: float = number(10.0, "longest gradient; 0 does not clip")
    label_smoothing: float = number(0.1, "probability given to the tokens that are not the label", 0, 0.9)
    ctc_weight: float = number(0.0, "weight of a CTC loss on the encoder, which helps models from nothing to align")
    max_epoch: int = count(100, "times through the data", 1)
    max_update: int = count(0, "updates after which to stop; 0: max_epoch decides")
    max_tokens: int = count(10000, "frames in a batch, as fairseq calls them", 1)
    update_freq: int = count(1, "batches whose gradients make one update", 1)
    curriculum: int = count(0, "epochs at the beginning that run from short to long utterances")
    specaugment: str = option(
        "lb", "SpecAugment policy: none, lb or ld", " or ".join(POLICIES), lambda v: v in POLICIES
    )
    max_time_mask: int = count(100, "SpecAugment: frames of the longest mask over time", 1)
    speed: tuple[float, ...] = option(
        (1.0,), "speeds to draw from, such as 0.9,1,1.1", "speeds from 0.5 to 2", lambda v: v and speeds(v)
    )
    freeze: tuple[str, ...] = option(
        (), "parts not to train: encoder, decoder.layers.0, ...", "names of parts", lambda v: isinstance(v, tuple)
    )
    save_interval: int = count(1, "epochs between checkpoints", 1)
    save_interval_updates: int = count(0, "updates between checkpoints, besides; 0: none")
    keep_last: int = count(5, "checkpoints to keep, and to average in the end", 1)
    seed: int = count(1, "makes everything that is drawn repeatable")

    def __post_init__(self):
        """Raises OptionError naming the option and what it may be."""
        check_fields(self, "training options", OptionError)
        if self.lr_scheduler == "polynomial_decay" and self.max_update <= self.warmup_updates:
            raise OptionError(
                f"polynomial_decay ends at max_update, which is {self.max_update}; "
                f"expected more than warmup_updates, {self.warmup_updates}"
            )

    def rate(self, update: int) -> float:
        """The learning rate of update 1, 2, 3, ..."""
        if self.lr_scheduler == "polynomial_decay":
            return polynomial_decay(update, self.lr, self.warmup_updates, self.max_update)
        return inverse_square_root(update, self.lr, self.warmup_updates)

    def replace(self, **changes) -> "Recipe":
        """A copy with some options changed. Raises OptionError."""
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_json(cls, data: dict) -> "Recipe":
        """From the fields that run.json keeps. Raises OptionError."""
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known})


def speeds(values) -> bool:
    """Return whether these are speeds to play a recording at."""
    return isinstance(values, tuple) and all(is_real(v, 0.5, 2.0) for v in values)


FROM_NOTHING = Recipe()
FINE_TUNING = Recipe(lr=1e-4, warmup_updates=100, max_epoch=20)
