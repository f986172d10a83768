"""Beside each operation of the model its derivative, worked out by hand.

Each `NAME_forward` computes what `ops` computes and also returns what its derivative needs; `NAME_backward` takes `dy`,
the gradient of the loss by the output, and returns the gradients by the input and by the weights, the latter in the
structure of the weights themselves (a `Linear` of gradients for a `Linear`). One rule makes all of them: if y = f(x),
a small change of x changes the loss by dy . f'(x) dx, so the gradient by x is dy times the transposed f'(x).

Rows (S, D) may be those of one utterance or of many, one after another: none of the functions here lets two rows meet.
Everything is computed in the precision of the arguments. `dx` is the gradient by `x`, and so on; shape letters as in
ops.py, I and O are any input and output width.
"""

from typing import NamedTuple

import numpy as np

from ...ops import LAYER_NORM_EPSILON, LayerNorm, Linear


class LayerNormKept(NamedTuple):
    """Kept for the derivative of a layer normalisation."""

    normal: np.ndarray  # (S, D) rows of mean 0 and variance 1, before gain and offset
    deviation: np.ndarray  # (S, 1) standard deviation of each row


class GluKept(NamedTuple):
    """Kept for the derivative of a gated linear unit."""

    a: np.ndarray  # (S, C) what is let through
    gate: np.ndarray  # (S, C) sigmoid(b), between 0 and 1


def column_sums(x: np.ndarray) -> np.ndarray:
    """The sum of all rows, as a matrix product, which adds up in blocks and on all cores: (S, D) -> (D,)."""
    return np.ones(len(x), x.dtype) @ x


def row_products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The scalar product of each row of x with that of y: two of (..., D) -> (..., 1)."""
    return np.einsum("...d,...d->...", x, y)[..., None]


def linear_forward(x: np.ndarray, w: Linear) -> np.ndarray:
    """x W^T + b: (S, I) -> (S, O). Its derivative needs x and nothing else."""
    y = x @ w.weight.T
    if w.bias is not None:
        y += w.bias
    return y


def linear_backward(dy: np.ndarray, x: np.ndarray, w: Linear) -> tuple[np.ndarray, Linear]:
    """dx = dy W, dW = dy^T x, db = the sum of the rows of dy: dy (S, O), x (S, I) -> (S, I) and a Linear."""
    bias = None if w.bias is None else column_sums(dy)
    return dy @ w.weight, Linear(dy.T @ x, bias)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient passes where y = max(x, 0) is above zero, and nowhere else: two of (S, F) -> (S, F)."""
    return dy * (y > 0)


def layer_norm_forward(x: np.ndarray, w: LayerNorm) -> tuple[np.ndarray, LayerNormKept]:
    """Bring each row to mean 0 and variance 1, then scale and shift it: (S, D) -> (S, D)."""
    normal = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(row_products(normal, normal) / x.shape[-1] + LAYER_NORM_EPSILON)
    normal /= deviation
    y = normal * w.weight
    y += w.bias
    return y, LayerNormKept(normal, deviation)


def layer_norm_backward(dy: np.ndarray, w: LayerNorm, kept: LayerNormKept) -> tuple[np.ndarray, LayerNorm]:
    """The gradient by x loses what the normalisation takes out of x: its mean, and its part along the row itself.

    With n the normalised row and g = dy gain: dx = (g - mean(g) - n mean(g n)) / deviation. dy (S, D) -> (S, D) and a
    LayerNorm.
    """
    normal, deviation = kept
    gradient = LayerNorm(np.einsum("sd,sd->d", dy, normal), column_sums(dy))
    dx = dy * w.weight
    along = row_products(dx, normal) / dx.shape[-1]
    dx -= dx.mean(axis=-1, keepdims=True)
    dx -= normal * along
    dx /= deviation
    return dx, gradient


def glu_forward(x: np.ndarray) -> tuple[np.ndarray, GluKept]:
    """a sigmoid(b) with x = [a | b]: (S, 2C) -> (S, C)."""
    a, b = np.split(x, 2, axis=-1)
    with np.errstate(over="ignore"):  # exp(-b) may be inf: the gate is then exactly closed, which is the right answer
        gate = 1 / (1 + np.exp(-b))
    return a * gate, GluKept(a, gate)


def glu_backward(dy: np.ndarray, kept: GluKept) -> np.ndarray:
    """da = dy gate; db = dy a gate (1 - gate), since sigmoid' = sigmoid (1 - sigmoid): (S, C) -> (S, 2C)."""
    da = dy * kept.gate
    db = da * kept.a
    db *= 1 - kept.gate
    return np.concatenate((da, db), axis=-1)


def softmax_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = y (dy - sum(dy y)): shares that sum to one cannot all grow. Two of (..., S) -> (..., S)."""
    dx = dy - row_products(dy, y)
    dx *= y
    return dx


def embedding_backward(dx: np.ndarray, tokens: np.ndarray, size: int) -> np.ndarray:
    """A row of the table gets the sum of the gradients at all places of its token: dx (U, D), (U,) -> (V, D)."""
    table = np.zeros((size, dx.shape[1]), dx.dtype)
    if len(tokens):
        order = np.argsort(tokens, kind="stable")
        found, first = np.unique(tokens[order], return_index=True)
        table[found] = np.add.reduceat(dx[order], first, axis=0)
    return table
