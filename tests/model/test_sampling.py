"""Sampling over fake decoders: seeds, what temperature, top-k and top-p leave, and frequencies by chi-square."""

from collections import Counter

import numpy as np
import pytest

from s2t_np.config import GenerationConfig
from s2t_np.search.sampling import draw, draw_different
from s2t_np.search.warpers import keep_top_k, keep_top_p, narrow
from tests.support.search_fakes import FakeDecoder, log_probs_of, random_logits
from tests.support.search_port import generate


def sample(logits_of, prefix=(), **options):
    config = GenerationConfig(do_sample=True, max_length=12).replace(**options)
    return generate(FakeDecoder(logits_of), config, prefix)


def chi_square_p(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """How probable a worse fit is, by Pearson's test; cells of probability 0 must be empty."""
    from scipy.stats import chisquare

    possible = probabilities > 0
    assert counts[~possible].sum() == 0
    return chisquare(counts[possible], counts.sum() * probabilities[possible] / probabilities.sum()).pvalue


def test_the_same_seed_draws_the_same_and_another_does_not():
    logits_of = random_logits(0, size=30)
    first, again, other = (sample(logits_of, seed=seed, num_return_sequences=3) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert len({h.tokens for h in first}) == 3


def test_without_a_seed_draws_differ():
    logits_of = random_logits(0, size=1000, eos_bonus=-50)
    assert sample(logits_of)[0] != sample(logits_of)[0]


def test_one_token_to_choose_from_is_greedy_search():
    for seed in range(10):
        logits_of = random_logits(seed, size=30, eos_bonus=2)
        (greedy,) = generate(FakeDecoder(logits_of), GenerationConfig(max_length=12))
        for options in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}):
            assert sample(logits_of, num_return_sequences=4, **options) == [greedy] * 4


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.5}, {"temperature": 3.0}, {"top_k": 3}, {"top_p": 0.7}, {"top_k": 4, "top_p": 0.6}],
)
def test_first_tokens_come_as_often_as_they_should(options):
    logits = random_logits(5, size=8, spread=1.0)((2,))
    drawn = Counter(h.generated[0] for h in _many(lambda _: logits, max_new_tokens=1, **options))
    counts = np.array([drawn[token] for token in range(8)])
    kept = narrow(logits[None], GenerationConfig(**options))[0]
    assert chi_square_p(counts, np.exp(log_probs_of(kept))) > 1e-4


def test_second_tokens_depend_on_first_ones():
    logits_of = random_logits(6, size=4, eos_bonus=-1, spread=1.0)
    drawn = Counter(h.generated for h in _many(logits_of, max_new_tokens=2))
    first = np.exp(log_probs_of(logits_of((2,))))
    expected = {(2,): first[2]}
    for token in (0, 1, 3):
        second = first[token] * np.exp(log_probs_of(logits_of((2, token))))
        expected |= {(token, other): second[other] for other in range(4)}
    assert sum(expected.values()) == pytest.approx(1)
    assert chi_square_p(np.array([drawn[path] for path in expected]), np.array([*expected.values()])) > 1e-4


def _many(logits_of, **options):
    """10,000 draws in calls of 1,000."""
    for seed in range(10):
        yield from sample(logits_of, seed=seed, num_return_sequences=1000, **options)


def test_draw_never_takes_a_banned_token():
    scores = np.full((20000, 5), -np.inf, np.float32)
    scores[:, 3] = -80
    scores[:, 1] = -81
    assert set(draw(scores, np.random.default_rng(0))) == {1, 3}


def test_top_k_keeps_equals_of_the_last_one():
    scores = np.array([[1, 5, 3, 3, 0], [2, 2, 2, 2, 2]], np.float32)
    kept = np.isfinite(keep_top_k(scores, 2))
    assert kept.tolist() == [[False, True, True, True, False], [True] * 5]
    assert np.array_equal(keep_top_k(scores, 99), scores)


def test_top_p_keeps_the_fewest_tokens_that_reach_p():
    scores = np.log(np.array([[0.1, 0.4, 0.3, 0.2]], np.float32))
    expected = {1e-9: [1], 0.39: [1], 0.41: [1, 2], 0.69: [1, 2], 0.71: [1, 2, 3], 0.95: [0, 1, 2, 3]}
    kept = {p: np.flatnonzero(np.isfinite(keep_top_p(scores, p))[0]).tolist() for p in expected}
    assert kept == expected


def test_top_p_judges_what_top_k_and_temperature_left():
    scores = np.log(np.array([[0.4, 0.3, 0.2, 0.1]], np.float32))
    assert np.isfinite(narrow(scores, GenerationConfig(top_k=2, top_p=0.5))).sum() == 1  # 4/7 by itself reaches 0.5
    assert np.isfinite(narrow(scores, GenerationConfig(top_k=0, top_p=0.5))).sum() == 2
    assert np.isfinite(narrow(scores, GenerationConfig(temperature=0.1, top_p=0.9))).sum() == 1


def test_draws_end_each_at_their_own_eos_and_come_best_first():
    decoder = FakeDecoder(random_logits(0, size=6, eos_bonus=1))
    found = generate(decoder, GenerationConfig(do_sample=True, seed=0, num_return_sequences=50))
    assert len({len(h.tokens) for h in found}) > 3
    assert all(h.tokens[-1] == 2 and 2 not in h.generated[:-1] for h in found)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert decoder.steps == max(len(h.generated) for h in found)  # and no further, once all have ended


def test_constraints_act_before_the_draw():
    options = {"min_length": 5, "suppress_tokens": (0,), "forced_eos_token_id": 2, "max_length": 7}
    found = sample(random_logits(0, size=9, eos_bonus=2), seed=0, num_return_sequences=50, **options)
    assert {len(h.tokens) for h in found} == {6, 7}
    assert all(0 not in h.tokens and h.finished for h in found)


def test_beams_draw_different_continuations_one_after_the_other():
    """Two of four without replacement: the pair (i, j) with p_i p_j/(1 - p_i) + p_j p_i/(1 - p_j)."""
    scores = np.log(np.array([[0.4, 0.3], [0.2, 0.1]], np.float32))
    random, drawn = np.random.default_rng(0), Counter()
    for _ in range(20_000):
        found = draw_different(scores, scores, 2, random)
        drawn[tuple(sorted((2 * found.parents + found.tokens).tolist()))] += 1
        assert found.scores[0] >= found.scores[1]
        assert np.array_equal(found.scores, scores[found.parents, found.tokens])
    p = np.exp(scores.ravel()).astype(np.float64)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    expected = np.array([p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]) for i, j in pairs])
    assert chi_square_p(np.array([drawn[pair] for pair in pairs]), expected) > 1e-4


def test_drawn_beams():
    logits_of = random_logits(0, size=30, eos_bonus=1)
    options = {"num_beams": 4, "num_return_sequences": 4, "temperature": 1.5}
    first, again, other = (sample(logits_of, seed=seed, **options) for seed in (7, 7, 8))
    assert first == again != other
    for found in (first, other):
        assert len({h.tokens for h in found}) == 4
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    nearly_sure = {"num_beams": 3, "temperature": 1e-3, "top_k": 0}
    (best,) = generate(FakeDecoder(logits_of), GenerationConfig(max_length=12, num_beams=3))
    assert sample(logits_of, seed=1, **nearly_sure)[0].tokens == best.tokens


def test_the_score_of_drawn_beams_counts_what_they_were_drawn_from():
    logits = random_logits(5, size=8, spread=1.0)((2,))
    (found,) = sample(lambda _: logits, seed=0, num_beams=2, max_new_tokens=1, temperature=2.0, top_k=4)
    warped = log_probs_of(logits) / 2  # not a distribution any more, as in transformers
    assert found.score == pytest.approx(warped[found.generated[0]], abs=1e-5)
    (found,) = sample(lambda _: logits, seed=0, num_beams=2, max_new_tokens=1, top_k=4, renormalize_logits=True)
    kept = np.sort(np.exp(log_probs_of(logits)))[-4:].sum()
    assert found.score == pytest.approx(log_probs_of(logits)[found.generated[0]] - np.log(kept), abs=1e-5)
