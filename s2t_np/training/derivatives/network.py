"""A batch of utterances, its loss, and the gradient of that by every weight: one step forward, one step back.

loss, kept = forward(weights, config, batch, dropout)
gradient = backward(weights, config, kept)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...config import ModelConfig
from ...layers import subsampled_length
from ...ops import Linear
from ...parts import Weights
from .attention import Reach
from .decoder import DecoderKept, Reaches, decode_backward, decode_forward
from .dropout import NO_DROPOUT, Dropout
from .encoder import EncoderKept, encode_backward, encode_forward
from .loss import CrossEntropy, cross_entropy
from .operations import linear_backward, linear_forward
from .parameters import zeros_like
from .ragged import join


class Batch(NamedTuple):
    """Utterances side by side: the rows of all, and how many each has."""

    features: np.ndarray  # (T, M)
    frames: np.ndarray  # (B,)
    memory_lengths: np.ndarray  # (B,) encoder positions
    tokens: np.ndarray  # (U,) what the decoder is given: the start token, then the labels but the last
    labels: np.ndarray  # (U,) what it is to answer, EOS at the end of each
    text_lengths: np.ndarray  # (B,)


class Kept(NamedTuple):
    """Kept for the derivative of a batch's loss."""

    encoder: EncoderKept
    decoder: DecoderKept
    memory: np.ndarray  # (S, D)
    rows: np.ndarray  # (U, D) the input of the vocabulary projection
    dlogits: np.ndarray  # (U, V)


class Loss(NamedTuple):
    """The loss of a batch, summed over its tokens (natural logarithms)."""

    loss: float  # with label smoothing
    nll: float  # without
    tokens: int
    wrong: int  # tokens whose label is not the likeliest


def make_batch(pairs: Sequence[tuple[np.ndarray, Sequence[int]]], config: ModelConfig, padded: int = 0) -> Batch:
    """Pairs of features (T, M) and labels (U,), EOS at their end, as a batch.

    `padded`: zero frames follow each utterance up to this length, as in fairseq's padded batches, where the last
    position hears a little of them; only for comparisons.
    """
    lengths = [subsampled_length(len(x), config.num_conv_layers) for x, _ in pairs]
    features, frames = join(np.pad(x, ((0, max(0, padded - len(x))), (0, 0))) for x, _ in pairs)
    labels, text_lengths = join(np.asarray(ids, np.int64) for _, ids in pairs)
    start = config.decoder_start_token_id
    tokens = np.concatenate([[start, *ids[:-1]] for _, ids in pairs]).astype(np.int64)
    return Batch(features, frames, np.array(lengths), tokens, labels, text_lengths)


def forward(
    w: Weights, config: ModelConfig, batch: Batch, smoothing: float = 0.0, dropout: Dropout = NO_DROPOUT
) -> tuple[Loss, Kept]:
    """The loss of a batch, and what its derivative needs."""
    lengths, texts = batch.memory_lengths, batch.text_lengths
    memory, encoder = encode_forward(w.encoder, config, batch.features, batch.frames, lengths, dropout)
    heads = config.decoder_attention_heads
    reaches = Reaches(Reach(texts, texts, heads, causal=True), Reach(texts, lengths, heads))
    rows, decoder = decode_forward(w.decoder, config, batch.tokens, memory, reaches, dropout)
    logits = linear_forward(rows, w.lm_head)
    wrong = int(np.count_nonzero(logits.argmax(axis=1) != batch.labels))
    found: CrossEntropy = cross_entropy(logits, batch.labels, smoothing)
    kept = Kept(encoder, decoder, memory, rows, found.dlogits)
    return Loss(found.loss, found.nll, len(batch.labels), wrong), kept


class Derivative(NamedTuple):
    """The gradient of a batch's loss."""

    weights: Weights  # in the structure of the weights
    features: np.ndarray | None  # (T, M), if it was asked for


def tied(w: Weights) -> bool:
    """Return whether the vocabulary projection is the embedding table."""
    return w.lm_head.weight is w.decoder.embed_tokens.weight


def backward(
    w: Weights,
    config: ModelConfig,
    kept: Kept,
    dmemory: np.ndarray | None = None,
    by_encoder: bool = True,
    by_features: bool = False,
) -> Derivative:
    """The gradient of the loss by every weight.

    `dmemory` (S, D) is the gradient of a second loss on the memory (CTC). Where the encoder is frozen, `by_encoder`
    False saves half of all work, and its gradients are zeros. `by_features` asks for the gradient by the
    features as well.
    """
    drows, head = linear_backward(kept.dlogits, kept.rows, w.lm_head)
    by_memory, decoder = decode_backward(drows, w.decoder, config, kept.memory, kept.decoder)
    if tied(w):
        decoder.embed_tokens.weight[...] += head.weight
        head = Linear(decoder.embed_tokens.weight, None)
    if not by_encoder:
        return Derivative(Weights(zeros_like(w.encoder), decoder, head), None)
    if dmemory is not None:
        by_memory = by_memory + dmemory
    dfeatures, encoder = encode_backward(by_memory, w.encoder, config, kept.encoder, by_features)
    return Derivative(Weights(encoder, decoder, head), dfeatures)
