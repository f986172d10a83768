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


class Running(NamedTuple):
    """An utterance that waits for an answer."""

    number: int
    utterance: Asking
    ask: Ask


def together(utterances: Iterable[tuple[int, Asking[R]]], step: StepTogether, width: int) -> Iterator[tuple[int, R]]:
    """Run numbered utterances, `width` at a time: (number, result) of each as it ends.

    The next utterance is taken from `utterances` only when there is room for it. Raises what one of them raises.
    """
    waiting, running = iter(utterances), []
    while True:
        room = min(width, len(running) + 1)
        while len(running) < room and (arrival := next(waiting, None)):
            yield from answered(*arrival, None, running)
        if not running:
            return
        asked, running = running, []
        try:
            answers = step([one.ask for one in asked])
        except MemoryError as error:
            yield from refused(asked, error)
            continue
        for one, answer in zip(asked, answers, strict=True):
            yield from answered(one.number, one.utterance, answer, running)


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
    number: int, utterance: Asking[R], answer: NextToken | None, running: list[Running]
) -> Iterator[tuple[int, R]]:
    """Send an utterance its answer (None starts it). It asks again and runs on, or this yields its result."""
    try:
        running.append(Running(number, utterance, utterance.send(answer)))
    except StopIteration as end:
        yield number, end.value
