"""No kernel touches memory that is not its own, or trusts memory it has not written; alignment does not matter."""

import numpy as np
import pytest
from s2t_np_kernels.pool import Pool

from s2t_np.decoder import decoder_step, start_cache
from s2t_np.encoder import encode
from s2t_np.ops import numpy_ops
from s2t_np.system import threads
from s2t_np_kernels import backend, pool
from tests.support import guarded
from tests.support.kernel_models import SHAPES, model

pytest.importorskip("numba")
pytestmark = pytest.mark.skipif(guarded.LIBC is None, reason="needs mprotect")


KINDS = {"float32": backend.numba_ops, "float16": backend.float16_ops, "int8": backend.int8_ops}
ENDS = pytest.mark.parametrize("at_end", (True, False), ids=("end", "start"))


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch):
    monkeypatch.setattr(pool, "rounded", lambda size: size)  # or walls would not stand where arrays end
    threads.set_threads(2)


def with_arena(node, arena: np.ndarray):
    """The packed tree with its arena elsewhere, and no memory to lend yet."""
    if isinstance(node, Pool):
        return Pool(node.most)
    if hasattr(node, "arena"):
        return node._replace(arena=arena)
    if isinstance(node, tuple):
        children = [with_arena(child, arena) for child in node]
        return type(node)(*children) if hasattr(node, "_fields") else tuple(children)
    return node


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@ENDS
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("frames", (3, 61, 300))
def test_encoder_between_walls(monkeypatch, name, kind, frames, at_end):
    config, plain = model(name)
    ops = KINDS[kind]
    packed, x = ops.prepare(plain), noise(frames, config.input_feat_per_channel)
    free = backend.encode(ops, packed.encoder, config, x)
    walled = with_arena(packed, guarded.guard(packed.lm_head.arena, at_end))
    with guarded.everything_guarded(monkeypatch, at_end):
        result = backend.encode(ops, walled.encoder, config, guarded.guard(x, at_end))
        by_ops = encode(ops, walled.encoder, config, guarded.guard(x, at_end))
    assert np.array_equal(result, free)
    np.testing.assert_allclose(by_ops, free, atol=0.3 if kind == "int8" else 5e-5)


@ENDS
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("beams", (1, 5, 17))
def test_step_between_walls(monkeypatch, name, kind, beams, at_end):
    config, plain = model(name)
    ops = KINDS[kind]
    packed, memory = ops.prepare(plain), noise(21, config.d_model)
    walled = with_arena(packed, guarded.guard(packed.lm_head.arena, at_end))
    tokens = np.arange(beams) + 4
    cache = backend.start_cache(ops, packed, config, memory, beams)
    expected = [backend.step(ops, packed, config, tokens, cache).logits for _ in range(3)]
    with guarded.everything_guarded(monkeypatch, at_end):
        cache = backend.start_cache(ops, walled, config, guarded.guard(memory, at_end), beams)
        for logits in expected:
            assert np.array_equal(backend.step(ops, walled, config, tokens, cache).logits, logits)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("positions", (1, 31, 32, 33))
def test_the_memory_has_no_lane_that_nobody_wrote(monkeypatch, name, positions):
    config, plain = model(name)
    packed, rows = backend.numba_ops.prepare(plain), noise(positions, config.d_model)
    with guarded.everything_guarded(monkeypatch, True):
        memory = backend.start_cache(backend.numba_ops, packed, config, rows, 2).cross
    assert np.isfinite(memory.block).all()


@pytest.mark.parametrize("kind", KINDS)
def test_alignment_does_not_matter(kind):
    config, plain = model("lanes-even")
    ops = KINDS[kind]
    packed, x = ops.prepare(plain), noise(70, config.input_feat_per_channel)
    arena = packed.lm_head.arena
    shifted = np.zeros(len(arena) + 3, np.float32)[3:]
    shifted[:] = arena
    moved = with_arena(packed, shifted)
    expected = backend.encode(ops, packed.encoder, config, x)
    assert np.array_equal(backend.encode(ops, moved.encoder, config, x), expected)


@pytest.mark.parametrize("value", (1e-42, -1e-40, 0.0))
def test_denormals_and_zeros(value):
    config, plain = model("lanes-even")
    x = np.full((40, config.input_feat_per_channel), value, np.float32)
    for ops, tolerance in ((backend.numba_ops, 3e-5), (backend.int8_ops, 0.3)):
        packed = ops.prepare(plain)
        np.testing.assert_allclose(
            backend.encode(ops, packed.encoder, config, x), encode(numpy_ops, plain.encoder, config, x), atol=tolerance
        )


@pytest.mark.parametrize("name", SHAPES)
def test_bytes_stay_near_floats(name):
    config, plain = model(name)
    packed, memory = backend.int8_ops.prepare(plain), noise(33, config.d_model)
    slow = start_cache(numpy_ops, plain, config, memory, 3)
    fast = backend.start_cache(backend.int8_ops, packed, config, memory, 3)
    for token in range(4, 9):
        tokens = np.full(3, token)
        a = decoder_step(numpy_ops, plain, config, tokens, slow)
        b = backend.step(backend.int8_ops, packed, config, tokens, fast).logits
        assert np.sqrt(np.mean((a - b) ** 2)) < 0.06 * a.std()
