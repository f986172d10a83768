"""Keys and values of the encoder's memory as the compiled step reads them, against the readable ones."""

import numpy as np
import pytest

from s2t_np.decoder import start_cache
from s2t_np.ops import numpy_ops
from s2t_np.system import threads

pytest.importorskip("numba")


from s2t_np_kernels import backend
from tests.support.kernel_kinds import OPS, THREADS, features
from tests.support.kernel_models import in_halves, random_model

HALF = {"float32": 0, "float16": 2**-11, "int8": 2**-11}  # how far a number kept in halves may be off
WIDE = ({"d_model": 128}, {"d_model": 576, "encoder_attention_heads": 9, "decoder_attention_heads": 9})


@pytest.mark.parametrize("kind", OPS)
@pytest.mark.parametrize("settings", WIDE, ids=("128", "576"))
@pytest.mark.parametrize("positions", (45, 530))
def test_memory_of_heads_of_several_panels(settings, positions, kind):
    """And, for bytes, over more inputs than have a common scale."""
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config, plain = random_model(heads | settings)
    packed, memory = OPS[kind].prepare(plain), features(positions, config.d_model)
    kept, results = in_halves(plain) if kind == "float16" else plain, []
    for count in THREADS:
        threads.set_threads(count)
        results.append(backend.start_cache(OPS[kind], packed, config, memory, 1).cross)
    assert all(np.array_equal(results[0].block, other.block) for other in results[1:])
    for layer, expected in enumerate(start_cache(numpy_ops, kept, config, memory, 1).cross):
        for ours, theirs in zip(results[0].readable(layer), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=0.15 if kind == "int8" else 3e-5, rtol=HALF[kind])
