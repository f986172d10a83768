"""Who takes part in which step: continuous batching over utterances that need no model."""

import pytest

from s2t_np.together import together
from tests.support.askers import Step, asker, failing, lengths


@pytest.mark.parametrize("width", [1, 2, 3, 8, 50])
def test_every_utterance_ends_once_with_its_own_result(width):
    counts, step = lengths(width, 40), Step()
    found = list(together(((i, asker(i, n)) for i, n in enumerate(counts)), step, width))
    assert sorted(found) == [(i, (i, n)) for i, n in enumerate(counts)]
    assert sum(step.widths) == sum(counts) and min(width, 3) <= max(step.widths) <= width


def test_one_at_a_time_is_one_after_the_other():
    log = []
    found = list(together(((i, asker(i, 2, log)) for i in range(3)), Step(), 1))
    assert log == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert [number for number, _ in found] == [0, 1, 2]


def test_one_that_ends_leaves_and_a_waiting_one_joins_at_once():
    step = Step()
    found = list(together(enumerate([asker("a", 6), asker("b", 1), asker("c", 2), asker("d", 2)]), step, 2))
    assert step.widths == [1, 2, 2, 2, 2, 2]
    assert [result for _, result in found] == [("b", 1), ("c", 2), ("a", 6), ("d", 2)]


def test_one_joins_a_step_so_that_the_others_are_not_kept_waiting():
    made, step = [], Step()
    utterances = (made.append(i) or (i, asker(i, 9)) for i in range(5))
    sizes = []
    list(together(utterances, lambda asks: sizes.append(len(made)) or step(asks), 4))
    assert sizes[:5] == [1, 2, 3, 4, 4] and step.widths[:5] == [1, 2, 3, 4, 4]


def test_an_utterance_is_made_only_when_there_is_room_for_it():
    made = []
    utterances = (made.append(i) or (i, asker(i, 3 + 2 * i)) for i in range(10))
    found = together(utterances, Step(), 3)
    assert next(found) == (0, (0, 3)) and made == [0, 1, 2]
    assert next(found) == (1, (1, 5)) and made == [0, 1, 2, 3]


def test_utterances_that_ask_nothing_take_no_place():
    log = []
    several = [asker("a", 3, log), *(asker(i, 0) for i in range(5)), asker("b", 1, log)]
    found = together(enumerate(several), Step(), 2)
    assert [next(found) for _ in range(5)] == [(i + 1, (i, 0)) for i in range(5)]
    assert [next(found), next(found)] == [(6, ("b", 1)), (0, ("a", 3))]
    assert log == [("a", 0), ("a", 1), ("b", 0), ("a", 2)]


def test_what_an_utterance_raises_is_raised():
    with pytest.raises(ValueError, match="broken"):
        list(together(enumerate([asker("a", 5), failing("b", 2, ValueError("broken"))]), Step(), 2))


def test_an_utterance_that_makes_nothing_of_an_error_raises_it():
    def broken(asks):
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        list(together(enumerate([asker("a", 2), asker("b", 2)]), broken, 2))


def test_a_step_that_answers_too_few_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        list(together(enumerate([asker("a", 2), asker("b", 2)]), lambda asks: Step()(asks)[:1], 2))
