"""Attention weights, read from a pass through the decoder.

No function of the model returns them. The table of operations `ops`, however, receives the queries and keys that the
weights come from, even if the weights of the model are packed and only the backend's own operations can read them.
"""

import numpy as np

from .. import ops as numpy_arithmetic
from ..ops import Ops, split_heads


def attention_weights(q: np.ndarray, k: np.ndarray, heads: int) -> np.ndarray:
    """softmax(Q K^T) within each head: q (..., Q, D), scaled, and k (..., S, D) -> (..., H, Q, S), rows sum to 1."""
    return numpy_arithmetic.attention_weights(split_heads(q, heads), split_heads(k, heads))


def record_attention(ops: Ops, weights: list[np.ndarray]) -> Ops:
    """`ops` that append to `weights` those of every attention that is not causal, (..., H, Q, S).

    In `decode_full` these are the weights over the memory, one entry for each layer.
    """

    def attention(q, k, v, heads, causal=False):
        if not causal:
            weights.append(attention_weights(q, k, heads))
        return ops.attention(q, k, v, heads, causal)

    return ops._replace(attention=attention)
