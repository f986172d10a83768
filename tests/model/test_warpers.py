"""What each warper leaves of a distribution, with the right sets worked out by hand."""

import numpy as np
import pytest

from s2t_np.config import GenerationConfig
from s2t_np.search import warpers
from s2t_np.search.warpers import narrow

P = np.array([[0.05, 0.4, 0.3, 0.15, 0.1]], np.float32)  # entropy 1.3920 nats
SCORES = np.log(P)


def left(scores) -> list[int]:
    """The tokens that are left in the first row."""
    return np.flatnonzero(np.isfinite(scores[0])).tolist()


@pytest.mark.parametrize(
    ("p", "expected"), [(0.0, [0, 1, 2, 3, 4]), (0.12, [0, 1, 2, 3, 4]), (0.13, [1, 2, 3, 4]), (0.3, [1, 2, 3]),
                        (0.5, [1, 2]), (0.74, [1, 2]), (0.76, [1]), (1.0, [1])]
)  # fmt: skip
def test_min_p_measures_against_the_likeliest(p, expected):
    assert left(warpers.keep_min_p(SCORES, p)) == expected


@pytest.mark.parametrize(
    ("mass", "expected"),
    # |-log p - entropy|: 1.604, 0.476, 0.188, 0.505, 0.911, so the order is 2, 1, 3, 4, 0
    [
        (0.2, [2]),
        (0.29, [2]),
        (0.31, [1, 2]),
        (0.69, [1, 2]),
        (0.71, [1, 2, 3]),
        (0.86, [1, 2, 3, 4]),
        (0.96, [0, 1, 2, 3, 4]),
    ],
)
def test_typical_tokens_surprise_as_much_as_the_average(mass, expected):
    assert left(warpers.keep_typical(SCORES, mass)) == expected


@pytest.mark.parametrize(("lowest", "expected"), [(0.04, [0, 1, 2, 3, 4]), (0.12, [1, 2, 3]), (0.35, [1]), (0.9, [1])])
def test_epsilon_drops_what_is_less_likely_but_never_the_likeliest(lowest, expected):
    assert left(warpers.keep_above(SCORES, lowest)) == expected


def test_eta_is_lower_where_the_entropy_is_high():
    even = np.zeros((1, 4), np.float32)  # entropy log 4
    assert warpers.eta(even, 0.25)[0, 0] == pytest.approx(0.5 / 4)
    sure = np.array([[9, -9, -9]], np.float32)
    assert warpers.eta(sure, 0.25)[0, 0] == pytest.approx(0.25)
    # sqrt(0.3) exp(-1.3920) = 0.1361
    assert left(narrow(SCORES, GenerationConfig(top_k=0, eta_cutoff=0.3))) == [1, 2, 3]


@pytest.mark.parametrize(
    ("share", "expected"),
    # -p log p from the likeliest on adds up to 0.3665, 0.7277, 1.0123, 1.2426, 1.3924
    [(0.1, [1]), (0.27, [1]), (0.52, [1]), (0.53, [1, 2]), (0.73, [1, 2, 3]), (0.9, [1, 2, 3, 4])],
)
def test_top_h_keeps_a_share_of_the_entropy(share, expected):
    assert left(warpers.keep_top_h(SCORES, share)) == expected


def test_top_h_looks_at_the_hundred_likeliest():
    scores = np.linspace(0, -1e-3, 300, dtype=np.float32)[None]
    assert left(warpers.keep_top_h(scores, 1.0))[-1] <= 99


@pytest.mark.parametrize(
    "options", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}, {"typical_p": 1e-6}, {"epsilon_cutoff": 0.99},
                {"eta_cutoff": 0.99}]
)  # fmt: skip
def test_beams_keep_one_token_more_than_there_are_ends(options):
    for ends, count in ((2, 2), ((2, 3), 3), ((0, 2, 3), 4), (None, 2)):
        config = GenerationConfig(num_beams=2, **({"top_k": 0} | options)).replace(eos_token_id=ends)
        assert len(left(narrow(SCORES, config))) >= count
        if options == {"top_k": 1}:
            assert len(left(narrow(SCORES, config))) == count
    single = GenerationConfig(**({"top_k": 0} | options))
    assert left(narrow(SCORES, single)) == (
        [1, 2] if "eta_cutoff" in options else [2] if "typical_p" in options else [1]
    )


def test_each_judges_what_the_one_before_left():
    # top-k 3 leaves 0.4, 0.3, 0.15 of 0.85: 0.471, 0.353, 0.176; min-p 0.5 of the first drops the last
    assert left(narrow(SCORES, GenerationConfig(top_k=3, min_p=0.5))) == [1, 2]
    assert left(narrow(SCORES, GenerationConfig(top_k=3, epsilon_cutoff=0.17))) == [1, 2, 3]
    assert left(narrow(SCORES, GenerationConfig(top_k=0, epsilon_cutoff=0.17))) == [1, 2]


def test_rows_without_anything_left_stay_so():
    nothing = np.full((1, 5), -np.inf, np.float32)
    options = {"top_p": 0.5, "min_p": 0.5, "typical_p": 0.5, "epsilon_cutoff": 0.5, "eta_cutoff": 0.5, "top_h": 0.5}
    assert (narrow(nothing, GenerationConfig(**options)) == -np.inf).all()
    both = np.concatenate((SCORES, nothing))
    assert left(narrow(both, GenerationConfig(top_k=0, typical_p=0.31))) == [1, 2]
