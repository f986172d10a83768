"""Watching the arithmetic: the same operations, which also tell what passed through them.

Attention weights are nowhere returned; the fine seam `ops` sees the queries and keys they come from, also where the
weights of the model are packed and only the backend's own operations can read them.
"""

import numpy as np

from .. import ops as plain
from ..ops import Ops, split_heads


def attention_weights(q: np.ndarray, k: np.ndarray, heads: int) -> np.ndarray:
    """softmax(Q K^T) within each head: q (..., Q, D), scaled, and k (..., S, D) -> (..., H, Q, S), rows sum to 1."""
    return plain.attention_weights(split_heads(q, heads), split_heads(k, heads))


def watch_attention(ops: Ops, seen: list[np.ndarray]) -> Ops:
    """`ops` that append to `seen` the weights (..., H, Q, S) of every attention that is not causal.

    In `decode_full` these are the weights over the memory, one entry for each layer.
    """

    def attention(q, k, v, heads, causal=False):
        if not causal:
            seen.append(attention_weights(q, k, heads))
        return ops.attention(q, k, v, heads, causal)

    return ops._replace(attention=attention)
