"""The number of threads may change at any time, as Python threads that divide the cores come and go.

So a call asks for it once: memory for one thread, and then a second thread that works in it, is a fault that ends the
process only now and then.
"""

import numpy as np
import pytest

pytest.importorskip("numba")

from s2t_np_kernels.build.options import COMPILED

from s2t_np.system.threads import get_threads
from s2t_np_kernels import backend, threads
from tests.support.kernel_models import model

OPS = backend.numba_ops
SAMPLES = np.random.default_rng(0).standard_normal(4000).astype(np.float32) / 10


def calls() -> dict:
    """Every function of this backend that computes with several threads, on something small."""
    config, plain = model("lanes-even")
    packed, rng = OPS.prepare(plain), np.random.default_rng(1)
    rows = rng.standard_normal((40, config.d_model)).astype(np.float32)
    features = rng.standard_normal((90, config.input_feat_per_channel)).astype(np.float32)
    cache, tokens = backend.start_cache(OPS, packed, config, rows, 2), np.array([4, 5])
    layer = packed.encoder.layers[0]
    return {
        "encode": lambda: backend.encode(OPS, packed.encoder, config, features),
        "start_cache": lambda: backend.start_cache(OPS, packed, config, rows, 2),
        "step": lambda: backend.step(OPS, packed, config, tokens, cache),
        "linear": lambda: OPS.linear(rows, layer.fc1),
        "attention": lambda: OPS.attention(rows, rows, rows, config.encoder_attention_heads),
        "fbank": lambda: backend.fbank(SAMPLES, 16000),
        "band_powers": lambda: backend.band_powers(SAMPLES, np.hanning(400), 160, 512, np.array([1, 20, 200])),
        "frame_measures": lambda: backend.frame_measures(rng.random((257, 30)), 1.0),
    }


NAMES = ("encode", "start_cache", "step", "linear", "attention", "fbank", "band_powers", "frame_measures")


@pytest.mark.skipif(not COMPILED, reason="one thread runs what is not compiled")
@pytest.mark.parametrize("name", NAMES)
def test_a_call_asks_once_for_its_threads(name):
    call, asked = calls()[name], []
    try:
        threads.follow(lambda: asked.append(name) or 1)
        call()
    finally:
        threads.follow(get_threads)
    assert len(asked) == 1
