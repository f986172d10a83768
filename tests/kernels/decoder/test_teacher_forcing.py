"""decode_full on the kernels' operations: what scores given texts."""

import numpy as np
import pytest

from s2t_np.decoder import decode_full
from s2t_np.ops import numpy_ops

pytest.importorskip("numba")


from s2t_np_kernels import backend
from tests.support.kernel_kinds import features
from tests.support.kernel_models import SHAPES, model


@pytest.mark.parametrize("name", SHAPES)
def test_decode_full_by_ops(name):
    config, plain = model(name)
    packed, memory = backend.numba_ops.prepare(plain), features(33, config.d_model)
    tokens = np.random.default_rng(0).integers(2, config.vocab_size, 21)
    fast = decode_full(backend.numba_ops, packed, config, tokens, memory)
    np.testing.assert_allclose(fast, decode_full(numpy_ops, plain, config, tokens, memory), atol=3e-5)
