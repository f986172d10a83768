"""Weights as a dictionary of named arrays and back: what an optimizer walks through.

The names are those of the checkpoint (`weights.expected_shapes`). Gradients have the structure of the weights, so the
same names apply to them.
"""

import numpy as np

from ...config import ModelConfig
from ...errors import ModelError
from ...parts import Weights, named_leaves
from ...weights import build, expected_shapes

Parameters = dict[str, np.ndarray]


def named(weights: Weights, config: ModelConfig) -> Parameters:
    """{name: array} of a model's weights or of its gradients; a tied head is its embedding table and has no name."""
    parts = {"model.encoder": weights.encoder, "model.decoder": weights.decoder, "lm_head": weights.lm_head}
    found = dict(leaf for name, part in parts.items() for leaf in named_leaves(part, np.ndarray, name))
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
