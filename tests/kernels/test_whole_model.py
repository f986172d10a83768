"""The whole model on the kernels: the tokens that numpy finds, on the bundled model and on all the speech there is."""

import dataclasses

import numpy as np
import pytest

import s2t_np
from s2t_np.weights import expected_shapes
from tests.support.kernel_models import random_tensor
from tests.support.paths import CHECKPOINT_CONFIGS, LIBRISPEECH, ROOT, needs_shared

pytest.importorskip("numba")

from s2t_np import audio, config, encoder, search, weights
from s2t_np.backend import NUMPY, compiled
from s2t_np.features import features
from s2t_np.ops import numpy_ops
from s2t_np_kernels import backend

RECORDINGS = sorted((ROOT / "s2t_np" / "recordings").glob("*.flac"))


@pytest.fixture(scope="module")
def digits():
    return s2t_np.load("digits", backend="numpy")


def on(model, chosen):
    """The same model on another backend."""
    return dataclasses.replace(model, backend=chosen, weights=chosen.ops.prepare(model.weights))


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("beams", (1, 5))
def test_digits_hears_the_same(digits, recording, beams):
    slow = digits.transcribe(recording, num_beams=beams)
    fast = on(digits, compiled("float32")).transcribe(recording, num_beams=beams)
    assert [h.tokens for h in fast.hypotheses] == [h.tokens for h in slow.hypotheses]
    np.testing.assert_allclose(fast.hypotheses[0].token_log_probs, slow.hypotheses[0].token_log_probs, atol=1e-4)


@pytest.mark.parametrize("dtype", ("float16", "int8"))
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_digits_hears_the_same_in_fewer_bits(digits, recording, dtype):
    fewer = s2t_np.load("digits", dtype=dtype)
    assert fewer.dtype is np.float32
    assert fewer.transcribe(recording).text == digits.transcribe(recording).text


def test_a_weight_beyond_float16_is_refused(digits):
    too_low = np.full_like(digits.weights.decoder.embed_tokens.weight, -7e4)
    weights = digits.weights._replace(lm_head=digits.weights.lm_head._replace(weight=too_low))
    with pytest.raises(s2t_np.ModelError, match="a weight is 7e\\+04, above float16's largest number"):
        backend.OPS["float16"].prepare(weights)


@pytest.fixture(scope="module")
def small():
    """Config and seeded random weights in the shape of the released s2t-small."""
    path = CHECKPOINT_CONFIGS / "s2t-small-librispeech-asr" / "config.json"
    shape = config.ModelConfig.from_dict(config.read_json(path))
    rng = np.random.default_rng(3)
    tensors = {k: random_tensor(k, v, rng).astype(np.float32) for k, v in expected_shapes(shape).items()}
    return shape, weights.build(tensors, shape, "test")


OPTIONS = config.GenerationConfig(num_beams=5, max_length=12, early_stopping=True)
PREPROCESSOR = config.FeatureConfig()


def hear(chosen, shape, w, x):
    """Tokens of the best hypothesis for features x."""
    ops = chosen.ops
    memory = chosen.encode(ops, w.encoder, shape, x)
    port = search.Decoder(
        lambda beams: chosen.start_cache(ops, w, shape, memory, beams),
        lambda tokens, cache: chosen.step(ops, w, shape, tokens, cache),
    )
    return search.generate(port, OPTIONS, ())[0].tokens


@needs_shared
def test_the_same_tokens_on_all_the_speech(small):
    shape, plain = small
    packed = backend.numba_ops.prepare(plain)
    paths = sorted(LIBRISPEECH.rglob("*.flac"))
    assert paths
    different, fast = [], compiled("float32")
    for path in paths:
        x = features(audio.load(path, 16000), PREPROCESSOR)
        slow = hear(NUMPY, shape, plain, x)
        if hear(fast, shape, packed, x) != slow:
            different.append(path.name)
    assert different == []


@needs_shared
def test_error_against_float64(small):
    shape, plain = small
    packed = backend.numba_ops.prepare(plain)
    double = weights.Weights(*(as_double(part) for part in plain))
    x = np.random.default_rng(5).standard_normal((900, 80)).astype(np.float32)
    truth = encoder.encode(numpy_ops, double.encoder, shape, x.astype(np.float64))
    fast = backend.encode(backend.numba_ops, packed.encoder, shape, x) - truth
    slow = encoder.encode(numpy_ops, plain.encoder, shape, x) - truth
    assert np.sqrt(np.mean(fast**2)) < 1.5 * np.sqrt(np.mean(slow**2))


def as_double(node):
    """The same tree in float64."""
    if isinstance(node, tuple):
        children = [as_double(child) for child in node]
        return type(node)(*children) if hasattr(node, "_fields") else tuple(children)
    return node.astype(np.float64) if node is not None else None
