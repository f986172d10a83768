"""Results in order, errors in their turn, and the utterances of several recordings in one queue."""

import pytest

from s2t_np.errors import AudioError, S2TError
from s2t_np.together import Sharing, attempts, by_group, ordered
from s2t_np.together.ordering import in_order
from tests.support.askers import Step, asker, failing, lengths

WORKERS = pytest.mark.parametrize("workers", [1, 3])


def test_numbered_results_are_put_in_order_each_as_soon_as_it_can_be():
    seen = []
    arriving = (seen.append(pair) or pair for pair in [(1, "b"), (0, "a"), (3, "d"), (2, "c")])
    found = in_order(arriving)
    assert next(found) == "a" and len(seen) == 2
    assert [*found] == ["b", "c", "d"]


@WORKERS
def test_results_come_in_the_order_of_the_utterances(workers):
    counts = lengths(5, 60)
    found = ordered((asker(i, n) for i, n in enumerate(counts)), Step(), Sharing(4, workers))
    assert list(found) == [(i, n) for i, n in enumerate(counts)]


@WORKERS
def test_an_error_is_raised_in_its_turn_and_its_neighbours_end_well(workers):
    several = [asker("a", 9), failing("b", 1, AudioError("b: broken")), asker("c", 3)]
    found = ordered(several, Step(), Sharing(3, workers))
    assert next(found) == ("a", 9)
    with pytest.raises(AudioError, match="b: broken"):
        next(found)


def breaking(count: int, error: Exception):
    """Utterances, and then an error where there should be one more."""
    yield from (asker(i, 4 - i) for i in range(count))
    raise error


@WORKERS
def test_where_no_more_can_be_had_those_before_end_first(workers):
    found = ordered(breaking(3, AudioError("cut short")), Step(), Sharing(8, workers))
    assert [next(found) for _ in range(3)] == [(0, 4), (1, 3), (2, 2)]
    with pytest.raises(AudioError, match="cut short"):
        next(found)


@WORKERS
def test_an_attempt_has_its_error_as_its_result(workers):
    error = S2TError("mine")
    found = attempts([asker("a", 2), failing("b", 1, error), asker("c", 3)], Step(), Sharing(2, workers))
    assert list(found) == [("a", 2), error, ("c", 3)]
    with pytest.raises(ZeroDivisionError):
        list(attempts([failing("b", 1, ZeroDivisionError())], Step(), Sharing(2, workers)))


class Forgetful(Step):
    """A step that finds no memory the third time."""

    def __call__(self, asks):
        answers = super().__call__(asks)
        if len(self.widths) == 3:
            raise MemoryError
        return answers


class Recording:
    """A group of utterances; it may break off."""

    def __init__(self, name, counts, error=None):
        self.name, self.counts, self.error, self.opened = name, counts, error, False

    def utterances(self):
        self.opened = True
        yield from (asker((self.name, i), n) for i, n in enumerate(self.counts))
        if self.error:
            raise self.error


def results_of(recording) -> list:
    return [((recording.name, i), n) for i, n in enumerate(recording.counts)]


@WORKERS
@pytest.mark.parametrize("width", [1, 3, 20])
def test_groups_come_in_order_each_with_its_own_results(workers, width):
    recordings = [Recording(i, lengths(i, i % 7)) for i in range(30)]
    step = Step()
    found = [(group, list(results)) for group, results in by_group(recordings, step, Sharing(width, workers))]
    assert found == [(recording, results_of(recording)) for recording in recordings]
    assert max(step.widths) == width if width < 20 else max(step.widths) > 3


@WORKERS
def test_the_error_of_a_group_is_its_own(workers):
    recordings = [
        Recording("a", [3, 4]),
        Recording("b", [9, 1], AudioError("b breaks off")),
        Recording("c", [], AudioError("c is empty")),
        Recording("d", [2]),
    ]
    found = {}
    for group, results in by_group(iter(recordings), Step(), Sharing(4, workers)):
        found[group.name] = []
        try:
            found[group.name].extend(results)
        except AudioError as error:
            found[group.name].append(str(error))
    assert list(found) == list("abcd")
    assert found["a"] == results_of(recordings[0]) and found["d"] == results_of(recordings[3])
    assert found["b"] == ["b breaks off"] or found["b"][-1] == "b breaks off"
    assert found["c"] == ["c is empty"]


@WORKERS
def test_a_step_without_memory_ends_those_that_took_part_and_the_others_go_on(workers):
    recordings, found = [Recording(name, [4]) for name in "abcdefgh"], {}
    for group, results in by_group(recordings, step := Forgetful(), Sharing(2, workers)):
        try:
            found[group.name] = list(results)
        except MemoryError:
            found[group.name] = "no memory"
    ended = [name for name, result in found.items() if result == "no memory"]
    assert len(ended) == step.widths[2] and len(found) == 8
    assert all(found[one.name] == results_of(one) for one in recordings if one.name not in ended)


def test_what_the_caller_leaves_of_a_group_is_skipped():
    recordings = [Recording("a", [1, 2, 3]), Recording("b", [2, 2])]
    first = [next(results) for _, results in by_group(recordings, Step(), Sharing(2))]
    assert first == [(("a", 0), 1), (("b", 0), 2)]


def test_a_recording_is_opened_only_when_there_is_room_for_it():
    recordings = [Recording(i, [5, 9]) for i in range(5)]
    found = by_group(recordings, Step(), Sharing(3))
    _, results = next(found)
    next(results)
    assert [recording.opened for recording in recordings] == [True, True, False, False, False]
