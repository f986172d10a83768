"""CTC against the sum over all ways, written out, and against central differences."""

from itertools import groupby, product

import numpy as np
import pytest

from s2t_np.ops import log_softmax
from s2t_np.training.derivatives.ctc import ctc
from tests.support.small_models import noise
from tests.training.differences import worst


def by_all_ways(logits, transcript):
    """-log of the summed probability of every way that says the transcript."""
    blank, log_p = logits.shape[1] - 1, log_softmax(logits)
    total = 0.0
    for way in product(range(blank + 1), repeat=len(logits)):
        if [label for label, _ in groupby(way) if label != blank] == list(transcript):
            total += np.exp(log_p[np.arange(len(way)), way].sum())
    return -np.log(total)


@pytest.mark.parametrize("transcript", [[], [0], [0, 1], [1, 1], [0, 1, 0], [2, 2, 2]])
def test_it_is_the_sum_over_all_ways(transcript):
    logits = noise(5, 4, seed=1)
    assert ctc(logits, np.array([5]), [transcript]).loss == pytest.approx(by_all_ways(logits, transcript))


def test_several_utterances_and_the_gradient():
    lengths, transcripts = np.array([4, 1, 6]), [[0, 0], [2], [1, 0, 1]]
    logits = 2 * noise(11, 4, seed=2)
    found = ctc(logits, lengths, transcripts)
    alone = [by_all_ways(logits[a:b], t) for (a, b), t in zip([(0, 4), (4, 5), (5, 11)], transcripts, strict=True)]
    assert found.loss == pytest.approx(sum(alone))
    assert worst(lambda: ctc(logits, lengths, transcripts).loss, [(logits, found.dlogits)]) < 1e-6


def test_what_cannot_be_said_counts_nothing():
    """Two equal labels need a blank between them: three rows."""
    logits = noise(5, 3, seed=3)
    found = ctc(logits, np.array([2, 3]), [[1, 1], [1, 1]])
    assert found.loss == pytest.approx(by_all_ways(logits[2:], [1, 1]))
    assert not found.dlogits[:2].any() and found.dlogits[2:].any()


def test_float32_stays():
    assert ctc(noise(5, 4).astype(np.float32), np.array([5]), [[1, 2]]).dlogits.dtype == np.float32
