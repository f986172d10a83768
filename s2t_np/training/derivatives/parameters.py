"""Weights as a dictionary of named arrays and back: what an optimizer walks through.

The names are those of the checkpoint (`weights.expected_shapes`). Gradients have the structure of the weights, so the
same names apply to them.
"""

from collections.abc import Iterator

import numpy as np

from ...config import ModelConfig
from ...errors import ModelError
from ...parts import Weights
from ...weights import build, expected_shapes

Parameters = dict[str, np.ndarray]


def walk(tree, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of a structure of weights, with its name."""
    if isinstance(tree, np.ndarray):
        yield name, tree
    elif tree is not None:
        labels = getattr(tree, "_fields", range(len(tree)))
        for label, part in zip(labels, tree, strict=True):
            yield from walk(part, f"{name}.{label}" if name else str(label))


def named(weights: Weights, config: ModelConfig) -> Parameters:
    """{name: array} of a model's weights or of its gradients; a tied head is its embedding table and has no name."""
    encoder, decoder = walk(weights.encoder, "model.encoder"), walk(weights.decoder, "model.decoder")
    found = dict([*encoder, *decoder, *walk(weights.lm_head, "lm_head")])
    return {name: found[name] for name in expected_shapes(config)}


def writable(weights: Weights, config: ModelConfig, dtype=np.float32) -> tuple[Parameters, Weights]:
    """A copy of the weights that may be changed, as a dictionary and as the structure made of the same arrays.

    Raises ModelError for a network that differs from the released ones: its derivative is another.
    """
    if unlike := config.unlike_released():
        raise ModelError(f"a network with {unlike} cannot be trained here, expected the options of a released model")
    parameters = {name: np.array(array, dtype) for name, array in named(weights, config).items()}
    return parameters, build(parameters, config, "the weights", dtype)


def zeros_like(tree):
    """The same structure with zeros in all arrays."""
    if isinstance(tree, np.ndarray):
        return np.zeros_like(tree)
    if tree is None:
        return None
    parts = (zeros_like(part) for part in tree)
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
