"""What is given back is lent again, never while someone refers to it, and not more than a bound is kept."""

import numpy as np
import pytest

from s2t_np.system import threads

pytest.importorskip("numba")

from s2t_np_kernels.decoder import host
from s2t_np_kernels.pool import Pool, _Lease, lend_floats, rounded

from s2t_np_kernels import backend
from tests.support.kernel_models import model


def address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


def test_memory_is_lent_again_when_the_last_view_is_gone():
    pool = Pool(1 << 20)
    first = lend_floats(pool, 1000)
    view, where = first[10:20].reshape(2, 5), address(first)
    del first
    assert address(lend_floats(pool, 1000)) != where  # which goes back at once
    pool.kept.clear()
    del view
    assert address(lend_floats(pool, 990)) == where


def test_sizes_are_rounded_by_an_eighth_at_most():
    for size in (1, 2, 7, 8, 9, 100, 1000, 65536, 65537, 1_234_567):
        assert size <= rounded(size) <= max(size + 1, size * 9 / 8)
    assert len({rounded(size) for size in range(1 << 20, 1 << 21)}) <= 9


def test_no_more_than_the_bound_is_kept():
    pool = Pool(10_000)
    arrays = [lend_floats(pool, 1024 * (1 + i % 2)) for i in range(9)]
    assert pool.bytes == 0
    del arrays
    assert 0 < pool.bytes <= 10_000
    assert pool.bytes == sum(size for things in pool.kept.values() for _, size in things)


def test_the_key_used_least_recently_goes_first():
    pool = Pool(3)
    for key in "aab":
        pool.give(key, key, 1)
    pool.give("a", "last", 1)
    assert [pool.take(key) for key in "bab"] == [None, "last", None]


def test_nothing_goes_back_while_the_process_ends():
    """What a script still holds then is let go after this module's names are gone, in silence."""
    pool = Pool(1 << 20)
    lease = _Lease(pool, np.empty(64, np.float32))
    lease.__del__(ending=lambda: True)
    assert not pool.kept
    del lease
    assert pool.bytes == 256


def start(packed, config, positions: int):
    memory = np.random.default_rng(positions).standard_normal((positions, config.d_model)).astype(np.float32)
    return backend.start_cache(backend.numba_ops, packed, config, memory, 3)


def test_an_utterance_takes_the_memory_of_one_that_ended(monkeypatch):
    config, plain = model("lanes-even")
    packed = backend.numba_ops.prepare(plain)
    threads.set_threads(1)  # a helper that comes late holds what it was called with
    first, other = start(packed, config, 64), start(packed, config, 64)
    del first
    monkeypatch.setattr("s2t_np_kernels.pool.empty_aligned", None)  # no new memory
    third = start(packed, config, 64)
    used = [{address(x) for x in (c.keys, c.values, c.cross.block)} for c in (other, third)]
    assert len(used[0] | used[1]) == 6


def test_what_a_model_keeps_for_the_next_is_bounded():
    config, plain = model("lanes-even")
    packed = backend.numba_ops.prepare(plain)
    caches = [start(packed, config, 40) for _ in range(300)]
    for _ in range(70):  # over an enlargement
        backend.step_together(backend.numba_ops, packed, config, [(np.array([4, 5, 6]), c) for c in caches])
    del caches
    assert 0 < packed.decoder.pool.bytes <= packed.decoder.pool.most


def test_a_workspace_is_lent_again_unless_it_is_too_large_to_keep(monkeypatch):
    config, plain = model("lanes-even")
    packed = backend.numba_ops.prepare(plain)
    first = host.borrow(packed, config, 3, 64)
    host.give_back(packed, first)
    assert host.borrow(packed, config, 5, 64) is first
    assert host.borrow(packed, config, 5, 64) is not first  # which is in use
    monkeypatch.setattr(host, "LENDABLE", 2 * first.memory.nbytes - 1)  # room for one
    for lent in (first, host.borrow(packed, config, 5, 64)):
        host.give_back(packed, lent)
    assert host.borrow(packed, config, 5, 64) is first
    assert host.borrow(packed, config, 5, 64) is not first
