"""Work is shared without locks: right from several Python threads at once, after a fork, and Ctrl-C is heard."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from s2t_np.system import threads
from tests.support.paths import ROOT

pytest.importorskip("numba")

from s2t_np_kernels.simd import scheduling

from s2t_np_kernels import backend
from s2t_np_kernels import threads as kernel_threads
from tests.support.kernel_models import model


def encode_once(frames: int) -> np.ndarray:
    config, plain = model("lanes-even")
    packed = backend.numba_ops.prepare(plain)
    x = np.random.default_rng(frames).standard_normal((frames, config.input_feat_per_channel)).astype(np.float32)
    return backend.encode(backend.numba_ops, packed.encoder, config, x)


def test_every_system_has_a_way_to_offer_the_processor(monkeypatch):
    """On Windows none is called where LLVM cannot find it: the code could not be loaded."""
    assert scheduling.yielding("linux") == scheduling.yielding("darwin") == "sched_yield"
    found = {"SwitchToThread": 1}
    monkeypatch.setattr(scheduling.llvm, "address_of_symbol", found.get)
    assert scheduling.yielding("win32") == "SwitchToThread"
    found.clear()
    assert scheduling.yielding("win32") is None


def test_several_threads_at_once():
    threads.set_threads(3)
    expected, failures = {n: encode_once(n) for n in (50, 200, 400)}, []

    def work(frames):
        for _ in range(20):
            if not np.array_equal(encode_once(frames), expected[frames]):
                failures.append(frames)

    workers = [threading.Thread(target=work, args=(n,)) for n in (50, 200, 400, 50, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert not failures and not any(worker.is_alive() for worker in workers)


def three_together(steps: int) -> tuple[list[np.ndarray], float]:
    """Logits of steps of three utterances together, 33 rows, and the median of their seconds."""
    config, plain = model("lanes-even")
    packed, rng = backend.numba_ops.prepare(plain), np.random.default_rng(0)
    caches, logits, seconds = [], [], []
    for positions in (40, 3, 300):
        memory = rng.standard_normal((positions, config.d_model)).astype(np.float32)
        caches.append(backend.start_cache(backend.numba_ops, packed, config, memory, 11))
    for _ in range(steps):
        asks, began = [(rng.integers(4, 99, 11), cache) for cache in caches], time.perf_counter()
        answers = backend.step_together(backend.numba_ops, packed, config, asks)
        seconds.append(time.perf_counter() - began)
        logits += [found.logits for found in answers]
    return logits, float(np.median(seconds))


@pytest.mark.parametrize("count", (3, 4, 8, 16))
def test_more_threads_than_processors_give_the_same_bits_and_do_not_collapse(count):
    threads.set_threads(1)
    expected, alone = three_together(30)
    threads.set_threads(count)
    found, crowded = three_together(30)
    assert np.array_equal(found, expected)
    assert crowded < 20 * alone + 0.1  # seconds; a thread that waits for one without a processor gives its own away


def decode(seed: int, pause: float = 0.0) -> list[np.ndarray]:
    """Logits of 70 steps of 3 beams: more than a persistent call has iterations and a cache has space for at first."""
    config, plain = model("lanes-even")
    packed, rng = backend.numba_ops.prepare(plain), np.random.default_rng(seed)
    memory = rng.standard_normal((40, config.d_model)).astype(np.float32)
    cache, logits = backend.start_cache(backend.numba_ops, packed, config, memory, 3), []
    for _ in range(70):
        logits.append(backend.step(backend.numba_ops, packed, config, rng.integers(4, 99, 3), cache).logits)
        time.sleep(pause)
    return logits


def test_steps_of_several_threads_at_once():
    threads.set_threads(3)
    expected, failures = {seed: decode(seed) for seed in range(4)}, []

    def work(seed):
        for _ in range(5):
            if not np.array_equal(decode(seed), expected[seed]):
                failures.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert not failures and not any(worker.is_alive() for worker in workers)


def test_helpers_that_have_left_come_back():
    threads.set_threads(2)
    expected = decode(0)
    assert np.array_equal(decode(0, pause=0.005), expected)


def test_the_number_of_threads_may_change_between_steps():
    config, plain = model("lanes-even")
    packed, memory = backend.numba_ops.prepare(plain), np.ones((40, config.d_model), np.float32)
    results = []
    for counts in ((1, 1, 1), (3, 1, 2)):
        cache = backend.start_cache(backend.numba_ops, packed, config, memory, 2)
        for count in counts:
            threads.set_threads(count)
            logits = backend.step(backend.numba_ops, packed, config, np.array([4, 5]), cache).logits
        results.append(logits)
    assert np.array_equal(*results)


def test_a_thread_may_have_its_own_number():
    threads.set_threads(4)
    seen = []

    def work():
        with threads.own_threads(1):
            seen.append(kernel_threads.get_threads())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert seen == [1] and kernel_threads.get_threads() == 4


def _in_child(queue):
    queue.put(encode_once(100))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_forked_child_has_helpers_of_its_own():
    threads.set_threads(3)
    expected = encode_once(100)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert np.array_equal(queue.get(timeout=60), expected)
    child.join(timeout=60)
    assert child.exitcode == 0


LONG = """
import numpy as np
from tests.support.kernel_models import model
from s2t_np_kernels import backend
config, plain = model("lanes-even")
packed = backend.numba_ops.prepare(plain)
x = np.zeros((60000, config.input_feat_per_channel), np.float32)
print("ready", flush=True)
while True:
    backend.encode(backend.numba_ops, packed.encoder, config, x)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_an_endless_run():
    process = subprocess.Popen([sys.executable, "-c", LONG], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=120)  # a bound for a run that hangs, not a measurement
    finally:
        process.kill()
    assert b"KeyboardInterrupt" in errors
