"""Connectionist temporal classification (Graves et al. 2006): a loss for the encoder alone, with its derivative.

A linear map gives each memory row a distribution over the vocabulary and a blank, its last entry. A way through the
memory says at every row a label or the blank; said labels that follow one another unbroken count once, blanks not at
all. The loss is minus the log-probability that some way says the labels, summed over all ways by two recursions: from
the start (`alpha`) and from the end (`beta`). It teaches where things are said, which the decoder's attention would
find by itself only after very long: a second loss while training, whose map is thrown away.

The states of a transcript a b are  blank a blank b blank:  L = 2 U + 1. Utterances lie side by side in the tables, at
whose unused places is -inf, the logarithm of impossible.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...ops import log_softmax
from .ragged import stretches

IMPOSSIBLE = -np.inf


class Ctc(NamedTuple):
    """The loss, summed over utterances (natural logarithm), and its gradient."""

    loss: float
    dlogits: np.ndarray  # (S, V + 1)


class States(NamedTuple):
    """The states of B transcripts."""

    labels: np.ndarray  # (B, L) what each state says
    skips: np.ndarray  # (B, L) whether a way may come from the state before the last one: 0 or -inf
    lengths: np.ndarray  # (B,) the states of each


def states_of(transcripts: Sequence[Sequence[int]], blank: int) -> States:
    """The states of transcripts (U,) without EOS. A blank may be passed by, unless it parts two equal labels."""
    lengths = np.array([2 * len(t) + 1 for t in transcripts])
    labels = np.full((len(transcripts), max(lengths)), blank)
    for row, transcript in zip(labels, transcripts, strict=True):
        row[1 : 2 * len(transcript) : 2] = transcript
    skips = np.full(labels.shape, IMPOSSIBLE)
    skips[:, 2:][(labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])] = 0
    return States(labels, skips, lengths)


def emissions(log_p: np.ndarray, rows: list[slice], states: States) -> np.ndarray:
    """The log-probability that a memory row says what a state says: (S, V + 1) -> (longest S, B, L)."""
    table = np.full((max(r.stop - r.start for r in rows), *states.labels.shape), IMPOSSIBLE)
    for b, (r, length) in enumerate(zip(rows, states.lengths, strict=True)):
        table[: r.stop - r.start, b, :length] = log_p[r][:, states.labels[b, :length]]
    return table


def shifted(x: np.ndarray, by: int) -> np.ndarray:
    """x (B, L) moved `by` states on, or back where `by` is negative, with -inf in the places that become free."""
    y = np.full_like(x, IMPOSSIBLE)
    if by > 0:
        y[:, by:] = x[:, :-by]
    else:
        y[:, :by] = x[:, -by:]
    return y


def from_start(table: np.ndarray, states: States) -> np.ndarray:
    """alpha: the log-probability of all ways from the start to a state at a row, that row included: (S, B, L)."""
    alpha = np.full_like(table, IMPOSSIBLE)
    alpha[0, :, :2] = table[0, :, :2]
    for s in range(1, len(table)):
        before = alpha[s - 1]
        stay_or_step = np.logaddexp(before, shifted(before, 1))
        alpha[s] = table[s] + np.logaddexp(stay_or_step, shifted(before, 2) + states.skips)
    return alpha


def from_end(table: np.ndarray, states: States, rows: np.ndarray) -> np.ndarray:
    """beta: the log-probability of all ways from a state at a row to the end, that row left out: (S, B, L).

    `rows` (B,): the memory rows of each utterance.
    """
    beta = np.full_like(table, IMPOSSIBLE)
    place = np.arange(table.shape[2])
    last = np.where((place >= states.lengths[:, None] - 2) & (place < states.lengths[:, None]), 0.0, IMPOSSIBLE)
    for s in reversed(range(len(table))):
        if s + 1 < len(table):
            after = table[s + 1] + beta[s + 1]
            stay_or_step = np.logaddexp(after, shifted(after, -1))
            beta[s] = np.logaddexp(stay_or_step, shifted(after + states.skips, -2))
        beta[s] = np.where((rows == s + 1)[:, None], last, beta[s])
    return beta


def ctc(logits: np.ndarray, lengths: np.ndarray, transcripts: Sequence[Sequence[int]]) -> Ctc:
    """The loss of logits (S, V + 1) of utterances with `lengths` (B,) rows, and its gradient.

    By a row's logits that is its softmax less the share of the ways that say each label there. An utterance too short
    to say its labels counts nothing.
    """
    log_p, rows = log_softmax(logits), stretches(lengths)
    states = states_of(transcripts, logits.shape[1] - 1)
    table = emissions(log_p, rows, states)
    ways = from_start(table, states) + from_end(table, states, np.asarray(lengths))
    dlogits, loss = np.exp(log_p), 0.0
    for b, (r, length) in enumerate(zip(rows, states.lengths, strict=True)):
        own = ways[: r.stop - r.start, b, :length]
        log_probability = np.logaddexp.reduce(own[0])
        if log_probability == IMPOSSIBLE:
            dlogits[r] = 0
            continue
        loss -= log_probability
        said = np.arange(r.start, r.stop)[:, None], states.labels[b, :length]
        np.subtract.at(dlogits, said, np.exp(own - log_probability).astype(dlogits.dtype))
    return Ctc(float(loss), dlogits)
