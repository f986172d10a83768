"""Decoder steps that several threads share: one that asks while a step is computed takes part in the next one.

Every request and every live session runs in a thread of its own, written as if it were alone. What it asks of the
backend comes here. A thread that gets one of the slots answers everything that waits with one step, so that the weights
are read once for all; no one waits for company, and the busier the server is, the larger the steps become. Results are
those of one request alone, to the bit (`together` in the room below says why). fbank and the encoder take a slot, too:
there are as many slots as cores, however many requests run.
"""

import threading
from collections.abc import Callable, Sequence

from ..backend import Backend
from ..search import Ask, NextToken


class Waiting:
    """The asks of one thread, and their answers."""

    def __init__(self, asks: Sequence[Ask]):
        self.asks, self.answers, self.error = asks, [], None
        self.is_taken, self.done = False, threading.Event()


class SharedSteps:
    """A backend's calls, for many threads at once."""

    def __init__(self, backend: Backend, slots: int):
        """`slots`: how many threads compute at a time."""
        self.own, self.slots = backend, threading.Semaphore(slots)
        self.lock, self.waiting = threading.Lock(), []
        self.steps, self.answered = 0, 0

    def backend(self) -> Backend:
        """The same backend, through here."""
        gated = {name: self.gated(getattr(self.own, name)) for name in ("fbank", "encode")}
        return self.own._replace(step=self.step, step_together=self.step_together, **gated)

    def gated(self, function: Callable) -> Callable:
        """The same function, within a slot."""

        def call(*args, **kwargs):
            with self.slots:
                return function(*args, **kwargs)

        return call

    def step(self, ops, weights, config, tokens, cache) -> NextToken:
        """As decoder.step."""
        return self.step_together(ops, weights, config, [Ask(tokens, cache)])[0]

    def step_together(self, ops, weights, config, asks: Sequence[Ask]) -> list[NextToken]:
        """As decoder.step_together. Raises what the step raises."""
        mine = Waiting(asks)
        with self.lock:
            self.waiting.append(mine)
        with self.slots:
            if not mine.is_taken:
                self.answer_all(ops, weights, config)
        mine.done.wait()
        if mine.error is not None:
            raise mine.error
        return mine.answers

    def answer_all(self, ops, weights, config) -> None:
        """One step for everything that waits."""
        with self.lock:
            taken, self.waiting = self.waiting, []
            for one in taken:
                one.is_taken = True
        try:
            answers = iter(self.own.step_together(ops, weights, config, [ask for one in taken for ask in one.asks]))
            for one in taken:
                one.answers = [next(answers) for _ in one.asks]
            self.steps, self.answered = self.steps + 1, self.answered + sum(len(one.asks) for one in taken)
        except BaseException as error:
            for one in taken:
                one.error = error
        finally:
            for one in taken:
                one.done.set()
