"""The stages that the compiled encoder and step show: near the readable ones, and in nobody's way."""

import dataclasses

import numpy as np
import pytest

from s2t_np.backend import NUMPY
from s2t_np.ops import numpy_ops
from s2t_np.system import threads

pytest.importorskip("numba")

from s2t_np_kernels import backend
from tests.support.kernel_kinds import OPS, features
from tests.support.kernel_models import SHAPES, model
from tools.parity import recorded_stages


@dataclasses.dataclass
class Plain:
    """The parts of a model that tools/parity.py asks for."""

    config: object
    weights: object
    backend: object = NUMPY


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("frames", "padded_length"), ((1, None), (61, None), (61, 90), (64, 65), (300, None)))
def test_stages_of_the_encoder(name, frames, padded_length):
    config, plain = model(name)
    x, packed, found = features(frames, config.input_feat_per_channel), backend.numba_ops.prepare(plain), {}
    memory = backend.encode(backend.numba_ops, packed.encoder, config, x, padded_length, found.__setitem__)
    expected = recorded_stages(Plain(config, plain), x, np.array([2]), padded_length)
    names = [name for name in expected if not name.startswith(("embed_tokens", "decoder.", "logits"))]
    assert list(found) == names and {"conv.0", "conv.1", "embed_features", "encoder.2", "memory"} <= set(names)
    for stage in names:
        np.testing.assert_allclose(found[stage], expected[stage], atol=5e-5, err_msg=stage)
    assert np.array_equal(memory, found["memory"])


@pytest.mark.parametrize("kind", OPS)
@pytest.mark.parametrize("frames", (61, 1100))
def test_looking_at_the_encoder_changes_no_bit(kind, frames):
    config, plain = model("lanes-even")
    x, packed = features(frames, config.input_feat_per_channel), OPS[kind].prepare(plain)
    expected = backend.encode(OPS[kind], packed.encoder, config, x)
    for count in (1, 2):
        threads.set_threads(count)
        seen = []
        shown = backend.encode(
            OPS[kind], packed.encoder, config, x, None, lambda stage, rows, seen=seen: seen.append(rows)
        )
        assert np.array_equal(shown, expected)
        seen[-1][:] = 0  # they are copies
        assert np.array_equal(shown, expected)


def stepped(step, ops, w, config, cache, shown=None) -> np.ndarray:
    """Logits of four steps with reorderings; the stages of each go to `shown`."""
    rng, out = np.random.default_rng(1), []
    for _ in range(4):
        found = {}
        more = () if shown is None else (found.__setitem__,)
        out.append(step(ops, w, config, rng.integers(4, config.vocab_size, 3), cache, *more).logits)
        cache.reorder(rng.integers(0, 3, 3))
        if shown is not None:
            shown.append(found)
    return np.stack(out)


@pytest.mark.parametrize("kind", OPS)
@pytest.mark.parametrize("name", SHAPES)
def test_looking_at_the_step_changes_no_bit(name, kind):
    config, plain = model(name)
    ops, memory = OPS[kind], features(40, config.d_model)
    packed = ops.prepare(plain)
    expected = stepped(backend.step, ops, packed, config, backend.start_cache(ops, packed, config, memory, 3))
    for count in (1, 2):
        threads.set_threads(count)
        shown = []
        cache = backend.start_cache(ops, packed, config, memory, 3)
        assert np.array_equal(stepped(backend.step, ops, packed, config, cache, shown), expected)
        assert np.array_equal(np.stack([found["logits"] for found in shown]), expected)


@pytest.mark.parametrize("name", SHAPES)
def test_stages_of_the_step(name):
    """A step over one beam, token by token, makes the rows of a teacher-forced pass."""
    config, plain = model(name)
    packed, x = backend.numba_ops.prepare(plain), features(50, config.input_feat_per_channel)
    tokens = np.array([2, 9, 17, 4, 30])
    expected = recorded_stages(Plain(config, plain), x, tokens, None)
    cache = backend.start_cache(backend.numba_ops, packed, config, expected["memory"], 1)
    for u, token in enumerate(tokens):
        found = {}
        backend.step(backend.numba_ops, packed, config, np.array([token]), cache, found.__setitem__)
        blocks = [f"decoder.{i}{block}" for i in range(2) for block in (".self_attn", ".encoder_attn", "")]
        assert list(found) == ["embed_tokens", *blocks, "logits"]
        for stage in ("embed_tokens", "decoder.0", "decoder.1", "logits"):
            np.testing.assert_allclose(found[stage][0], expected[stage][u], atol=5e-5, err_msg=stage)


def test_stages_within_a_layer_are_the_sums_after_its_blocks():
    config, plain = model("lanes-even")
    packed, memory = backend.numba_ops.prepare(plain), features(33, config.d_model)
    cache = backend.start_cache(backend.numba_ops, packed, config, memory, 1)
    found, layer = {}, plain.decoder.layers[0]
    backend.step(backend.numba_ops, packed, config, np.array([5]), cache, found.__setitem__)
    h = numpy_ops.layer_norm(found["decoder.0.encoder_attn"], layer.final_layer_norm)
    expected = numpy_ops.linear(numpy_ops.linear_activation(h, layer.fc1), layer.fc2, found["decoder.0.encoder_attn"])
    np.testing.assert_allclose(found["decoder.0"], expected, atol=3e-5)
    value = numpy_ops.linear(
        numpy_ops.layer_norm(found["embed_tokens"], layer.self_attn_layer_norm), layer.self_attn.v_proj
    )
    alone = numpy_ops.linear(value, layer.self_attn.out_proj, found["embed_tokens"])  # one token looks at itself
    np.testing.assert_allclose(found["decoder.0.self_attn"], alone, atol=3e-5)
