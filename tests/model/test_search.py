"""The search room over fake decoders: beams against a slow search and against brute force, sampling, bad options."""

import math

import numpy as np
import pytest

from s2t_np import search as search_room
from s2t_np.config import GenerationConfig
from s2t_np.errors import InputWarning, ModelError, OptionError
from s2t_np.ops import log_softmax
from s2t_np.search import Decoder, next_token
from tests.support.search_fakes import (
    FakeDecoder,
    every_transcript,
    random_logits,
    slow_beam_search,
    table_logits,
    transcript_log_probs,
)
from tests.support.search_port import (
    assert_best_is_that_of_sorting,
    assert_normalises_as_log_softmax,
    assert_shift_tells_what_is_not_finite,
    generate,
)

START = EOS = 2


def search(logits_of, prefix=(), **options):
    """Generate with options over defaults that suit small vocabularies."""
    return generate(FakeDecoder(logits_of), GenerationConfig(max_length=12).replace(**options), prefix)


# The example every textbook has: the better first word (0, with 0.6) leads to worse transcripts than the other (1).
# After three tokens EOS is sure.
GARDEN_PATH = table_logits({(2,): {0: 0.6, 1: 0.4}, (2, 0): {0: 0.5, 1: 0.5}, (2, 1): {3: 0.9, 0: 0.1}}, size=4)


def test_greedy_takes_the_garden_path():
    (path,) = search(GARDEN_PATH)
    assert path.tokens == (2, 0, 0, 2)  # the lower of equal tokens
    assert path.log_prob == pytest.approx(math.log(0.3))
    assert path.score == pytest.approx(math.log(0.3) / 3)
    assert path.finished


def test_two_beams_do_not():
    first, second = search(GARDEN_PATH, num_beams=2, num_return_sequences=2)
    assert first.tokens == (2, 1, 3, 2)
    assert first.log_prob == pytest.approx(math.log(0.36))
    assert first.token_log_probs == pytest.approx([math.log(0.4), math.log(0.9), 0.0])
    assert first.score == pytest.approx(math.log(0.36) / 3)
    assert second.tokens == (2, 0, 0, 2)
    assert second.generated == (0, 0, 2)


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("length_penalty", [1.0, 0.0, -0.3, -1.5, 2.0])
@pytest.mark.parametrize("beams", [2, 3, 5, 9])
def test_beam_search_agrees_with_a_slow_one(early_stopping, length_penalty, beams):
    for seed in range(9):
        logits_of = random_logits(seed, size=[4, 7, 30][seed % 3], eos_bonus=[-1, 1, 4][seed % 3])
        prefix = [(), (), (0, 3)][seed % 3]
        found = search(
            logits_of,
            prefix,
            num_beams=beams,
            num_return_sequences=beams,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
        )
        expected = slow_beam_search(logits_of, (START, *prefix), beams, 12, early_stopping, length_penalty)
        assert [h.tokens for h in found] == [tokens for tokens, _ in expected]
        assert [h.score for h in found] == pytest.approx([score for _, score in expected], rel=1e-5)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 3.0])
def test_enough_beams_find_the_best_of_all_transcripts(length_penalty):
    for seed in range(5):
        logits_of = random_logits(seed, size=3, eos_bonus=1)
        (found,) = search(logits_of, num_beams=200, max_length=6, early_stopping="never", length_penalty=length_penalty)
        tokens, score = every_transcript(logits_of, (START,), 6, length_penalty)[0]
        assert found.tokens == tokens
        assert found.score == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"num_beams": 5, "num_return_sequences": 5}, {"do_sample": True, "seed": 1}])
@pytest.mark.parametrize("prefix", [(), (5, 0, 9)])
def test_what_a_hypothesis_holds(options, prefix):
    for seed in range(10):
        logits_of = random_logits(seed, size=11, eos_bonus=2)
        found = search(logits_of, prefix, length_penalty=0.7, **options)
        assert len(found) == options.get("num_return_sequences", 1)
        assert len({h.tokens for h in found}) == len(found)
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
        for h in found:
            assert h.tokens == (START, *prefix, *h.generated)
            assert h.finished == (h.generated[-1] == EOS)
            assert EOS not in h.generated[:-1]
            assert h.finished or len(h.tokens) == 12
            expected = transcript_log_probs(logits_of, h.tokens, 1 + len(prefix))
            assert h.token_log_probs == pytest.approx(expected, abs=1e-5)
            assert h.log_prob == math.fsum(h.token_log_probs)
            assert h.score == pytest.approx(h.log_prob / len(h.generated) ** 0.7, rel=1e-5)
            assert all(type(token) is int for token in h.tokens)


def test_patience_grows_from_early_stopping_true_to_never():
    steps = {True: 0, False: 0, "never": 0}
    for seed in range(30):
        for early_stopping in steps:
            decoder = FakeDecoder(random_logits(seed, size=20, eos_bonus=4))
            options = GenerationConfig(num_beams=3, max_length=30, early_stopping=early_stopping)
            generate(decoder, options)
            steps[early_stopping] += decoder.steps
    assert steps[True] < steps[False] < steps["never"]


def test_length_penalty_weighs_a_long_transcript_against_a_short_one():
    """EOS at once has probability 0.5; three sure tokens after a 0.3 have 0.3 in all."""
    table = {(2,): {2: 0.5, 0: 0.3, 1: 0.2}, (2, 0): {3: 1.0}, (2, 0, 3): {3: 1.0}}
    logits_of = table_logits(table, size=4)
    options = {"num_beams": 2, "early_stopping": "never"}
    assert search(logits_of, length_penalty=0, **options)[0].tokens == (2, 2)
    assert search(logits_of, length_penalty=2, **options)[0].tokens == (2, 0, 3, 3, 2)


@pytest.mark.parametrize("beams", [1, 4])
def test_max_length_cuts_off_without_eos(beams):
    logits_of = random_logits(0, size=9, eos_bonus=-50)
    found = search(logits_of, num_beams=beams, num_return_sequences=beams, max_length=5)
    assert [len(h.tokens) for h in found] == [5] * beams
    assert not any(h.finished for h in found)
    found = search(logits_of, (0, 1), num_beams=beams, num_return_sequences=beams, max_length=4, max_new_tokens=7)
    assert [len(h.generated) for h in found] == [7] * beams  # max_new_tokens wins


@pytest.mark.parametrize("options", [{}, {"num_beams": 4}, {"do_sample": True, "seed": 1}], ids=str)
def test_a_decoder_may_hand_out_one_array_again_and_again(options):
    """Bans are written into it, and the next step overwrites it."""
    decoder, table = FakeDecoder(random_logits(0, size=9, eos_bonus=1)), {}

    def step(tokens, cache):
        logits = decoder.step(tokens, cache)
        shared = table.setdefault("logits", np.empty_like(logits))
        shared[:] = logits
        return next_token(shared)

    config = GenerationConfig(min_length=5, no_repeat_ngram_size=2, max_length=12).replace(**options)
    assert search_room.generate(Decoder(decoder.start, step), config) == generate(decoder, config)


def test_no_step_is_taken_after_the_last_token():
    for beams in (1, 3):
        decoder = FakeDecoder(random_logits(0, size=9, eos_bonus=-50))
        generate(decoder, GenerationConfig(num_beams=beams, max_length=6), prefix=(1, 1))
        assert decoder.steps == 5  # tokens 0 to 4 go in; the fifth choice is the last


def test_best_takes_higher_scores_then_lower_places():
    assert_best_is_that_of_sorting(next_token)


def test_next_token_normalises_as_log_softmax():
    assert_normalises_as_log_softmax(next_token)
    assert_shift_tells_what_is_not_finite(next_token)
    logits = np.random.default_rng(0).normal(0, 5, (3, 77)).astype(np.float32)
    found, tokens = next_token(logits), np.array([4, 76, 0])
    assert np.array_equal(found.log_probs(), log_softmax(logits))
    assert np.array_equal(found.log_probs_of(tokens), log_softmax(logits)[[0, 1, 2], tokens])


def test_equal_candidates_keep_the_order_of_beam_and_token():
    found = search(lambda _: np.zeros(300, np.float32), num_beams=4, num_return_sequences=4, max_length=3)
    assert [h.tokens for h in found] == [(2, 2), (2, 0, 0), (2, 0, 1), (2, 0, 2)]


@pytest.mark.parametrize("size", [3, 4, 5])
@pytest.mark.parametrize("beams", [2, 8, 20])
def test_vocabularies_smaller_than_the_beams(size, beams):
    """There are fewer than K transcripts to begin with: no padding, no duplicates, no invented ones."""
    logits_of = random_logits(1, size=size, eos_bonus=1)
    found = search(logits_of, num_beams=beams, num_return_sequences=beams, max_length=3)
    everything = every_transcript(logits_of, (START,), 3, 1.0)
    assert len(found) == min(beams, len(everything)) == len({h.tokens for h in found})
    assert {h.tokens for h in found} <= {tokens for tokens, _ in everything}


def test_a_vocabulary_of_eos_alone():
    options = {"eos_token_id": 0, "pad_token_id": 0, "decoder_start_token_id": 0}
    for beams in (1, 3):
        (found,) = search(lambda _: np.zeros(1, np.float32), num_beams=beams, **options)
        assert found.tokens == (0, 0)
        assert found.token_log_probs == (0.0,)


@pytest.mark.parametrize("beams", [1, 5])
def test_float64_logits_are_searched_in_float32(beams):
    logits_of = random_logits(3, size=40, eos_bonus=2)
    options = {"num_beams": beams, "num_return_sequences": beams}
    assert search(lambda t: logits_of(t).astype(np.float64), **options) == search(logits_of, **options)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True}])
def test_logits_that_are_not_finite_are_refused(bad, options):
    logits = np.zeros(9, np.float32)
    logits[5] = bad
    with pytest.raises(ModelError, match="not finite"):
        search(lambda _: logits, **options)


BAD_OPTIONS = {
    "more returned than beams": ({"num_beams": 3, "num_return_sequences": 4}, "num_return_sequences is 4"),
    "greedy n-best": ({"num_return_sequences": 2}, "num_return_sequences is 2"),
    "sampling beams": (
        {"do_sample": True, "num_beams": 2, "num_return_sequences": 3},
        "num_return_sequences is 3, more than num_beams 2",
    ),
    "seed without sampling": ({"seed": 1}, "seed is 1"),
    "no room": ({"max_length": 1}, "max_length is 1"),
    "forced and suppressed": ({"forced_eos_token_id": 5, "suppress_tokens": [4, 5]}, "forced_eos_token_id is 5"),
    "forced first, suppressed": ({"forced_bos_token_id": 0, "suppress_tokens": [0]}, "forced_bos_token_id is 0"),
    "suppressed id too high": ({"suppress_tokens": [9]}, "suppress_tokens holds the token id 9, expected .* 0 to 8"),
    "begin id too high": ({"begin_suppress_tokens": [90]}, "begin_suppress_tokens holds the token id 90"),
    "forced id too high": ({"forced_bos_token_id": 9}, "forced_bos_token_id holds the token id 9"),
    "eos too high": ({"eos_token_id": 9}, "eos_token_id holds the token id 9"),
    "length penalty overflows": ({"length_penalty": 1e9}, "length_penalty is 1000000000.0"),
    "length penalty too low": ({"length_penalty": -40.0}, "length_penalty is -40.0"),
    "a million beams": ({"num_beams": 10**6}, "num_beams is 1000000, expected a whole number from 1 to 1024"),
    "a million draws": ({"do_sample": True, "num_return_sequences": 10**6}, "expected a whole number from 1 to 1024"),
    "all suppressed": ({"suppress_tokens": [*range(9)]}, "after 1 tokens the options leave none"),
    "all suppressed, beams": (
        {"suppress_tokens": [*range(9)], "num_beams": 3},
        "after 1 tokens the options leave none",
    ),
    "dead end": ({"no_repeat_ngram_size": 1, "max_length": 50, "min_length": 20}, "after 9 tokens the options leave"),
    "dead end, beams": (
        {"no_repeat_ngram_size": 1, "max_length": 50, "min_length": 20, "num_beams": 3},
        "after 9 tokens the options leave none",
    ),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_options_that_contradict_each_other_are_refused(case):
    options, message = BAD_OPTIONS[case]
    with pytest.raises(OptionError, match=message) as caught:
        search(random_logits(0, size=9), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ((4, 99), "prefix holds the token id 99"),
        ((-1,), "id -1"),
        (("a",), "prefix is"),
        (5, "prefix is"),
        ((0.5,), "is"),
    ],
)
def test_a_bad_prefix_is_refused(prefix, message):
    with pytest.raises(OptionError, match=message):
        search(random_logits(0, size=9), prefix)


def test_a_prefix_as_long_as_max_length_is_refused():
    with pytest.raises(OptionError, match="start token and prefix are 12 tokens"):
        search(random_logits(0, size=9), [0] * 11)
    assert len(search(random_logits(0, size=9), [0] * 10)[0].generated) == 1


def test_a_wrongly_typed_option_is_refused_even_in_a_config_made_by_hand():
    with pytest.raises(OptionError, match="num_beams"):
        generate(FakeDecoder(random_logits(0, size=9)), GenerationConfig(num_beams="5"))


@pytest.mark.parametrize("beams", [1, 3])
def test_min_length_beyond_max_length_is_a_warning_as_upstream(beams):
    with pytest.warns(InputWarning, match="min_length is 20"):
        found = search(random_logits(0, size=9, eos_bonus=9), num_beams=beams, min_length=20)
    assert not found[0].finished
    assert len(found[0].tokens) == 12
