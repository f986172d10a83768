"""Biases, bad words, several ends, decay, functions of the caller's: scores worked out by hand."""

import numpy as np
import pytest

from s2t_np.config import GenerationConfig
from s2t_np.errors import OptionError
from s2t_np.search import NO_HOOKS, Hooks, beam
from s2t_np.search import constraints as room
from s2t_np.search.options import check_options
from tests.support.search_fakes import FakeDecoder, random_logits, table_logits, transcript_log_probs
from tests.support.search_port import generate

BANNED = -np.inf


def generate_with(logits_of, **options):
    return generate(FakeDecoder(logits_of), GenerationConfig(max_length=12).replace(**options))


def edited(tokens, scores, hooks=NO_HOOKS, prompt_length=1, **options):
    """As `apply`, with functions of the caller's."""
    checked = check_options(GenerationConfig(max_length=50).replace(**options), prompt_length)
    active = room.constraints(checked, prompt_length, hooks)
    return room.constrain(active, np.asarray(tokens), np.array(scores, np.float32)).tolist()


def test_a_bias_is_added_to_what_would_complete_its_sequence():
    biases = [[[4], -2.0], [[1], 0.5], [[3, 4], 10.0], [[2, 3, 0], 7.0], [[3, 3], 99.0], [[0, 1, 2, 3, 4], 50.0]]
    rows = [[2, 3], [3, 0]]
    assert edited(rows, np.ones((2, 5)), sequence_bias=biases) == [[8, 1.5, 1, 100, 9], [1, 1.5, 1, 1, -1]]
    as_dict = {tuple(ids): value for ids, value in biases}
    assert edited(rows, np.ones((2, 5)), sequence_bias=as_dict) == edited(rows, np.ones((2, 5)), sequence_bias=biases)


def test_a_bias_comes_before_the_repetition_penalty():
    assert edited([[2, 1]], [[1, 1, 1]], sequence_bias={(1,): 3.0}, repetition_penalty=2.0) == [[1, 2, 0.5]]


def test_bad_words_are_banned_where_they_would_be_complete_and_an_end_by_itself_never_is():
    words = [[4], [3, 1], [2, 3, 0], [2], [3, 2]]
    for rows, banned in (([[2, 3]], [0, 1, 2, 4]), ([[0, 3]], [1, 2, 4]), ([[3, 0]], [4])):
        after = np.array(edited(rows, np.zeros((1, 5)), bad_words_ids=words))
        assert np.flatnonzero(after == BANNED).tolist() == banned
    both_end = edited([[3, 0]], np.zeros((1, 5)), bad_words_ids=words, eos_token_id=[2, 4])
    assert both_end == [[0, 0, 0, 0, 0]]


def test_every_end_waits_for_min_length_and_may_be_forced():
    ends = {"eos_token_id": [2, 4], "max_length": 6}
    assert edited([[2]], np.zeros((1, 5)), min_length=3, **ends) == [[0, 0, BANNED, 0, BANNED]]
    forced = edited([[2, 0, 0, 0, 0]], np.full((1, 5), -3.0), forced_eos_token_id=[1, 4], **ends)
    assert forced == [[BANNED, 0, BANNED, BANNED, 0]]
    left = edited([[2, 0, 0, 0, 0]], np.ones((1, 5)), forced_eos_token_id=[1, 4], suppress_tokens=[1], **ends)
    assert left == [[BANNED, BANNED, BANNED, BANNED, 0]]
    with pytest.raises(OptionError, match="forced_eos_token_id is 1, which is also in suppress_tokens"):
        edited([[2]], np.ones((1, 5)), forced_eos_token_id=[1, 4], suppress_tokens=[1, 4])


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (5, [-8, -1, -4]),  # the prompt has 2 tokens and the penalty begins after 3 more
        (6, [-8, -1, -4 + 4 * 0.5]),
        (7, [-8, -1, -4 + 4 * 1.25]),
        (8, [-8, -1, -4 + 4 * 2.375]),
    ],
)
def test_an_end_becomes_likelier_with_every_token(length, expected):
    options = {"exponential_decay_length_penalty": (3, 1.5), "prompt_length": 2}
    assert edited([[2] + [0] * (length - 1)], [[-8, -1, -4]], **options) == [expected]
    positive = edited([[2] + [0] * (length - 1)], [[-8, -1, 4]], **options)
    assert positive == [[-8, -1, expected[2] + 8]]
    banned = edited([[2] + [0] * (length - 1)], [[-8, -1, -4]], min_length=40, **options)
    assert banned == [[-8, -1, BANNED]]


def test_a_decay_too_large_for_floats_makes_the_end_certain():
    assert edited([[2] * 49], [[-8, -1, -4]], exponential_decay_length_penalty=(0, 1e300)) == [[-8, -1, np.inf]]


def test_infinite_scores_become_the_largest_and_the_lowest_float_before_later_bans():
    lowest = float(np.finfo(np.float32).min)
    options = {"remove_invalid_values": True, "bad_words_ids": [[1]], "suppress_tokens": [3]}
    assert edited([[2]], [[1, 1, np.inf, 1]], **options) == [[1, lowest, -lowest, BANNED]]


def test_renormalized_scores_are_log_probabilities_of_what_is_left():
    after = edited([[2]], [[0, 0, 5, 5]], suppress_tokens=[2, 3], renormalize_logits=True)
    assert after[0] == pytest.approx([np.log(0.5), np.log(0.5), BANNED, BANNED], abs=1e-6)
    nothing = edited([[2]], [[0, 0]], suppress_tokens=[0, 1], renormalize_logits=True)
    assert nothing == [[BANNED, BANNED]]


def test_only_allowed_tokens_are_kept_and_count_as_certain_where_none_is_left():
    hooks = Hooks(allowed=lambda tokens: [int(tokens[-1]), 3])
    rows, scores = [[2, 0], [2, 1]], [[-1, -2, -3, -4], [-5, -6, -7, -8]]
    assert edited(rows, scores, hooks) == [[-1, BANNED, BANNED, -4], [BANNED, -6, BANNED, -8]]
    one_left = edited(rows, scores, hooks, bad_words_ids=[[0], [3]])
    assert one_left == [[BANNED] * 4, [BANNED, -6, BANNED, BANNED]]
    none_left = edited(rows, scores, hooks, bad_words_ids=[[0], [1], [3]])
    assert none_left == [[0, BANNED, BANNED, 0], [BANNED, 0, BANNED, 0]]


def test_functions_of_the_caller_act_after_all_bans_in_their_order_and_the_watch_sees_the_end():
    seen = []
    hooks = Hooks(
        processors=(lambda tokens, scores: scores + tokens.shape[1], lambda tokens, scores: scores * 2),
        watch=lambda tokens, scores: seen.append((tokens.tolist(), scores.tolist())),
    )
    assert edited([[2, 0]], [[1, 2, 3]], hooks, suppress_tokens=[1]) == [[6, BANNED, 10]]
    after = edited([[2, 0]], [[0, 9, 0]], hooks, suppress_tokens=[1], renormalize_logits=True)
    assert after[0] == pytest.approx([np.log(0.5), BANNED, np.log(0.5)], abs=1e-6)
    assert seen == [([[2, 0]], [[6, BANNED, 10]]), ([[2, 0]], after)]


@pytest.mark.parametrize("beams", [1, 3])
def test_functions_are_called_once_a_step(beams):
    calls = []

    def process(tokens, scores):
        calls.append(tokens.shape)
        return scores

    options = GenerationConfig(max_length=9, num_beams=beams, eos_token_id=None)
    generate(FakeDecoder(random_logits(0, size=10)), options, (5,), Hooks(processors=(process,)))
    assert calls == [(beams, length) for length in range(2, 9)]


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 3}, {"do_sample": True, "seed": 0}])
def test_a_path_that_only_the_caller_makes_possible(options):
    """The ban of everything but 7 gives way; 7 counts as certain, and the model's own log-probability stays."""
    logits_of = random_logits(0, size=10)
    config = GenerationConfig(max_length=4, bad_words_ids=((7,),), eos_token_id=None).replace(**options)
    (found,) = generate(FakeDecoder(logits_of), config, (), Hooks(allowed=lambda tokens: [7]))
    assert found.generated == (7, 7, 7)
    assert found.score == 0
    assert found.token_log_probs == pytest.approx(transcript_log_probs(logits_of, found.tokens, 1), abs=1e-5)


@pytest.mark.parametrize("beams", [1, 4])
def test_any_of_several_ends_ends_a_text(beams):
    ends = set()
    for seed in range(12):
        options = {"eos_token_id": (2, 5, 8), "num_beams": beams, "num_return_sequences": beams}
        for h in generate_with(random_logits(seed, size=10), **options):
            assert not {2, 5, 8} & set(h.generated[:-1])
            assert h.finished == (h.generated[-1] in (2, 5, 8))
            ends.add(h.generated[-1])
    assert {2, 5, 8} <= ends
    for h in generate_with(random_logits(0, size=10, eos_bonus=9), eos_token_id=None, num_beams=beams):
        assert len(h.tokens) == 12 and not h.finished and 2 in h.generated


def test_as_many_beams_run_on_as_are_wanted_however_many_end():
    """Three ends of four tokens: of 3 beams x 4 tokens up to 9 end, and 3 must go on."""
    options = GenerationConfig(num_beams=3, eos_token_id=(0, 2, 3), max_length=12)
    assert beam.candidate_count(options) == 12
    assert (
        beam.candidate_count(options.replace(eos_token_id=2))
        == beam.candidate_count(options.replace(eos_token_id=None))
        == 6
    )
    favours_ends = table_logits({(2,): {1: 0.1, 0: 0.3, 2: 0.3, 3: 0.3}}, size=4)
    found = generate(FakeDecoder(favours_ends), options.replace(num_return_sequences=3, min_length=0))
    assert len(found) == 3
