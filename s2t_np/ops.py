"""The arithmetic of the model: a handful of short numpy functions, and the table of them.

Every layer takes an `Ops` as its first argument and calls `ops.linear(x, w)`; it never knows which backend computes.
`numpy_ops` below is the plain table, the one to read and to trust; `kernels` replaces the entries it can do faster. All
functions compute in the precision of their arguments: float32 for use, float64 for reference.

Shape letters (used in every file): N samples, T frames, M mel bins, C conv channels, S encoder positions, U target
positions, K beams, H heads, D model width, F feed-forward width, V vocabulary; I and O are any input and output width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

SCORES_AT_ONCE = 1 << 18  # 1 MB of attention scores, which stays in the cache
LAYER_NORM_EPSILON = 1e-5  # torch.nn.LayerNorm's default, which S2T uses everywhere


def summary(record) -> str:
    """The repr of a NamedTuple of weights: the shapes of its arrays and the kinds of its parts, never the numbers."""

    def brief(value) -> str:
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return f"{len(value)} x {type(value[0]).__name__}" if value else "none"
        return str(value.shape) if isinstance(value, np.ndarray) else type(value).__name__ if value else "none"

    parts = (f"{name}: {brief(value)}" for name, value in zip(record._fields, record, strict=True))
    return f"{type(record).__name__}({', '.join(parts)})"


class Linear(NamedTuple):
    """An affine map y = x W^T + b, stored the way torch stores it."""

    weight: np.ndarray  # (O, I)
    bias: np.ndarray | None  # (O,)
    __repr__ = summary


class LayerNorm(NamedTuple):
    """Gain and offset of a layer normalisation."""

    weight: np.ndarray  # (D,)
    bias: np.ndarray  # (D,)
    __repr__ = summary


class Conv(NamedTuple):
    """A one-dimensional convolution over time, stored the way torch stores it."""

    weight: np.ndarray  # (O, I, kernel)
    bias: np.ndarray  # (O,)
    __repr__ = summary


def prepare(weights, read: Callable[[Any], np.ndarray] = np.asarray):
    """Convert freshly loaded weights to the form this table computes with: for numpy, arrays.

    Weights may be arrays (any shape), or what `np.asarray` reads from a file. Where the form is another, `read` gives
    the numbers of one, which are used before it is called again.
    """
    known: dict[int, np.ndarray] = {}  # a tied table stays one

    def arrays(node):
        if isinstance(node, tuple):
            children = map(arrays, node)
            return type(node)(*children) if hasattr(node, "_fields") else tuple(children)
        return None if node is None else known.setdefault(id(node), np.asarray(node))

    return arrays(weights)


def linear(x: np.ndarray, w: Linear, residual: np.ndarray | None = None) -> np.ndarray:
    """x W^T + b, plus `residual` if there is one: (S, I) -> (S, O)."""
    y = times_transposed(x, w.weight)
    if w.bias is not None:
        y += w.bias
    if residual is not None:
        y += residual
    return y


def times_transposed(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x W^T, computed as (W x^T)^T, which OpenBLAS does faster for the few rows of a decoder step: (S, I) -> (S, O)."""
    return (weight @ np.ascontiguousarray(x.T)).T


def linear_relu(x: np.ndarray, w: Linear) -> np.ndarray:
    """max(x W^T + b, 0): (S, I) -> (S, O)."""
    y = linear(x, w)
    return np.maximum(y, 0, out=y)


def layer_norm(x: np.ndarray, w: LayerNorm) -> np.ndarray:
    """Bring each row to mean 0 and variance 1, then scale and shift it (Ba et al. 2016): (..., D) -> (..., D)."""
    y = x - x.mean(axis=-1, keepdims=True)
    y /= np.sqrt(np.mean(y * y, axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
    y *= w.weight
    y += w.bias
    return y


def softmax(x: np.ndarray) -> np.ndarray:
    """exp(x) normalised over the last axis; the maximum is subtracted first so that nothing overflows."""
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y


def log_softmax(x: np.ndarray) -> np.ndarray:
    """log(softmax(x)) over the last axis, without ever taking the log of an underflowed number."""
    y = x - x.max(axis=-1, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))
    return y


def glu(x: np.ndarray) -> np.ndarray:
    """Gated linear unit over channels, a * sigmoid(b) with x = [a | b] (Dauphin et al. 2017): (T, 2C) -> (T, C)."""
    a, b = np.split(x, 2, axis=-1)
    with np.errstate(over="ignore"):  # exp(-b) may be inf: the gate is then exactly closed, which is the right answer
        return a / (1 + np.exp(-b))


def conv1d(x: np.ndarray, w: Conv) -> np.ndarray:
    """Convolve over time, stride 2, kernel//2 zeros on both sides: (T, I) -> ((T-1)//2 + 1, O).

    With every other frame taken, tap k of the kernel meets the frames k, k+2, k+4, ..., so the convolution is one
    matrix product per tap: sum_k x[k::2] W_k^T, and no window is ever copied out.
    """
    taps = w.weight.shape[2]
    length = (len(x) - 1) // 2 + 1
    padded = np.pad(x, ((taps // 2, taps // 2), (0, 0)))
    y = np.broadcast_to(w.bias, (length, len(w.bias))).copy()
    for k in range(taps):
        y += padded[k : k + 2 * length - 1 : 2] @ w.weight[:, :, k].T
    return y


def conv1d_glu(x: np.ndarray, w: Conv) -> np.ndarray:
    """Convolve over time, then gate: (T, I) -> ((T-1)//2 + 1, O//2)."""
    return glu(conv1d(x, w))


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """(..., S, D) -> (..., H, S, D/H): head h owns the h-th slice of D/H columns."""
    *lead, rows, width = x.shape
    return np.swapaxes(x.reshape(*lead, rows, heads, width // heads), -2, -3)


def merge_heads(x: np.ndarray) -> np.ndarray:
    """(..., H, S, D/H) -> (..., S, D), the inverse of `split_heads`."""
    x = np.swapaxes(x, -2, -3)
    return x.reshape(*x.shape[:-2], -1)


def attention_weights(q: np.ndarray, k: np.ndarray, first: int | None = None) -> np.ndarray:
    """softmax(Q K^T) within each head: q (..., H, Q, D/H), k (..., H, S, D/H) -> (..., H, Q, S).

    With `first`, the position of q's first row, query i sees only the keys 0 .. first + i.
    """
    scores = q @ np.swapaxes(k, -1, -2)  # (..., H, Q, S)
    if first is not None:
        future = np.triu(np.ones(scores.shape[-2:], dtype=bool), k=first + 1)
        scores[..., future] = -np.inf
    return softmax(scores)


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, first: int | None = None) -> np.ndarray:
    """softmax(Q K^T) V within each head: v (..., H, S, D/H) -> (..., H, Q, D/H)."""
    return attention_weights(q, k, first) @ v


def attend_in_blocks(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool) -> np.ndarray:
    """`attend` for a few hundred queries at a time, so that no S x S table is needed: -> (..., H, Q, D/H).

    With `causal`, query i sees only the keys 0..i.
    """
    rows = max(1, SCORES_AT_ONCE // (k.shape[-3] * k.shape[-2]))
    starts = range(0, q.shape[-2], rows)
    blocks = [attend(q[..., i : i + rows, :], k, v, i if causal else None) for i in starts]
    return np.concatenate(blocks, axis=-2)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, causal: bool = False) -> np.ndarray:
    """Multi-head attention (Vaswani et al. 2017): q (..., Q, D), k and v (..., S, D) -> (..., Q, D).

    `q` is already scaled by (D/H)**-0.5. With `causal`, query i sees only the keys 0..i.
    """
    q, k, v = split_heads(q, heads), split_heads(k, heads), split_heads(v, heads)
    return merge_heads(attend_in_blocks(q, k, v, causal))


class Ops(NamedTuple):
    """The fine seam: the table of primitive operations that a backend provides.

    `linear_activation` is the first half of a feed-forward network, linear map and activation function in one;
    `linear_relu` in every released model (`backend.for_network` puts others in its place).
    """

    prepare: Callable
    linear: Callable
    linear_activation: Callable
    layer_norm: Callable
    conv1d_glu: Callable
    attention: Callable


numpy_ops = Ops(prepare, linear, linear_relu, layer_norm, conv1d_glu, attention)
