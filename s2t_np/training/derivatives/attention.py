"""The derivative of multi-head attention, each utterance by itself.

softmax(Q K^T) V is a product, a softmax and a product; backwards come the derivative of a product, that of a softmax
and that of a product. The shares, (H, Q, S) for each utterance, are kept from the forward pass.
"""

from typing import NamedTuple

import numpy as np

from ...ops import attention_weights, split_heads
from ...parts import Attention
from .dropout import Dropout, dropout_backward
from .operations import linear_backward, linear_forward, softmax_backward
from .ragged import side_by_side, stretches


class Reach(NamedTuple):
    """Who looks at whom: the rows of each utterance that ask, those that are asked, and in how many heads."""

    rows: np.ndarray  # (B,) queries of each utterance
    sources: np.ndarray  # (B,) keys of each
    heads: int
    causal: bool = False  # query i sees only the keys 0 .. i


class AttentionKept(NamedTuple):
    """Kept for the derivative of an attention."""

    q: np.ndarray  # (Q, D), scaled
    k: np.ndarray  # (S, D)
    v: np.ndarray  # (S, D)
    shares: list[np.ndarray]  # for each utterance (H, Q, S)
    masks: list[np.ndarray | None]  # the dropout of the shares


class ProjectedKept(NamedTuple):
    """Kept for the derivative of an attention with its four projections."""

    x: np.ndarray  # (Q, D) the rows that ask
    source: np.ndarray  # (S, D) the rows that are asked
    attention: AttentionKept
    mixed: np.ndarray  # (Q, D)


def attention_forward(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, reach: Reach, dropout: Dropout
) -> tuple[np.ndarray, AttentionKept]:
    """Multi-head attention: q (Q, D), scaled, k and v (S, D) -> (Q, D)."""
    mixed = np.empty_like(q)

    def one(rows: slice, sources: slice, noise: Dropout):
        Q, K, V, out = (split_heads(a, reach.heads) for a in (q[rows], k[sources], v[sources], mixed[rows]))
        share = attention_weights(Q, K, 0 if reach.causal else None)
        dropped, mask = noise.of_attention(share)
        np.matmul(dropped, V, out=out)
        return share, mask

    found = side_by_side(one, stretches(reach.rows), stretches(reach.sources), dropout.split(len(reach.rows)))
    return mixed, AttentionKept(q, k, v, *map(list, zip(*found, strict=True)))


def attention_backward(dy: np.ndarray, reach: Reach, kept: AttentionKept) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients by q, k and v: dy (Q, D) -> (Q, D), (S, D), (S, D)."""
    q, k, v, shares, masks = kept
    dq, dk, dv = np.empty_like(q), np.empty_like(k), np.empty_like(v)

    def one(rows: slice, sources: slice, share: np.ndarray, mask: np.ndarray | None):
        dmixed, Q, dQ = (split_heads(a[rows], reach.heads) for a in (dy, q, dq))
        K, V, dK, dV = (split_heads(a[sources], reach.heads) for a in (k, v, dk, dv))
        np.matmul(dropout_backward(share, mask).swapaxes(-1, -2), dmixed, out=dV)
        dshare = dropout_backward(dmixed @ V.swapaxes(-1, -2), mask)
        dscores = softmax_backward(dshare, share)
        np.matmul(dscores, K, out=dQ)
        np.matmul(dscores.swapaxes(-1, -2), Q, out=dK)

    side_by_side(one, stretches(reach.rows), stretches(reach.sources), shares, masks)
    return dq, dk, dv


def projected_forward(
    w: Attention, x: np.ndarray, source: np.ndarray, reach: Reach, dropout: Dropout
) -> tuple[np.ndarray, ProjectedKept]:
    """Attention of the rows x (Q, D) over the rows `source` (S, D), with its four projections: -> (Q, D)."""
    q = linear_forward(x, w.q_proj)
    q *= x.dtype.type((x.shape[-1] // reach.heads) ** -0.5)
    k = linear_forward(source, w.k_proj)
    v = linear_forward(source, w.v_proj)
    mixed, kept = attention_forward(q, k, v, reach, dropout)
    return linear_forward(mixed, w.out_proj), ProjectedKept(x, source, kept, mixed)


def projected_backward(
    dy: np.ndarray, w: Attention, reach: Reach, kept: ProjectedKept
) -> tuple[np.ndarray, np.ndarray, Attention]:
    """The gradients by x, by `source` and by the weights: dy (Q, D) -> (Q, D), (S, D), an Attention."""
    dmixed, out_proj = linear_backward(dy, kept.mixed, w.out_proj)
    dq, dk, dv = attention_backward(dmixed, reach, kept.attention)
    by_v, v_proj = linear_backward(dv, kept.source, w.v_proj)
    by_k, k_proj = linear_backward(dk, kept.source, w.k_proj)
    dq *= dq.dtype.type((dq.shape[-1] // reach.heads) ** -0.5)
    dx, q_proj = linear_backward(dq, kept.x, w.q_proj)
    by_k += by_v
    return dx, by_k, Attention(q_proj, k_proj, v_proj, out_proj)
