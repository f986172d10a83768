"""Each constraint against a slow loop, their order, and what they do to whole searches."""

import numpy as np
import pytest

from s2t_np.config import GenerationConfig
from s2t_np.errors import OptionError
from s2t_np.ops import log_softmax
from s2t_np.search import NO_HOOKS, Hooks, beam, next_token
from s2t_np.search import constraints as room
from s2t_np.search.options import check_options
from tests.support.search_fakes import FakeDecoder, random_logits, table_logits, transcript_log_probs
from tests.support.search_port import generate

BANNED = -np.inf


def search(logits_of, prefix=(), **options):
    return generate(FakeDecoder(logits_of), GenerationConfig(max_length=12).replace(**options), prefix)


def apply(tokens, scores, prompt_length=1, **options):
    """Scores after all constraints of `options`, the way a search applies them."""
    active = room.constraints(check_options(GenerationConfig(max_length=50, **options), prompt_length), prompt_length)
    return room.constrain(active, np.asarray(tokens), np.array(scores, np.float32))


def random_rows(seed, rows=4, length=17, size=6):
    random = np.random.default_rng(seed)
    return random.integers(0, size, (rows, length)), random.normal(0, 3, (rows, size)).astype(np.float32)


@pytest.mark.parametrize("penalty", [1.3, 0.6])
def test_repetition_penalty_moves_each_seen_token_once(penalty):
    tokens, scores = random_rows(0, length=5, size=9)
    expected = scores.copy()
    for row, seen in zip(expected, tokens, strict=True):
        for token in set(seen.tolist()):
            row[token] = row[token] * penalty if row[token] < 0 else row[token] / penalty
    assert np.array_equal(apply(tokens, scores, repetition_penalty=penalty), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_no_ngram_comes_twice(size):
    for seed in range(20):
        tokens, scores = random_rows(seed, length=3 + seed)
        banned = np.zeros(scores.shape, bool)
        for k, row in enumerate(tokens.tolist()):
            seen = {tuple(row[i : i + size]) for i in range(len(row) - size + 1)}
            for token in range(scores.shape[1]):
                banned[k, token] = (*row[len(row) - size + 1 :], token) in seen
        expected = np.where(banned, BANNED, scores)
        assert np.array_equal(apply(tokens, scores, no_repeat_ngram_size=size), expected)


def test_fewer_tokens_than_an_ngram_ban_nothing():
    scores = np.zeros((1, 5))
    assert np.isfinite(apply([[2]], scores, no_repeat_ngram_size=3)).all()
    assert np.isfinite(apply([[2, 2]], scores, no_repeat_ngram_size=3)).all()
    assert np.flatnonzero(apply([[2, 2, 2]], scores, no_repeat_ngram_size=3) == BANNED).tolist() == [2]


@pytest.mark.parametrize(
    ("options", "length", "expected"),
    [
        ({"min_length": 4}, 3, [2]),
        ({"min_length": 4}, 4, []),
        ({"min_new_tokens": 2}, 3, [2]),  # the prompt has 2 here
        ({"min_new_tokens": 2}, 4, []),
        ({"min_new_tokens": 0, "min_length": 40}, 3, []),  # min_new_tokens wins
        ({"suppress_tokens": (0, 4)}, 3, [0, 4]),
        ({"begin_suppress_tokens": (0, 4)}, 2, [0, 4]),
        ({"begin_suppress_tokens": (0, 4)}, 3, []),
        ({"begin_suppress_tokens": (0, 4), "forced_bos_token_id": 1}, 2, [0, 4]),
        ({"forced_eos_token_id": 1}, 48, []),
        ({"forced_eos_token_id": 1}, 49, [0, 2, 3, 4]),
        ({"forced_bos_token_id": 1}, 2, []),  # only right after the start token, and there is a prefix
        ({"suppress_tokens": ()}, 2, []),
    ],
)
def test_which_tokens_are_banned_after_a_prompt_of_two(options, length, expected):
    tokens = np.array([[2, 3] + [0, 1, 4] * 20])[:, :length]
    after = apply(tokens, np.ones((1, 5)), prompt_length=2, **options)
    assert np.flatnonzero(after == BANNED).tolist() == expected


def test_first_token_forced_moves_the_beginning_by_one():
    options = {"forced_bos_token_id": 1, "begin_suppress_tokens": (0, 1)}
    assert apply([[2]], np.ones((1, 4)), **options).tolist() == [[BANNED, 0, BANNED, BANNED]]
    assert apply([[2, 1]], np.ones((1, 4)), **options).tolist() == [[BANNED, BANNED, 1, 1]]


def test_a_forced_token_counts_as_certain_and_outranks_earlier_bans():
    options = {"forced_eos_token_id": 2, "max_length": 3, "min_length": 3, "no_repeat_ngram_size": 1}
    scores = room.constrain(
        room.constraints(check_options(GenerationConfig(**options), 1), 1), np.array([[2, 0]]), np.full((1, 4), -5.0)
    )
    assert scores.tolist() == [[BANNED, BANNED, 0, BANNED]]


def test_a_ban_after_a_forced_token_wins():
    """As upstream: suppression comes after forcing, and nothing is left."""
    options = {"forced_eos_token_id": 2, "begin_suppress_tokens": (2,), "max_length": 2}
    active = room.constraints(check_options(GenerationConfig(**options), 1), 1)
    assert (room.constrain(active, np.array([[2]]), np.zeros((1, 4), np.float32)) == BANNED).all()


@pytest.mark.parametrize(
    ("options", "length", "rewrites"),
    [
        (
            {"no_repeat_ngram_size": 1, "suppress_tokens": (1,), "begin_suppress_tokens": (3,), "min_length": 40},
            1,
            False,
        ),
        ({"repetition_penalty": 2.0}, 3, True),
        ({"forced_bos_token_id": 4, "min_length": 40}, 1, True),
        ({"forced_bos_token_id": 4, "min_length": 40}, 2, False),
        ({"forced_eos_token_id": 2}, 48, False),
        ({"forced_eos_token_id": 2}, 49, True),
    ],
)
def test_bans_are_entered_in_place_and_all_else_in_a_copy(options, length, rewrites):
    active = room.constraints(check_options(GenerationConfig(max_length=50, **options), 1), 1)
    tokens, scores = random_rows(0, length=length)
    before = scores.copy()
    after = room.constrain(active, tokens, scores)
    assert room.rewrite(active, length) == rewrites
    assert (after is scores) != rewrites
    assert np.array_equal(scores, before) == (rewrites or not active or length == 48)


BANS = [
    {"no_repeat_ngram_size": 1},
    {"min_length": 40, "suppress_tokens": (0, 7, 31, 32, 69)},
    {"begin_suppress_tokens": tuple(range(64)), "no_repeat_ngram_size": 2, "min_length": 9},
    {"suppress_tokens": tuple(range(1, 70))},
]


@pytest.mark.parametrize("options", BANS, ids=str)
def test_bans_in_place_choose_what_bans_in_log_probabilities_choose(options):
    active = room.constraints(check_options(GenerationConfig(max_length=50, **options), 1), 1)
    for seed in range(20):
        random = np.random.default_rng(seed)
        rows, length = int(random.integers(1, 6)), int(random.integers(1, 30))
        logits = random.integers(-4, 4, (rows, 70)).astype(np.float32)  # with many equals
        beams = beam.first_beams([2] * length, rows)._replace(
            tokens=random.integers(0, 70, (rows, length)), scores=random.normal(0, 1, rows).astype(np.float32)
        )
        log_probs = log_softmax(logits)
        scores = room.constrain(active, beams.tokens, log_probs.copy())
        expected = np.argsort(-(scores + beams.scores[:, None]).ravel(), kind="stable")[: 2 * rows]
        found = beam.extend(beams, next_token(logits), active, 2 * rows)
        assert np.array_equal(70 * found.parents + found.tokens, expected)
        assert np.array_equal(found.scores, (scores + beams.scores[:, None]).ravel()[expected])
        allowed = found.scores > -np.inf
        assert np.array_equal(found.log_probs[allowed], log_probs.ravel()[expected][allowed])


def test_a_rewritten_score_leaves_the_log_probability_as_the_model_gave_it():
    logits = np.random.default_rng(0).normal(0, 1, (2, 70)).astype(np.float32)
    before, log_probs = logits.copy(), log_softmax(logits)
    active = room.constraints(check_options(GenerationConfig(max_length=50, repetition_penalty=0.1), 1), 1)
    beams = beam.first_beams([2, int(logits[0].argmax())], 2)
    found = beam.extend(beams, next_token(logits), active, 4)
    assert np.array_equal(logits, before)
    assert np.array_equal(found.log_probs, log_probs[found.parents, found.tokens])
    assert not np.array_equal(found.scores, found.log_probs + beams.scores[found.parents])


@pytest.mark.parametrize("beams", [1, 3])
def test_constraints_hold_in_whole_searches(beams):
    for seed in range(5):
        logits_of = random_logits(seed, size=10, eos_bonus=3)
        options = {"num_beams": beams, "num_return_sequences": beams}
        for h in search(logits_of, min_length=6, **options):
            assert len(h.tokens) >= 6
        for h in search(logits_of, (5,), min_new_tokens=4, **options):
            assert len(h.generated) >= 5  # four others before EOS
        for h in search(logits_of, no_repeat_ngram_size=1, max_length=7, **options):
            assert len(set(h.tokens)) == len(h.tokens)  # EOS is the start token: it may not come again
        for h in search(logits_of, suppress_tokens=(0, 1, 2), begin_suppress_tokens=(3, 4), **options):
            assert not {0, 1, 2} & set(h.generated)
            assert h.generated[0] not in (3, 4)


@pytest.mark.parametrize("beams", [1, 3])
def test_forced_ends_and_their_scores(beams):
    logits_of = random_logits(0, size=10, eos_bonus=-5)
    options = {"num_beams": beams, "forced_bos_token_id": 7, "forced_eos_token_id": 2, "max_length": 6}
    (found,) = search(logits_of, **options)
    assert found.generated[0] == 7
    assert found.generated[-1] == 2
    assert found.finished
    expected = transcript_log_probs(logits_of, found.tokens, 1)
    assert found.token_log_probs == pytest.approx(expected, abs=1e-5)  # the model's own, forced or not
    assert found.score == pytest.approx(sum(expected[1:-1]) / 5, abs=1e-5)  # forced tokens are free, as upstream


@pytest.mark.parametrize("beams", [1, 2])
def test_repetition_penalty_shows_in_the_score_and_not_in_the_log_probs(beams):
    logits_of = random_logits(4, size=4, eos_bonus=-9)
    (found,) = search(logits_of, num_beams=beams, repetition_penalty=1.5, max_length=6)
    model = transcript_log_probs(logits_of, found.tokens, 1)
    assert found.token_log_probs == pytest.approx(model, abs=1e-5)
    repeated = [found.tokens[u] in found.tokens[:u] for u in range(1, len(found.tokens))]
    assert any(repeated)
    counted = [p * 1.5 if again else p for p, again in zip(model, repeated, strict=True)]
    assert found.score == pytest.approx(sum(counted) / 5, abs=1e-5)


def test_one_forced_path_gives_one_hypothesis_however_many_are_asked():
    logits_of = random_logits(0, size=10)
    options = {"num_beams": 5, "num_return_sequences": 5}
    assert len(search(logits_of, forced_eos_token_id=2, max_length=2, **options)) == 1
    assert len(search(logits_of, forced_bos_token_id=2, **options)) == 1
    assert len(search(logits_of, forced_bos_token_id=7, max_length=3, **options)) == 5


def test_beams_go_on_past_a_beam_without_a_way_on():
    """With no token twice and six in all, every path ends after five; EOS, the start token, can never come."""
    found = search(random_logits(0, size=6), num_beams=3, num_return_sequences=3, no_repeat_ngram_size=1, max_length=6)
    assert [len(h.tokens) for h in found] == [6, 6, 6]


def test_drawn_rows_count_a_forced_token_as_certain_too():
    logits_of = random_logits(3, size=10, eos_bonus=2)
    for found in search(logits_of, do_sample=True, seed=0, num_return_sequences=9, forced_bos_token_id=7):
        expected = transcript_log_probs(logits_of, found.tokens, 1)
        assert found.generated[0] == 7
        assert found.score == pytest.approx(sum(expected[1:]) / len(expected), abs=1e-5)


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
        for h in search(random_logits(seed, size=10), **options):
            assert not {2, 5, 8} & set(h.generated[:-1])
            assert h.finished == (h.generated[-1] in (2, 5, 8))
            ends.add(h.generated[-1])
    assert {2, 5, 8} <= ends
    for h in search(random_logits(0, size=10, eos_bonus=9), eos_token_id=None, num_beams=beams):
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
