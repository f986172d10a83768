"""What a served page asks about its recording: an experiment, numbers that it does not carry, what sound mattered.

A question and its answer are JSON. Two servers answer them, `s2t-np explore` (local_server.py) and `s2t-np serve`.

    experiment  {a field of Experiment: ...}   -> a comparison, see ../experiments.py
    numbers     {"keys": [...]}                -> {"arrays": {key: entry}, "block": text}, as the page carries its own
    gradient    {"word": 2}                    -> the same, with one key, "gradient:2"

A key is "encoder.layers.3.fc1", a stage; "decoder.layers.0.self_attn.attn_weights/2", a slice of one that has more than
two axes; "weight:encoder.layers.3.fc1.bias", a vector of weights; or "weight:encoder.layers.3.fc1.weight/7", what a
matrix or a convolution has at that place of its first axis.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import OptionError
from ...parts import named_leaves
from ...settings.fields import is_integers, is_texts, show
from ..experiments import Experiment, Subject, compare
from .pictures import Pictures

MOST_KEYS = 64  # a question has no more: a number and all that it is made of need fewer
WEIGHT = "weight:"
QUICK = 1  # level of deflation: the page waits
GRADIENT_WIDTH = 1  # bytes of a number of the gradients, which are only to be looked at

Stages = Callable[[Sequence[str]], Mapping[str, np.ndarray]]  # names of stages -> their arrays
Gradients = Callable[[Sequence[Sequence[int]]], list[np.ndarray]]  # words, as places of tokens -> for each (T, M)


@dataclass(frozen=True)
class Questions:
    """The answers about one recording."""

    before: Subject  # what experiments start from
    words: tuple[Sequence[int], ...]  # the places of their tokens
    stages: Stages
    gradients: Gradients | None  # None: this network has no derivative

    def answers(self) -> dict[str, Callable[[Any], dict]]:
        """Name of a question -> the function from its JSON to the answer's. Each raises OptionError."""
        return {"experiment": self.experiment, "numbers": self.numbers, "gradient": self.gradient}

    def experiment(self, data) -> dict:
        """Carry out an experiment. Raises OptionError."""
        return compare(self.before, Experiment.from_json(data)).record()

    def numbers(self, data) -> dict:
        """The arrays of some keys, exact. Raises OptionError."""
        keys = data.get("keys") if isinstance(data, dict) else None
        if not (is_texts(keys) and 0 < len(keys) <= MOST_KEYS):
            raise OptionError(f"numbers: found {show(data)}, expected keys, a list of 1 to {MOST_KEYS} names")
        names = sorted({key.partition("/")[0] for key in keys if not key.startswith(WEIGHT)})
        found = dict(self.stages(names)) if names else {}
        found |= {f"{WEIGHT}{name}": array for name, array in named_leaves(self.before.model.weights, np.ndarray)}
        return packed({key: slice_of(found, key) for key in keys})

    def gradient(self, data) -> dict:
        """The gradient of one word's loss by the features (T, M), to be looked at. Raises OptionError."""
        word = data.get("word") if isinstance(data, dict) else None
        if not (is_integers([word]) and 0 <= word < len(self.words)):
            raise OptionError(f"gradient: found {show(data)}, expected word, 0 to {len(self.words) - 1}")
        if self.gradients is None:
            raise OptionError("gradient: a network of this kind has no derivative here")
        (found,) = self.gradients([self.words[word]])
        return packed({f"gradient:{word}": found}, GRADIENT_WIDTH)


def slice_of(arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    """The array that a key names: (R, C), or (1, C) for a vector. Raises OptionError."""
    name, *place = key.split("/")
    array, is_weight = arrays.get(name), name.startswith(WEIGHT)
    if array is None:
        raise OptionError(f"numbers: found {show(key)}, expected a stage of this recording, or {WEIGHT} and a name")
    leading = array.shape[: min(1, array.ndim - 1) if is_weight else max(0, array.ndim - 2)]
    if not (len(place) == len(leading) and all(map(is_index, place, leading))):
        raise OptionError(f"numbers: found {show(key)}, expected the name and an index below each of {leading}")
    part = array[tuple(map(int, place))]
    return part.reshape(1, -1) if is_weight else np.atleast_2d(part)


def is_index(text: str, size: int) -> bool:
    """Whether a text is a whole number from 0 to size - 1."""
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) < size


def packed(arrays: Mapping[str, np.ndarray], width: int = 4) -> dict:
    """Arrays as the page reads them. `width`: bytes of a number, 4 for exact ones."""
    pictures = Pictures()
    for key, array in arrays.items():
        pictures.add(key, array, width)
    return {"arrays": pictures.index, "block": pictures.packed(QUICK)}
