"""The compiled decoder step against the readable one; results do not depend on the number of threads."""

import threading

import numpy as np
import pytest

from s2t_np.decoder import start_cache, step
from s2t_np.layers import KeysValues
from s2t_np.ops import numpy_ops
from s2t_np.search import next_token
from s2t_np.system import threads

pytest.importorskip("numba")

from s2t_np_kernels.decoder import host
from s2t_np_kernels.layout import FLOAT32, INT8
from s2t_np_kernels.threads import Loop

from s2t_np_kernels import backend
from tests.support.kernel_kinds import KINDS, OPS, OVER_KINDS, THREADS, features
from tests.support.kernel_models import SHAPES, model


def walk(step, ops, w, config, cache, beams: int, length: int):
    """Logits of `length` steps with seeded tokens and reorderings."""
    rng = np.random.default_rng(beams)
    for i in range(length):
        yield step(ops, w, config, rng.integers(0, config.vocab_size, beams), cache).logits
        cache.reorder(rng.integers(0, beams, beams) if i % 3 else np.zeros(beams, np.int64))


@OVER_KINDS
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("beams", (1, 2, 5, 8, 9, 17, 33))
def test_step_gives_the_logits_and_the_cache_of_the_readable_step(name, beams, kind):
    config, plain = model(name)
    ops, kept = KINDS[kind]
    packed, plain, memory = ops.prepare(plain), kept(plain), features(19, config.d_model)
    slow = start_cache(numpy_ops, plain, config, memory, beams)
    fast = backend.start_cache(backend.numba_ops, packed, config, memory, beams)
    length = 140 if beams == 5 else 12  # over two enlargements of the cache, and over a block of attention's keys
    if kind == "float16":  # which keeps the memory in halves as well: test_cross_kv.py compares those
        slow.cross = tuple(KeysValues(*fast.cross.readable(layer)) for layer in range(config.decoder_layers))
    expected = walk(step, numpy_ops, plain, config, slow, beams, length)
    for logits, other in zip(
        walk(backend.step, backend.numba_ops, packed, config, fast, beams, length), expected, strict=True
    ):
        np.testing.assert_allclose(logits, other, atol=3e-5)
    assert slow.length == fast.length == length
    for layer, past in enumerate(slow.past):
        np.testing.assert_allclose(fast.history(layer), past, atol=3e-5)


@pytest.mark.parametrize("kind", OPS)
def test_step_gives_the_same_bits_for_any_number_of_threads(kind):
    config, plain = model("lanes-even")
    ops, memory = OPS[kind], features(300, config.d_model)
    packed, results = ops.prepare(plain), []
    for count in THREADS:
        threads.set_threads(count)
        cache = backend.start_cache(ops, packed, config, memory, 5)
        results.append(list(walk(backend.step, ops, packed, config, cache, 5, 20)))
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def join_late(cache, packed, config, tokens: np.ndarray) -> np.ndarray:
    """A step that the second participant begins alone; the first, to whom the first parts belong, comes later."""
    workspace = host.borrow(packed, config, len(tokens), cache.capacity)
    host.give_back(packed, workspace)  # the step will take the same
    call, logits = workspace.call, []
    call.begin()
    call.helpers, thread_id = 0, call.states[:1]
    thread_id[0] = 1
    second = threading.Thread(
        target=lambda: logits.append(backend.step(backend.numba_ops, packed, config, tokens, cache).logits)
    )
    second.start()
    while thread_id[0] == 1:
        pass
    thread_id[0] = 0
    call.function.bind(Loop(call.board, np.zeros(1, np.int64), call.states, 0, 1), *call.arguments)()
    second.join()
    return logits[0]


def test_a_participant_may_join_in_the_middle_of_a_step():
    config, plain = model("lanes-even")
    packed, tokens = backend.numba_ops.prepare(plain), np.array([4, 1, 7])
    memory = features(50_000, config.d_model)  # so long that attention over it takes milliseconds
    threads.set_threads(1)
    alone = backend.start_cache(backend.numba_ops, packed, config, memory, 3)
    expected = backend.step(backend.numba_ops, packed, config, tokens, alone).logits
    threads.set_threads(2)
    for attempt in range(5):
        cache = backend.start_cache(backend.numba_ops, packed, config, memory, 3)
        assert np.array_equal(join_late(cache, packed, config, tokens), expected), attempt


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("positions", (1, 16, 31, 33, 256, 257, 600))
def test_step_over_short_and_long_memories(name, positions):
    config, plain = model(name)
    packed, memory = backend.numba_ops.prepare(plain), features(positions, config.d_model)
    slow = start_cache(numpy_ops, plain, config, memory, 3)
    fast = backend.start_cache(backend.numba_ops, packed, config, memory, 3)
    for layer, kept in enumerate(slow.cross):
        for ours, theirs in zip(fast.cross.readable(layer), kept, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=3e-5)
    tokens = np.array([4, 1, 7])
    logits = backend.step(backend.numba_ops, packed, config, tokens, fast).logits
    np.testing.assert_allclose(logits, step(numpy_ops, plain, config, tokens, slow).logits, atol=3e-5)


@pytest.mark.parametrize(("kind", "error"), (("float16", 0.002), ("int8", 0.06)))
@pytest.mark.parametrize("name", SHAPES)
def test_smaller_weights_stay_near_floats(name, kind, error):
    config, plain = model(name)
    ops, memory = OPS[kind], features(40, config.d_model)
    packed = ops.prepare(plain)
    slow = start_cache(numpy_ops, plain, config, memory, 9)
    fast = backend.start_cache(ops, packed, config, memory, 9)
    for a, b in zip(
        walk(step, numpy_ops, plain, config, slow, 9, 5),
        walk(backend.step, ops, packed, config, fast, 9, 5),
        strict=True,
    ):
        assert 0 < np.sqrt(np.mean((a - b) ** 2)) < error * a.std()


@pytest.mark.parametrize(
    ("width", "heads", "groups"),
    [(256, 4, 4), (512, 8, 8), (64, 4, 2), (36, 4, 1), (96, 6, 3), (4096, 4, 1), (64, 1, 1)],
)
def test_groups_of_heads_fill_whole_panels(width, heads, groups):
    assert host.head_groups(width, heads) == groups


def test_shards_of_hidden_features_are_cut_where_sums_and_scales_are():
    assert [host.shard_size(2048, groups, FLOAT32) for groups in (1, 4, 8)] == [2048, 512, 256]
    assert [host.shard_size(2048, groups, INT8) for groups in (1, 4, 8)] == [2048, 512, 512]
    assert host.shard_size(72, 2, FLOAT32) == 256


def test_a_step_knows_the_peaks_of_its_own_logits():
    config, plain = model("lanes-even")
    packed, added = backend.numba_ops.prepare(plain), np.zeros(2, np.float32)
    cache = backend.start_cache(backend.numba_ops, packed, config, features(9, config.d_model), 2)
    kept = []
    for tokens in ([4, 1], [5, 2]):
        found = backend.step(backend.numba_ops, packed, config, np.array(tokens), cache)
        expected = next_token(found.logits)
        np.testing.assert_allclose(found.log_probs(), expected.log_probs(), atol=1e-5)
        assert np.array_equal(found.best(added, 4).tokens, expected.best(added, 4).tokens)
        kept.append((found.logits, found.logits.copy()))
    assert all(np.array_equal(logits, copy) for logits, copy in kept)  # no step writes into the logits of another
