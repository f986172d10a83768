"""Continuous batching: which utterances take part in the next step of the decoder.

Up to `width` utterances run. Each step answers what all of them asked; one that then returns leaves, and a waiting one
takes its place before the next step. So an utterance never waits for a longer neighbour, and no row is padding. (Yu et
al. 2022, "Orca: A Distributed Serving System for Transformer-Based Generative Models", OSDI, section 3.1, call it
iteration-level scheduling.)

A step that finds no memory ends those that took part in it, and the others go on.

What an utterance does before its first Ask, such as reading, features and the encoder, happens when it joins. One joins
a step, so that those that run are never kept waiting for long.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from ..search import Ask, Asking, NextToken

R = TypeVar("R")
StepTogether = Callable[[Sequence[Ask]], list[NextToken]]  # an answer to each Ask, as decoder.step_together


class Known(NamedTuple):
    """Stands among the utterances; its result is there already."""

    result: object


class Running(NamedTuple):
    """An utterance that waits for an answer."""

    number: int
    utterance: Asking
    ask: Ask


class Company:
    """The utterances that run together."""

    def __init__(self, step: StepTogether, width: int, running: Iterable[Running] = ()):
        """Up to `width` run at a time; some may have begun elsewhere."""
        self.step, self.width, self.running = step, width, list(running)

    def welcome(self, waiting: Iterator[tuple[int, Asking[R] | Known]]) -> Iterator[tuple[int, R]]:
        """Let one that waits join, if there is room: (number, result) of each before it that asks nothing."""
        room = min(self.width, len(self.running) + 1)
        while len(self.running) < room and (arrival := next(waiting, None)):
            yield from answered(*arrival, None, self.running)

    def leave(self) -> Iterator[Running]:
        """Hand over those that run, so that nothing here keeps what they compute with."""
        running, self.running = self.running, []
        return iter(running)

    def advance(self) -> Iterator[tuple[int, R]]:
        """A step for all: (number, result) of each that ends. Raises what one of them raises."""
        asked, self.running = self.running, []
        try:
            answers = self.step([one.ask for one in asked])
        except MemoryError as error:
            yield from refused(asked, error)
            return
        for one, answer in zip(asked, answers, strict=True):
            yield from answered(one.number, one.utterance, answer, self.running)


def together(
    utterances: Iterable[tuple[int, Asking[R] | Known]], step: StepTogether, width: int, running: Iterable[Running] = ()
) -> Iterator[tuple[int, R]]:
    """Run numbered utterances, `width` at a time: (number, result) of each as it ends; `running` have begun elsewhere.

    The next utterance is taken from `utterances` only when there is room for it. Raises what one of them raises.
    """
    company, waiting = Company(step, width, running), iter(utterances)
    while True:
        yield from company.welcome(waiting)
        if not company.running:
            return
        yield from company.advance()


def refused(asked: Sequence[Running], error: Exception) -> Iterator[tuple[int, R]]:
    """Raise an error in each utterance, where it waits for its answer: the results of those that make one of it.

    Their caches may have grown or not, so none of them can ask again. Raises what an utterance raises.
    """
    for one in asked:
        try:
            one.utterance.throw(error)
        except StopIteration as end:
            yield one.number, end.value
        else:
            raise RuntimeError("an utterance asked once more after an error") from error


def answered(
    number: int, utterance: Asking[R] | Known, answer: NextToken | None, running: list[Running]
) -> Iterator[tuple[int, R]]:
    """Send an utterance its answer (None starts it). It asks again and runs on, or this yields its result."""
    if isinstance(utterance, Known):
        yield number, utterance.result
        return
    try:
        running.append(Running(number, utterance, utterance.send(answer)))
    except StopIteration as end:
        yield number, end.value
