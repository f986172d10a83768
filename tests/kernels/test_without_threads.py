"""The system gives no more threads, or fewer than asked for (`ulimit -u`): those there are compute the same bits."""

import queue

import numpy as np
import pytest

from s2t_np.system import threads

pytest.importorskip("numba")

from s2t_np_kernels import backend
from s2t_np_kernels import threads as kernel_threads
from tests.support.few_threads import give_threads
from tests.support.kernel_models import model


@pytest.fixture(params=[0, 1])
def given(request, monkeypatch):
    """That many helpers of kernels, and then none; those of other tests are not there."""
    monkeypatch.setattr(kernel_threads, "_crew", kernel_threads._Crew())
    give_threads(monkeypatch, request.param, "s2t-np-")
    return request.param


def outputs() -> list[np.ndarray]:
    """The memory of an utterance, and the logits of some steps."""
    config, plain = model("lanes-even")
    packed, rng = backend.numba_ops.prepare(plain), np.random.default_rng(0)
    features = rng.standard_normal((50, config.input_feat_per_channel)).astype(np.float32)
    memory = backend.encode(backend.numba_ops, packed.encoder, config, features)
    cache, found = backend.start_cache(backend.numba_ops, packed, config, memory, 3), [memory]
    for _ in range(6):
        found.append(backend.step(backend.numba_ops, packed, config, rng.integers(4, 99, 3), cache).logits)
    return found


def test_the_threads_there_are_do_the_work(given):
    threads.set_threads(1)
    expected = outputs()
    threads.set_threads(4)
    found = outputs()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert kernel_threads._crew.size == given


def test_no_work_waits_for_a_helper_that_is_not_there(given):
    """It would hold the arrays of its call for ever."""
    kernel_threads._crew.call(5, int)
    assert kernel_threads._crew.size == given and kernel_threads._crew.jobs.qsize() <= given


def test_a_helper_without_memory_is_there_for_the_next_call():
    def fail():
        raise MemoryError

    crew, done = kernel_threads._Crew(), queue.SimpleQueue()
    crew.call(1, fail)
    crew.call(1, lambda: done.put("done"))
    assert done.get(timeout=60) == "done" and crew.size == 1
