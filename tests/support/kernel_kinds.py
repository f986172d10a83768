"""The kinds in which kernels keep weights, and what the tests of several kernels run over."""

import numpy as np
import pytest

pytest.importorskip("numba")

from s2t_np_kernels import backend

from .kernel_models import in_halves

THREADS = (1, 2, 5)
OPS = {"float32": backend.numba_ops, "float16": backend.float16_ops, "int8": backend.int8_ops}
# how weights are kept, and what plain weights that stands for exactly
KINDS = {"float32": (backend.numba_ops, lambda plain: plain), "float16": (backend.float16_ops, in_halves)}
OVER_KINDS = pytest.mark.parametrize("kind", KINDS)


def features(frames: int, bins: int) -> np.ndarray:
    """Seeded noise of size 1: (frames, bins) float32."""
    return np.random.default_rng(frames).standard_normal((frames, bins)).astype(np.float32)
