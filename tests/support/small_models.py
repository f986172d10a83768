"""Small seeded models for the tests of the model rooms, without any file."""

from typing import NamedTuple

import numpy as np

from s2t_np.config import ModelConfig
from s2t_np.weights import Weights, build
from tools.random_checkpoint import random_tensors, shape_config

SHAPES = {  # name -> changes to the tiny shape
    "tied": {},
    "untied": {"tie_word_embeddings": False, "decoder_attention_heads": 4},
    "odd width": {"d_model": 15, "encoder_attention_heads": 5, "decoder_attention_heads": 3, "vocab_size": 37},
    "unscaled": {"scale_embedding": False, "encoder_ffn_dim": 7, "decoder_ffn_dim": 5},
    "one convolution": {"num_conv_layers": 1, "conv_kernel_sizes": [3]},
    "three convolutions": {"num_conv_layers": 3, "conv_kernel_sizes": [5, 1, 7], "conv_channels": 10},
    "no layers": {"encoder_layers": 0, "decoder_layers": 0},
}


class Small(NamedTuple):
    """A model as the rooms below model.py take it, and as the oracle takes it."""

    config: ModelConfig
    weights: Weights
    json: dict
    tensors: dict


def small_model(shape: str = "tied", seed: int = 0, dtype=np.float64, **changes) -> Small:
    """A model of SHAPES with 6 mel bins, perhaps changed further."""
    data = shape_config("tiny", **{"input_feat_per_channel": 6, **SHAPES[shape], **changes})
    config = ModelConfig.from_dict(data)
    tensors = random_tensors(config, seed)
    return Small(config, build(tensors, config, "test", dtype), data, tensors)


def noise(*shape: int, seed: int = 0, dtype=np.float64) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
