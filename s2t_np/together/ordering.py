"""Results in the order of the utterances, and the utterances of many recordings as one queue.

An error is a result like any other: it is raised where the result would have been, after all results before it, and
the neighbours in the decoder do not notice. `by_group` lets the caller go on with the next recording.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple, Protocol, TypeVar

from ..errors import S2TError
from ..search import Asking
from .scheduler import Known, StepTogether
from .workers import Sharing, side_by_side

R = TypeVar("R")


class Outcome(NamedTuple):
    """The result of an utterance, or the error in which it ended."""

    value: object
    error: Exception | None = None

    def result(self):
        """The value. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Group(Protocol):
    """Utterances that belong together: those of a recording."""

    def utterances(self) -> Iterator[Asking]:
        """Each is made when there is room for it."""


class Begin(NamedTuple):
    """Stands in the queue before the utterances of a group."""

    group: Group


END = object()  # stands in the queue after them


def guarded(utterance: Asking) -> Asking[Outcome]:
    """The same utterance, of which an error is a result."""
    try:
        return Outcome((yield from utterance))
    except Exception as error:
        return Outcome(None, error)


def guarded_all(utterances: Iterable[Asking]) -> Iterator[Asking[Outcome] | Known]:
    """All utterances, guarded; where there should be one more and it cannot be had, its error."""
    try:
        for utterance in utterances:
            yield guarded(utterance)
    except Exception as error:
        yield Known(Outcome(None, error))


def in_order(results: Iterable[tuple[int, R]]) -> Iterator[R]:
    """Numbered results by number, each as soon as all earlier ones are there."""
    early: dict[int, R] = {}
    following = 0
    for number, result in results:
        early[number] = result
        while following in early:
            yield early.pop(following)
            following += 1


def outcomes(
    guarded: Iterable[Asking[Outcome] | Known], step: StepTogether, sharing: Sharing, expected: int = 0
) -> Iterator[Outcome]:
    """The outcomes of utterances, in order, each as soon as it and those before it are there."""
    with closing(side_by_side(guarded, step, sharing, expected)) as results:
        yield from in_order(results)


def ordered(utterances: Iterable[Asking[R]], step: StepTogether, sharing: Sharing) -> Iterator[R]:
    """The result of every utterance, in order. Raises the error of the first that ended in one, in its turn."""
    with closing(outcomes(guarded_all(utterances), step, sharing)) as found:
        yield from (outcome.result() for outcome in found)


def attempts(
    utterances: Iterable[Asking[R]], step: StepTogether, sharing: Sharing, expected: int = 0
) -> Iterator[R | S2TError]:
    """The same, but an S2TError takes the place of the result. Raises any other error."""
    with closing(outcomes(guarded_all(utterances), step, sharing, expected)) as found:
        for outcome in found:
            yield outcome.error if isinstance(outcome.error, S2TError) else outcome.result()


G = TypeVar("G", bound=Group)


def by_group(
    groups: Iterable[G], step: StepTogether, sharing: Sharing, expected: int = 0
) -> Iterator[tuple[G, Iterator]]:
    """Every group, in order, with the results of its utterances, in order, each as soon as it is there.

    The results of a group are to be iterated before the next group is asked for; they raise its first error in its
    turn. Utterances of the next groups already run meanwhile. `expected` as in `side_by_side`.
    """
    queue = (utterance for group in groups for utterance in enclosed(group))
    with closing(outcomes(queue, step, sharing, expected)) as found:
        for outcome in found:  # what is neither Begin nor END was left over by the caller
            if isinstance(outcome.value, Begin):
                yield outcome.value.group, until_end(found)


def enclosed(group: Group) -> Iterator[Asking[Outcome] | Known]:
    """The utterances of a group between its marks."""
    yield Known(Outcome(Begin(group)))
    yield from guarded_all(group.utterances())
    yield Known(Outcome(END))


def until_end(found: Iterator[Outcome]) -> Iterator:
    """The results up to the end of a group."""
    for outcome in found:
        if outcome.value is END:
            return
        yield outcome.result()
