"""The parts of encoder and decoder: subsampler, positions, attention block, feed-forward.

Sources: Wang et al. 2020, "fairseq S2T" (arXiv 2010.05171), section 3 for the subsampler; Vaswani et al. 2017,
"Attention is all you need", sections 3.1, 3.2 and 3.5 for residuals, attention and positions. Layers of the released
models are pre-norm: each block sees the normalised stream and adds its result to the plain one, which `residual`
carries into the last projection.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .config import ModelConfig
from .ops import LayerNorm, Ops
from .parts import Attention, EncoderLayer, Subsampler


class KeysValues(NamedTuple):
    """Keys, which attention matches with queries, and the values that it takes from them."""

    k: np.ndarray  # (S, D), or (K, S, D) with a history for each beam
    v: np.ndarray  # the same shape


def subsampled_length(frames: int, convolutions: int = 2) -> int:
    """S for T frames: each convolution of stride 2 makes L into (L - 1)//2 + 1."""
    for _ in range(convolutions):
        frames = (frames - 1) // 2 + 1
    return frames


def pad_as_in_batch(x: np.ndarray, w: Subsampler, padded_length: int) -> np.ndarray:
    """Zero frames after x as a padded batch has them, no more than the convolutions can see: (T, M) -> (T', M).

    Upstream masks nothing between the convolutions, so the frames that padding turned into GLU(bias) reach the last
    valid position. A kernel k in layer i reaches k//2 * 2**i frames ahead; twice their sum is beyond all of it.
    """
    reach = 2 * sum((conv.weight.shape[2] // 2) << i for i, conv in enumerate(w.conv_layers))
    return np.pad(x, ((0, min(padded_length - len(x), reach + (1 << len(w.conv_layers)))), (0, 0)))


def subsample(ops: Ops, w: Subsampler, x: np.ndarray, padded_length: int | None = None) -> np.ndarray:
    """Shorten time by 4 with convolutions and gates: (T, M) -> (S, D).

    `padded_length` (frames, at least T) gives the numbers upstream gives for this utterance in a batch padded to that
    length; without it the utterance stands alone.
    """
    length = subsampled_length(len(x), len(w.conv_layers))
    if padded_length is not None:
        x = pad_as_in_batch(x, w, padded_length)
    for conv in w.conv_layers:
        x = ops.conv1d_glu(x, conv)
    return x[:length]


def sinusoids(start: int, count: int, width: int, dtype=np.float32) -> np.ndarray:
    """Rows start .. start+count-1 of the position table of tensor2tensor: (count, D).

    Half the columns are sin(p f_i), the other half cos(p f_i), f_i = 10000**(-i/(D/2 - 1)); odd widths end in a zero.
    Computed in float64 whatever `dtype` is: in float32 the product p f_i alone is off by 1e-4 at p = 3000.
    """
    half = width // 2
    frequencies = np.exp(np.arange(half) * (-np.log(10000.0) / (half - 1)))
    angles = np.arange(start, start + count)[:, None] * frequencies
    table = np.zeros((count, width), dtype)
    table[:, :half], table[:, half : 2 * half] = np.sin(angles), np.cos(angles)
    return table


def positions(first: int, count: int, config: ModelConfig, dtype) -> np.ndarray:
    """Position rows for `count` tokens or frames, counted from 0: (count, D).

    fairseq numbers positions from padding_idx + 1, which is 2 in every released model.
    """
    return sinusoids(first + config.pad_token_id + 1, count, config.d_model, dtype)


def embedding_scale(config: ModelConfig, width: int | None = None) -> float:
    """sqrt(D) when the config asks for it: brings embeddings to the size of the positions they are added to.

    D is `width`, or that of the encoder.
    """
    return (width or config.d_model) ** 0.5 if config.scale_embedding else 1.0


Block = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (its input, the residual to add to its result): both (..., D)


def pre_norm(ops: Ops, norm: LayerNorm, x: np.ndarray, block: Block) -> np.ndarray:
    """x + block(norm(x)), as in every released model: (..., D) -> (..., D)."""
    return block(ops.layer_norm(x, norm), x)


def post_norm(ops: Ops, norm: LayerNorm, x: np.ndarray, block: Block) -> np.ndarray:
    """norm(x + block(x)), as in Vaswani et al. 2017, section 3.1: (..., D) -> (..., D)."""
    return ops.layer_norm(block(x, x), norm)


def normalised(ops: Ops, x: np.ndarray, norm: LayerNorm | None) -> np.ndarray:
    """norm(x), or x itself in a network that has no normalisation at this place: (..., D) -> (..., D)."""
    return x if norm is None else ops.layer_norm(x, norm)


def queries(ops: Ops, w: Attention, x: np.ndarray, heads: int) -> np.ndarray:
    """Projected queries, scaled by (D/H)**-0.5 so that products with keys have variance 1: (..., D) -> the same."""
    return ops.linear(x, w.q_proj) * x.dtype.type((x.shape[-1] // heads) ** -0.5)


def keys_values(ops: Ops, w: Attention, x: np.ndarray) -> KeysValues:
    """Projected keys and values of the rows of x: (..., D) -> two of (..., D)."""
    return KeysValues(ops.linear(x, w.k_proj), ops.linear(x, w.v_proj))


def self_attention(ops: Ops, w: Attention, heads: int, x: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Attention of every row over every row, plus the residual: (S, D) -> (S, D)."""
    mixed = ops.attention(queries(ops, w, x, heads), *keys_values(ops, w, x), heads)
    return ops.linear(mixed, w.out_proj, residual)


def feed_forward(ops: Ops, w: EncoderLayer, x: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """W2 relu(W1 x), plus the residual: the same small network at every position, (..., D) -> (..., D)."""
    return ops.linear(ops.linear_activation(x, w.fc1), w.fc2, residual)
