"""decode_full on the kernels' operations: what scores given texts."""

import numpy as np
import pytest

from s2t_np.decoder import decode_full
from s2t_np.ops import numpy_ops
from s2t_np.system import threads

pytest.importorskip("numba")


from s2t_np_kernels import backend
from tests.support.kernel_models import SHAPES, in_halves, model

THREADS = (1, 2, 5)
OPS = {"float32": backend.numba_ops, "float16": backend.float16_ops, "int8": backend.int8_ops}


@pytest.fixture(autouse=True)
def _threads_as_before():
    yield
    threads.set_threads(None)


def features(frames: int, bins: int) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((frames, bins)).astype(np.float32)


# how weights are kept, and what plain weights that stands for exactly
KINDS = {"float32": (backend.numba_ops, lambda plain: plain), "float16": (backend.float16_ops, in_halves)}
OVER_KINDS = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("name", SHAPES)
def test_decode_full_by_ops(name):
    config, plain = model(name)
    packed, memory = backend.numba_ops.prepare(plain), features(33, config.d_model)
    tokens = np.random.default_rng(0).integers(2, config.vocab_size, 21)
    fast = decode_full(backend.numba_ops, packed, config, tokens, memory)
    np.testing.assert_allclose(fast, decode_full(numpy_ops, plain, config, tokens, memory), atol=3e-5)
