"""The losses: cross-entropy with label smoothing, and CTC's (ctc.py), with their derivatives.

Cross-entropy compares the softmax p of the logits with a wanted distribution q and is -sum(q log p). Without smoothing
q is 1 at the label; smoothing by e takes e from it and spreads it over the other tokens, each e / (V - 1), as fairseq's
`label_smoothed_cross_entropy` does (Szegedy et al. 2016). Whatever q is, the derivative by the logits is p - q.
"""

from typing import NamedTuple

import numpy as np

from ...ops import log_softmax


class CrossEntropy(NamedTuple):
    """Sums over all tokens (natural logarithms), and the gradient of the loss."""

    loss: float  # against the smoothed labels
    nll: float  # against the labels themselves
    dlogits: np.ndarray  # (U, V)


def cross_entropy(logits: np.ndarray, labels: np.ndarray, smoothing: float = 0.0) -> CrossEntropy:
    """The loss of logits (U, V) against labels (U,) ints, summed over the tokens."""
    log_p = log_softmax(logits)
    at_label = np.arange(len(labels)), labels
    others = smoothing / (logits.shape[1] - 1)
    nll = -log_p[at_label].sum(dtype=np.float64)
    everywhere = -log_p.sum(dtype=np.float64)
    loss = (1 - smoothing - others) * nll + others * everywhere
    dlogits = np.exp(log_p, out=log_p)
    dlogits -= others
    dlogits[at_label] -= 1 - smoothing - others
    return CrossEntropy(float(loss), float(nll), dlogits)
