"""What weights in fewer bits may cost: bounds on what tools/dtypes.py measures, and that it can see a difference."""

import numpy as np
import pytest

from tests.support.paths import ROOT

pytest.importorskip("numba")

from tools import dtypes

RECORDINGS = sorted((ROOT / "s2t_np" / "recordings").glob("*.flac"))
BOUNDS = {"float16": (0, 0), "int8": (0.025, 0.4)}  # r.m.s. and largest error of logits; the weights are float16 values


@pytest.fixture(scope="module")
def rows():
    return dtypes.costs("digits", RECORDINGS, [""] * len(RECORDINGS), list(BOUNDS), num_beams=5)


@pytest.mark.parametrize("dtype", BOUNDS)
def test_the_bundled_model_hardly_notices(rows, dtype):
    cost, (rms, largest) = rows[dtype], BOUNDS[dtype]
    assert cost.rms <= rms and cost.largest <= largest
    assert (cost.rms > 0) == (dtype == "int8")  # which the tool can see
    assert cost.changed == cost.recordings == 0 and cost.tokens > 20


def test_the_reference_costs_nothing(rows):
    assert rows["float32"][:3] == (0, 0, 0)


def test_costs_are_counted():
    logits = np.array([[0.0, 2.0]], np.float32)
    reference = [dtypes.Heard([3, 4, 5], "one two", logits), dtypes.Heard([6], "one", logits)]
    found = [dtypes.Heard([3, 5], "one too", logits + np.float32(0.5)), dtypes.Heard([6], "one", logits)]
    cost = dtypes.compare(reference, found, ["one two", "two"])
    assert cost == pytest.approx(dtypes.Cost(0.5 * 0.5**0.5, 0.5, 1, 4, 1, 2))
