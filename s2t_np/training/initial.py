"""Weights to start from: numbers of the right size, drawn as fairseq's `s2t_transformer` draws them.

Too large, and sums of many layers explode; too small, and nothing comes through. Xavier's rule (Glorot and Bengio
2010) keeps the variance of what passes a matrix: uniform within sqrt(6 / (inputs + outputs)).
"""

import math

import numpy as np

from ..config import ModelConfig
from ..weights import expected_shapes
from .derivatives.parameters import Parameters

IN_ONE = math.sqrt(0.5)  # gain of q, k and v: as if the three were one matrix


def bound(name: str, shape: tuple[int, ...]) -> float:
    """The end of the uniform distribution of a weight's numbers."""
    if ".conv_layers." in name:
        return 1 / math.sqrt(shape[1] * shape[2])  # torch's default for convolutions
    gain = IN_ONE if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")) else 1.0
    return gain * math.sqrt(6 / sum(shape))


def initial_tensor(name: str, shape: tuple[int, ...], config: ModelConfig, rng: np.random.Generator) -> np.ndarray:
    """One tensor of a checkpoint, by its name."""
    if "layer_norm" in name:
        return np.full(shape, name.endswith("weight"), np.float32)
    if name.endswith(("embed_tokens.weight", "lm_head.weight")):
        table = rng.standard_normal(shape, np.float32) * np.float32(config.d_model**-0.5)
        table[config.pad_token_id] = 0
        return table
    if name.endswith(".bias"):
        return np.zeros(shape, np.float32)
    end = bound(name, shape)
    return rng.uniform(-end, end, shape).astype(np.float32)


def initial_weights(config: ModelConfig, seed: int) -> Parameters:
    """Every tensor that a checkpoint of this config holds, by name."""
    rng = np.random.default_rng(seed)
    return {name: initial_tensor(name, shape, config, rng) for name, shape in expected_shapes(config).items()}
