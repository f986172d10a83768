"""Dropout and layer drop (Srivastava et al. 2014; Fan et al. 2020): noise that only training knows.

A share of the numbers, drawn anew each time, is set to zero, and the rest is scaled up so that the mean stays. The
derivative is the same multiplication. The rates bear the names that config.json gives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

DRAWS = 1 << 16  # a rate is rounded to a multiple of 1 / DRAWS, so that a 64-bit number decides on four places


@dataclass(frozen=True)
class Rates:
    """The probabilities of config.json, each from 0 to below 1."""

    dropout: float = 0.0  # what a block adds to the stream, and the embeddings
    attention_dropout: float = 0.0  # the shares of attention
    activation_dropout: float = 0.0  # between the two matrices of the feed-forward
    encoder_layerdrop: float = 0.0  # a whole layer is left out
    decoder_layerdrop: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping) -> "Rates":
        """From the fields of config.json; one that is not there is zero."""
        return cls(**{name: float(data.get(name) or 0.0) for name in cls.__dataclass_fields__})


def dropout_mask(shape: tuple[int, ...], rate: float, rng: np.random.Generator, dtype) -> np.ndarray:
    """Zeros with probability `rate`, else 1 / (1 - rate): an array of this shape."""
    size, threshold = int(np.prod(shape)), round(rate * DRAWS)
    draws = rng.bit_generator.random_raw(-(-size // 4)).view(np.uint16)[:size]
    mask = (draws >= threshold).astype(dtype)
    mask *= DRAWS / (DRAWS - threshold)
    return mask.reshape(shape)


def dropout_forward(x: np.ndarray, rate: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
    """x times a mask, and the mask, None for no dropout: any shape."""
    if not rate:
        return x, None
    mask = dropout_mask(x.shape, rate, rng, x.dtype)
    return x * mask, mask


def dropout_backward(dy: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """dy times the same mask: any shape."""
    return dy if mask is None else dy * mask


@dataclass(frozen=True)
class Dropout:
    """The rates and where the draws come from: what every layer of a forward pass is given."""

    rates: Rates = Rates()
    rng: np.random.Generator = field(default_factory=np.random.default_rng)

    def of_rows(self, x: np.ndarray):
        """Dropout of the rows of the stream: (S, D) -> (S, D) and its mask."""
        return dropout_forward(x, self.rates.dropout, self.rng)

    def of_attention(self, x: np.ndarray):
        """Dropout of shares: (H, Q, S) -> the same and its mask."""
        return dropout_forward(x, self.rates.attention_dropout, self.rng)

    def of_activations(self, x: np.ndarray):
        """Dropout of hidden units: (S, F) -> (S, F) and its mask."""
        return dropout_forward(x, self.rates.activation_dropout, self.rng)

    def split(self, count: int) -> list["Dropout"]:
        """As many with draws of their own, for utterances that are worked on side by side."""
        if not self.rates.attention_dropout:
            return [self] * count
        return [Dropout(self.rates, np.random.default_rng(seed)) for seed in self.rng.integers(0, 1 << 63, count)]

    def skips(self, rate: float) -> bool:
        """Return whether to leave out a layer."""
        return rate > 0 and self.rng.random() < rate


NO_DROPOUT = Dropout()
