"""Small seeded models for the tests of the model rooms, without any file."""

from typing import NamedTuple

import numpy as np

from s2t_np.config import ModelConfig
from s2t_np.weights import Weights, build
from tools.random_checkpoint import VARIANTS, random_tensors, variant_config

SHAPES = tuple(name for name in VARIANTS if not name.startswith("lanes"))  # those are the kernels'


class Small(NamedTuple):
    """A model as the rooms below model.py take it, and as the oracle takes it."""

    config: ModelConfig
    weights: Weights
    json: dict
    tensors: dict


def small_model(shape: str = "tied", seed: int = 0, dtype=np.float64, **changes) -> Small:
    """A model of SHAPES with 6 mel bins, perhaps changed further."""
    data = variant_config(shape, **{"input_feat_per_channel": 6} | changes)
    config = ModelConfig.from_dict(data)
    tensors = random_tensors(config, seed)
    return Small(config, build(tensors, config, "test", dtype), data, tensors)


def noise(*shape: int, seed: int = 0, dtype=np.float64) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
