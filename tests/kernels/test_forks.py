"""What threads of kernels share is fresh in a forked child, whatever a thread of its parent was doing with it."""

import gc
import os

import pytest

from tests.support.forks import child, held_by_another_thread

pytest.importorskip("numba")

from s2t_np_kernels.pool import Pool, lend_floats

from s2t_np_kernels import forks
from s2t_np_kernels import threads as kernel_threads

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_a_child_can_lend_memory_while_a_thread_of_its_parent_holds_the_pool():
    pool = Pool(1 << 20)
    lent = [lend_floats(pool, 1000)]

    def give_back_and_lend() -> bool:
        lent.clear()
        return pool.bytes == 4096 and len(lend_floats(pool, 1000)) == 1000

    with held_by_another_thread(pool.lock):
        assert child(give_back_and_lend) == 0


def test_a_child_begins_with_an_empty_pool():
    """A thread of its parent may have kept a thing without having counted it."""
    pool = Pool(100)
    pool.give("a", "thing", 10)
    pool.bytes = 95

    def counts_what_it_keeps() -> bool:
        empty = pool.take("a") is None and pool.bytes == 0
        pool.give("b", "thing", 20)
        return empty and pool.take("b") == "thing"

    assert child(counts_what_it_keeps) == 0
    assert pool.take("a") == "thing"


def test_a_child_can_call_helpers_while_a_thread_of_its_parent_does():
    with held_by_another_thread(kernel_threads._crew.lock):
        assert child(lambda: kernel_threads._crew.call(1, int) is None and kernel_threads._crew.size == 1) == 0


def test_what_is_gone_is_not_renewed():
    gc.collect()
    before = len(forks._living)
    pools = [Pool(1) for _ in range(10)]
    assert len(forks._living) == before + 10
    del pools
    gc.collect()
    assert len(forks._living) == before
