"""Weights in the form that the tiles read, made once at load.

A matrix (O, I) becomes panels of 32 outputs: [panel][input][output within the panel], so that both directions of use
(`tile.py`) walk through memory in order: 32 weights of a step side by side as lanes, or 8 of them as scalars. Outputs
are padded with zeros to whole panels, biases too. A convolution (O, I, taps) is a matrix over the window's (tap, input)
pairs, and its panels hold 16 channels beside the 16 gates that belong to them, so that a tile can apply the gate.

All of it lies in one block of memory (`arena.py`). With FLOAT16 the same panels hold halves, convolutions included, and
are widened as they are read; biases, gains and offsets stay float32: they are a thousandth of the bytes. The unpacked
weights are not kept; a tied embedding table is read from the panels of the vocabulary projection.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..layout import CHUNK, DECODER_COLUMNS, ENCODER_COLUMNS, FLOAT16, FLOAT32, GATED, INT8, PANEL
from ..pool import Pool
from . import packing_host
from .arena import Arena, Job, rounded

LENDABLE = 1 << 25  # bytes of what caches, and steps, have given back that are kept for the next
HALVES_END = float(np.finfo(np.float16).max)
Read = Callable[[Any], np.ndarray]  # gives the numbers of a weight, to be used before the thread calls it again


class PackedLinear(NamedTuple):
    """y = x W^T + b, packed: panels (ceil(O/32), I, 32) and bias (ceil(O/32) * 32,), zeros if there is none."""

    arena: np.ndarray  # (everything,) float32
    panels: int  # offset
    bias: int  # offset; with int8 of the terms: bias, scale, zero points (ops/gemm_int8.py)
    inputs: int  # I
    outputs: int  # O
    dtype: int  # FLOAT32, INT8 or FLOAT16


class Shaped(NamedTuple):
    """Stands for an array that is not kept."""

    shape: tuple[int, ...]


class PackedConv(NamedTuple):
    """A gated convolution, packed: panel p has channels 16p .. 16p+15 of the first half, then their gates.

    Panels (ceil(O/2/16), taps * I, 32), inputs ordered (tap, input); the bias is ordered as the panels.
    """

    arena: np.ndarray
    panels: int
    bias: int  # or terms, as in PackedLinear
    inputs: int  # I
    outputs: int  # O/2, what the gate leaves
    taps: int
    dtype: int

    @property
    def weight(self):
        """Return what layers.py asks for: the shape of the weight that was packed, (O, I, taps)."""
        return Shaped((2 * self.outputs, self.inputs, self.taps))


class PackedNorm(NamedTuple):
    """Layer normalisation: gain (D,) and offset (D,)."""

    arena: np.ndarray
    gain: int
    bias: int
    inputs: int  # D


class PanelRows:
    """Rows of a packed matrix of floats or halves, gathered on demand: what `embed_tokens.weight[tokens]` needs."""

    def __init__(self, w: PackedLinear):
        count, line = -(-w.outputs // PANEL), n_words(PANEL, w.dtype)
        panels = w.arena[w.panels : w.panels + count * w.inputs * line]
        self.panels = panels.view(np.float16 if w.dtype == FLOAT16 else np.float32).reshape(count, w.inputs, PANEL)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(U,) ints -> (U, I) float32."""
        rows = np.asarray(rows)
        return self.panels[rows // PANEL, :, rows % PANEL].astype(np.float32, copy=False)


class HalfRows:
    """PanelRows of a matrix kept in float16, where the packed one is too coarse to be read."""

    def __init__(self, shape: tuple[int, int]):
        """(U, I), to be filled."""
        self.half = np.empty(shape, np.float16)

    def fill(self, weight: np.ndarray) -> None:
        """Keep a weight (U, I)."""
        self.half[:] = weight

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(U,) ints -> (U, I)."""
        return self.half[rows].astype(np.float32)


class PackedEmbedding(NamedTuple):
    """Stands for weights.Embedding: `weight[tokens]` gives the rows."""

    weight: PanelRows | HalfRows


class PackedEncoder(NamedTuple):
    """The encoder's packed parts under their names."""

    conv: tuple
    layers: tuple
    layer_norm: PackedNorm
    plan: np.ndarray  # (layers + 1, 16) int64: see `plan`
    dtype: int  # weight dtype: FLOAT32, INT8 or FLOAT16


class PackedDecoder(NamedTuple):
    """The decoder's packed parts under their names."""

    embed_tokens: PackedEmbedding
    layers: tuple
    layer_norm: PackedNorm
    plan: np.ndarray  # (layers + 1, 26) int64: see `plan`
    zero_points: np.ndarray | None  # for both output projections of the layers, int8 only: see `partial_zero_points`
    pool: Pool  # memory of caches
    workspaces: defaultdict[tuple[int, int], list]  # what steps compute in: see decoder/host.py
    embed_positions: None = None  # parts that no released model has, and these kernels do not compute
    layernorm_embedding: None = None
    project_out_dim: None = None


class PackedWeights(NamedTuple):
    """Stands for weights.Weights."""

    encoder: PackedEncoder
    decoder: PackedDecoder
    lm_head: PackedLinear


def leaves(node):
    """Every linear map, convolution, norm and embedding, packed or not."""
    if hasattr(node, "weight") or hasattr(node, "arena"):
        yield node
    elif isinstance(node, tuple):
        for child in node:
            yield from leaves(child)


def round_up(outputs: int) -> int:
    """Outputs in whole panels."""
    return -(-outputs // PANEL) * PANEL


def n_words(weights: int, dtype: int) -> int:
    """Words of 32 bits, the unit of the arena, that this many weights of one input take."""
    return weights // 2 if dtype == FLOAT16 else weights


def check_halves(weight: np.ndarray) -> None:
    """Raise OverflowError where a number of a weight (any shape) is beyond float16's largest."""
    highest = max(float(weight.max()), -float(weight.min()))
    if highest > HALVES_END:
        raise OverflowError(f"a weight is {highest:.3g}, above float16's largest number, 65504")


def _panel_count(shape: tuple[int, ...]) -> int:
    return -(-shape[0] // PANEL) if len(shape) == 2 else -(-(shape[0] // 2) // GATED)


def _size(node, dtype: int) -> int:
    """Floats that a part takes in the arena."""
    shape = node.weight.shape
    if len(shape) == 1:
        return 2 * rounded(shape[0])
    outputs, inputs = _panel_count(shape) * PANEL, math.prod(shape[1:])
    if dtype == INT8:
        return outputs * (-(-inputs // 4) + 2 - (-inputs // CHUNK))
    return n_words(outputs, dtype) * inputs + outputs


class Place(NamedTuple):
    """The place of a weight (O, I, taps) in the arena."""

    order: np.ndarray  # (32 panels,): the row of each output, -1 where there is none
    dtype: int
    panels: np.ndarray
    terms: np.ndarray  # the bias first

    def fill(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """Pack a weight, and a bias that has the panels' order."""
        if self.dtype == FLOAT16:
            check_halves(weight)
        self.terms.fill(0)
        packing_host.pack(weight, self.order, len(bias), self.dtype, self.panels, self.terms[1:])
        self.terms[0, : len(bias)] = bias
        if self.dtype == INT8:  # zero points, from the sums of bytes
            self.terms[2:] = (-128 * self.terms[2:]).astype(np.int32).view(np.float32)


def _place(arena: Arena, w, order: np.ndarray, dtype: int) -> tuple[Place, int, int]:
    """Return the place of a linear map or convolution, and the offsets of its panels and terms."""
    count, depth = len(order) // PANEL, math.prod(w.weight.shape[1:])
    if dtype == INT8:
        panels, terms = arena.take(count, -(-depth // 4), PANEL), arena.take(2 - (-depth // CHUNK), count * PANEL)
    else:
        panels, terms = arena.take(count, depth, n_words(PANEL, dtype)), arena.take(1, count * PANEL)
    return Place(order, dtype, panels, terms), arena.offset(panels), arena.offset(terms)


def pack_linear(arena: Arena, w, dtype: int = FLOAT32, read: Read = np.asarray) -> PackedLinear:
    """ops.Linear (O, I) -> PackedLinear."""
    outputs, inputs = w.weight.shape
    order = np.arange(round_up(outputs))
    order[outputs:] = -1
    place, *offsets = _place(arena, w, order, dtype)

    def fill() -> None:
        bias = np.zeros(outputs, np.float32) if w.bias is None else np.array(read(w.bias))
        place.fill(read(w.weight)[..., None], bias)

    arena.give(fill)
    return PackedLinear(arena.block, *offsets, inputs, outputs, dtype)


def pack_conv(arena: Arena, w, dtype: int = FLOAT32, read: Read = np.asarray) -> PackedConv:
    """ops.Conv (O, I, taps) -> PackedConv: outputs in the panels' order, 16 channels, their 16 gates, and so on."""
    outputs, inputs, taps = w.weight.shape
    channels = np.arange(_panel_count(w.weight.shape) * GATED).reshape(-1, 1, GATED)
    order = np.where(channels < outputs // 2, channels + np.array([[0], [outputs // 2]]), -1).reshape(-1)
    place, *offsets = _place(arena, w, order, dtype)

    def fill() -> None:
        bias = np.where(order < 0, np.float32(0), read(w.bias)[order])
        place.fill(read(w.weight), bias)

    arena.give(fill)
    return PackedConv(arena.block, *offsets, inputs, outputs // 2, taps, dtype)


def pack_norm(arena: Arena, w, dtype: int = FLOAT32, read: Read = np.asarray) -> PackedNorm:
    """ops.LayerNorm -> PackedNorm, in float32 whatever the dtype."""
    gain, bias = arena.take(*w.weight.shape), arena.take(*w.bias.shape)

    def fill() -> None:
        gain[:] = read(w.weight)
        bias[:] = read(w.bias)

    arena.give(fill)
    return PackedNorm(arena.block, arena.offset(gain), arena.offset(bias), len(gain))


def pack_tree(arena: Arena, node, dtype: int, read: Read):
    """Every leaf packed, in tuples of the same types as before."""
    if not hasattr(node, "weight"):
        children = [pack_tree(arena, child, dtype, read) for child in node]
        return type(node)(*children) if hasattr(node, "_fields") else tuple(children)
    return {1: pack_norm, 2: pack_linear, 3: pack_conv}[node.weight.ndim](arena, node, dtype, read)


def plan(columns: int, layers: tuple, *last) -> np.ndarray:
    """The offsets a fused kernel needs: (layers + 1, columns). Each row is a layer: (weight, bias) of its parts.

    One more row holds those of what follows the layers, at its front.
    """
    rows = [[offset for part in leaves(layer) for offset in part[1:3]] for layer in layers]
    rows.append([offset for part in last for offset in part[1:3]])
    return np.array([row + [0] * (columns - len(row)) for row in rows], np.int64)


def partial_zero_points(w: PackedLinear) -> np.ndarray:
    """Zero points of the first 0, 32, 64, ... inputs of a matrix of bytes: (ceil(I/32) + 1, O in whole panels) int32.

    The difference of two is that of the inputs between: what a step needs, which takes a matrix head by head.
    """
    count, quads, step = round_up(w.outputs) // PANEL, -(-w.inputs // 4), PANEL // 4
    panels = w.arena[w.panels : w.panels + count * quads * PANEL].view(np.int8).reshape(count, quads, PANEL, 4)
    sums = np.add.reduceat(panels.sum(axis=3, dtype=np.int32), range(0, quads, step), axis=1)
    sums = sums.transpose(1, 0, 2).reshape(-1, round_up(w.outputs))
    return -128 * np.concatenate([np.zeros_like(sums[:1]), sums]).cumsum(axis=0, dtype=np.int32)


def pack(weights, dtype: int, read: Read, run: Callable[[Sequence[Job]], None]) -> PackedWeights:
    """weights.Weights in float32 -> PackedWeights; nothing of the original is kept.

    `read` gives each thread the numbers of one weight after the other; `run` does jobs. Raises OverflowError where
    float16 cannot hold a weight.
    """
    embedding, head = weights.decoder.embed_tokens, weights.lm_head
    parts = (head, weights.encoder, weights.decoder.layers, weights.decoder.layer_norm)  # the largest matrix first
    apart, jobs = dtype != INT8 and embedding.weight is not head.weight, []
    arena = Arena(sum(_size(leaf, dtype) for leaf in leaves((*parts, head) if apart else parts)), jobs.append)
    table = pack_linear(arena, head._replace(weight=embedding.weight), dtype, read) if apart else None
    packed_head, encoder, layers, norm = pack_tree(arena, parts, dtype, read)
    rows = HalfRows(embedding.weight.shape) if dtype == INT8 else PanelRows(table or packed_head)
    if dtype == INT8:
        jobs.insert(0, lambda: rows.fill(read(embedding.weight)))
    run(jobs)
    outs = [attention.out_proj for layer in layers for attention in (layer.self_attn, layer.encoder_attn)]
    zero_points = np.stack([partial_zero_points(w) for w in outs]) if dtype == INT8 else None
    return PackedWeights(
        PackedEncoder(*encoder, plan(ENCODER_COLUMNS, encoder.layers, encoder.layer_norm), dtype),
        PackedDecoder(
            PackedEmbedding(rows),
            layers,
            norm,
            plan(DECODER_COLUMNS, layers, norm, packed_head),
            zero_points,
            Pool(LENDABLE),
            defaultdict(list),
        ),
        packed_head,
    )
