"""Each constraint against a slow loop, their order, and what they do to whole searches."""

import numpy as np
import pytest

from s2t_np.config import GenerationConfig
from s2t_np.ops import log_softmax
from s2t_np.search import beam, next_token
from s2t_np.search import constraints as room
from s2t_np.search.options import check_options
from tests.support.search_fakes import FakeDecoder, random_logits, transcript_log_probs
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
