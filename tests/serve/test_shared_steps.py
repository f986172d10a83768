"""Decoder steps that several threads share: who waits takes part in the next one, and gets its own answers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from s2t_np.search import Ask
from s2t_np.serve.cancelling import cancellable_model
from s2t_np.serve.desk import Stop
from s2t_np.serve.shared_steps import SharedSteps
from s2t_np.together.workers import Cancelled


class Counting:
    """A backend that doubles what it is asked; its first step waits for the gate."""

    def __init__(self, backend):
        self.sizes, self.gate, self.begun = [], threading.Event(), threading.Event()
        self.backend = backend._replace(step_together=self.step_together)

    def step_together(self, ops, weights, config, asks):
        first = not self.sizes
        self.sizes.append(len(asks))
        if first:
            self.begun.set()
            assert self.gate.wait(10)
        if any(ask.tokens < 0 for ask in asks):
            raise ValueError("below zero")
        return [ask.tokens * 2 for ask in asks]


def asked(shared, *numbers):
    """What a thread gets for its asks."""
    return shared.step_together(None, None, None, [Ask(number, None) for number in numbers])


def test_what_waits_is_answered_in_one_step(digits):
    counting = Counting(digits.backend)
    shared = SharedSteps(counting.backend, 1)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(asked, shared, 1)
        assert counting.begun.wait(10)
        rest = [pool.submit(asked, shared, number, number + 100) for number in range(2, 8)]
        while len(shared.waiting) < 6:
            pass
        counting.gate.set()
        assert first.result() == [2]
        assert [one.result() for one in rest] == [[2 * n, 2 * (n + 100)] for n in range(2, 8)]
    assert counting.sizes == [1, 12]
    assert (shared.steps, shared.answered) == (2, 13)


def test_an_error_reaches_all_that_took_part_and_none_after_them(digits):
    counting = Counting(digits.backend)
    counting.gate.set()
    shared = SharedSteps(counting.backend, 2)
    with pytest.raises(ValueError, match="below zero"):
        asked(shared, -1)
    assert asked(shared, 4) == [8]


def test_there_are_no_more_computing_threads_than_slots(digits):
    inside, most, lock = [], [], threading.Lock()

    def encode(*args):
        with lock:
            inside.append(1)
            most.append(len(inside))
        threading.Event().wait(0.02)
        inside.pop()

    shared = SharedSteps(digits.backend._replace(encode=encode), 2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(shared.backend().encode, range(16)))
    assert max(most) == 2


def test_a_stopped_thread_asks_no_more(digits):
    stop = Stop()
    backend = cancellable_model(digits, stop).backend
    assert backend.step_together(None, None, None, []) == []
    stop.set()
    for name in ("fbank", "encode", "step", "step_together"):
        with pytest.raises(Cancelled):
            getattr(backend, name)()


def test_results_are_those_of_one_alone(digits):
    """Sixteen threads with different sounds: the same tokens and probabilities, to the bit, in fewer steps."""
    from dataclasses import replace

    sounds = [np.random.default_rng(seed).standard_normal((60 + 7 * seed, 80)).astype("f4") for seed in range(16)]
    alone = [digits.generate(sound, num_beams=3, max_length=20) for sound in sounds]
    shared = SharedSteps(digits.backend, 2)
    model = replace(digits, backend=shared.backend())
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda sound: model.generate(sound, num_beams=3, max_length=20), sounds))
    assert found == alone
    assert shared.steps < shared.answered
