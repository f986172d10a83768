"""Doubt: repetitions are seen, searched for again, and the better answer is kept."""

import zlib

import pytest

from s2t_np.longform.fallback import decode_with_fallback
from s2t_np.longform.quality import QualityOptions, compression_ratio, has_loop, has_repeated_ngram, quality_flags
from s2t_np.search import Hypothesis, run

PLAIN = tuple(range(10, 30))
LOOP = (10, 11, 12) * 8


def hypothesis(tokens=PLAIN, log_prob=-0.1, finished=True):
    tokens = (*tokens, 2) if finished else tokens
    return Hypothesis((2, *tokens), (log_prob,) * len(tokens), log_prob, finished)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (PLAIN, False),
        ((5,) * 7, False),  # "no no no no no no no"
        ((5,) * 8, True),
        ((1, *(5,) * 8, 3), True),
        ((5, 6) * 3, False),
        ((5, 6) * 4, True),
        ((9, *(5, 6, 7) * 4, 8), True),
        ((5, 6, 7) * 3, False),
        ((*(5, 6, 7, 8), 1) * 3, False),
        ((), False),
    ],
)
def test_loops(tokens, expected):
    assert has_loop(tokens) is expected


def test_a_loop_of_characters_is_as_long_as_one_of_pieces():
    assert not has_loop(tuple(b"hahahaha"), 4) and has_loop(tuple(b"hahahaha"))
    assert has_loop(tuple(b"ha" * 16), 4) and not has_loop(tuple(b"ha" * 15), 4)


def test_characters_that_come_again_are_no_reason_for_a_second_search():
    """Every text repeats some three characters; to forbid that would spoil it."""
    asked, said = [], tuple(b"the dog and the cat")

    def search(**more):
        asked.append(more)
        return [hypothesis(said, -3.0)], ["the dog and the cat"]
        yield

    assert run(decode_with_fallback(search, QualityOptions(), 4), None)[1] == ("low_logprob",)
    assert asked == [{}]
    said = tuple(b"the dog and the cat and the dog and the cat")
    run(decode_with_fallback(search, QualityOptions(), 4), None)
    assert asked[1:] == [{}, {"no_repeat_ngram_size": 12}]


def test_repeats():
    assert has_repeated_ngram((1, 2, 3, 9, 1, 2, 3), 3) and not has_repeated_ngram((1, 2, 3, 9, 1, 2, 4), 3)
    assert (
        has_repeated_ngram((5, 5, 5, 5), 3) and not has_repeated_ngram((5, 5, 5), 3) and not has_repeated_ngram((), 3)
    )


def test_compression_ratio_is_whisper_s():
    text = "the quick brown fox " * 20
    assert compression_ratio(text) == len(text.encode()) / len(zlib.compress(text.encode())) > 2.4
    assert compression_ratio("") == 1.0 and compression_ratio("the quick brown fox") < 1


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        (hypothesis(), "a plain text", ()),
        (hypothesis(LOOP), "a plain text", ("repetition",)),
        (hypothesis(), "over and over " * 20, ("repetition",)),
        (hypothesis(log_prob=-1.1), "a plain text", ("low_logprob",)),
        (hypothesis(finished=False), "a plain text", ("unfinished",)),
        (hypothesis(LOOP, -2.0, False), "", ("repetition", "low_logprob", "unfinished")),
        (hypothesis(()), "", ()),
    ],
)
def test_doubts(given, text, expected):
    assert quality_flags(given, text, QualityOptions()) == expected


def test_thresholds_are_options():
    off = QualityOptions(compression_ratio_threshold=None, logprob_threshold=None)
    assert quality_flags(hypothesis(log_prob=-9.0), "over and over " * 20, off) == ()
    assert quality_flags(hypothesis(log_prob=-0.2), "", QualityOptions(logprob_threshold=-0.1)) == ("low_logprob",)


class Searches:
    """Gives one answer, another when a repetition is forbidden, and remembers what it was asked."""

    def __init__(self, first, second=None):
        self.answers, self.asked = {0: first, 3: second}, []

    def __call__(self, no_repeat_ngram_size=0):
        self.asked.append(no_repeat_ngram_size)
        return [self.answers[no_repeat_ngram_size]], ["a text"]
        yield


def decoded(search, **options):
    """The answer and its flags, of searches that ask nothing."""
    return run(decode_with_fallback(search, QualityOptions(**options)), None)


def test_a_good_answer_is_believed_at_once():
    search = Searches(hypothesis())
    answer, flags = decoded(search)
    assert answer[0][0] is search.answers[0] and flags == () and search.asked == [0]


def test_a_loop_is_searched_for_again():
    search = Searches(hypothesis(LOOP), hypothesis())
    answer, flags = decoded(search)
    assert answer[0][0] is search.answers[3] and flags == ("retried",) and search.asked == [0, 3]


def test_what_was_really_said_so_often_stays():
    search = Searches(hypothesis(LOOP), hypothesis(log_prob=-3.0))
    answer, flags = decoded(search)
    assert answer[0][0] is search.answers[0] and flags == ("repetition",)


def test_without_a_repetition_nothing_else_would_come_of_it():
    search = Searches(hypothesis(log_prob=-3.0))
    assert decoded(search)[1] == ("low_logprob",) and search.asked == [0]


def test_the_retry_can_be_switched_off():
    search = Searches(hypothesis(LOOP))
    assert decoded(search, retry_no_repeat_ngram_size=0)[1] == ("repetition",) and search.asked == [0]
