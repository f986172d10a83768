"""The compiled backend as a user meets it: asked for by name, numpy's words, or an error that says why not."""

import sys

import numpy as np
import pytest

import s2t_np
from s2t_np.backend import choose
from tests.support.paths import DIGITS, ROOT

RECORDINGS = sorted((ROOT / "s2t_np" / "recordings").glob("*.flac"))


@pytest.fixture(scope="module")
def both():
    return [s2t_np.load(DIGITS, backend=name) for name in ("numpy", "numba")]


@pytest.mark.parametrize("beams", [1, 5])
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_the_same_tokens(both, recording, beams):
    plain, fast = (m.transcribe(recording, num_beams=beams, num_return_sequences=beams) for m in both)
    assert [h.tokens for h in fast.hypotheses] == [h.tokens for h in plain.hypotheses]
    for one, other in zip(fast.hypotheses, plain.hypotheses, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_teacher_forcing_and_score(both):
    plain, fast = (m.score(RECORDINGS[0], "five five") for m in both)
    assert fast.log_prob == pytest.approx(plain.log_prob, abs=1e-4)


def test_a_padded_length(both):
    features = both[0].features(RECORDINGS[0])
    plain, fast = (m.encode(features, len(features) + 50) for m in both)
    np.testing.assert_allclose(fast, plain, atol=5e-5)


def test_float64_is_refused():
    with pytest.raises(s2t_np.BackendError, match="computes in float32, not float64"):
        s2t_np.load(DIGITS, backend="numba", dtype="float64")


def test_without_numba_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "s2t_np_kernels.backend", None)
    with pytest.raises(s2t_np.BackendError, match="install a version of it that supports this Python"):
        choose("numba")
