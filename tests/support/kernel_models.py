"""Small models with seeded random weights, packed and plain, for the tests of the kernels."""

import functools

import numpy as np

from s2t_np import weights
from s2t_np.config import ModelConfig
from tools.random_checkpoint import LANES, VARIANTS
from tools.random_checkpoint import SHAPES as BASES

SHAPES = tuple(name for name in VARIANTS if name.startswith("lanes"))


def random_tensor(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Weights that keep a signal of size 1 at that size."""
    if "layer_norm.weight" in name:
        return rng.uniform(0.5, 1.5, shape)
    if name.endswith("bias"):
        return rng.normal(0, 0.3, shape)
    return rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)


def in_halves(node):
    """The same tree with matrices and convolutions as float16 keeps them."""
    if isinstance(node, tuple):
        children = [in_halves(child) for child in node]
        return type(node)(*children) if hasattr(node, "_fields") else tuple(children)
    return node.astype(np.float16).astype(np.float32) if node is not None and node.ndim > 1 else node


@functools.cache
def model(name: str, dtype=np.float32):
    """Config and plain weights of one of the SHAPES."""
    return random_model(VARIANTS[name], dtype)


def random_model(settings: dict, dtype=np.float32):
    """The same for settings that differ from LANES."""
    config = ModelConfig(**(BASES["tiny"] | LANES | settings))
    rng = np.random.default_rng(7)
    tensors = {k: random_tensor(k, v, rng).astype(np.float32) for k, v in weights.expected_shapes(config).items()}
    return config, weights.build(tensors, config, "test", dtype)
