"""Multi-head attention softmax(Q K^T) V without ever holding all the scores (plain twin: ops.attention).

Keys come in blocks; the running maximum and sum of every query are corrected when a block brings a larger score
(online softmax: Milakov and Gimelshein 2018; Rabe and Staats 2021). Queries stand in the lanes: scores are
[key][query], their softmax runs down the keys without a horizontal step, and the products with K and V are tiles like
all others.

Versions (128 queries and 250 keys, 4 heads of 64, one core, roof 172 GFLOP/s): general exponential, the maximum in one
chain of loads 261 us; two chains, `exp_falling`, and one multiply-add in place of (score - maximum) scale 242 us (135
GFLOP/s): 77 % of what is left is the time of the two products. Powers of two instead of e (14 instructions for 17) and
four chains for the maximum gained nothing.
"""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Single
from ..build.device import entry, inlined, linked
from ..layout import NO_FLOOR
from ..simd.operands import Ahead, Bias, Operand, Output, TileSize
from ..simd.scheduling import barrier, done, next_item, thread_id
from ..simd.tile import MAX_ROWS, tile
from ..simd.vector import LANES, at, exp_falling, fma, load, maximum, move, skip, splat, store
from .host import ATTENTION_KEYS, ATTENTION_SCRATCH, QUERIES, AttentionRowsCall
from .matrices import no_operand

LOWEST = np.float32(-3e38)  # where the maximum starts: below any score, and finite, so that a masked block adds nothing


class KeysAndValues(NamedTuple):
    """The location of keys and values: addresses and strides in floats."""

    keys: int  # the first key's first feature of the head at hand
    key: int  # from key to key within 16
    key_feature: int  # from feature to feature
    key_block: int  # from 16 keys to the next
    values: int  # the first value's first feature of all heads
    value: int  # from value to value
    value_panel: int  # from 16 features to the next


class Head(NamedTuple):
    """A head, and the queries that look through it."""

    feature: int  # its first
    width: int
    keys: int  # S
    vectors: int  # vectors of queries: 1 or 2
    scale: Single
    zeros: int  # address of LANES zeros


@inlined
def _scores(q, past, mask, head, first, count, scores):
    """Q K^T + mask of one block into scores [key][32]."""
    for k in range(0, count, MAX_ROWS):
        key = first + k
        start = move(past.keys, key // LANES * past.key_block + key % LANES * past.key)
        target = Operand(move(scores, k * QUERIES), QUERIES, LANES)
        tile(
            TileSize(min(MAX_ROWS, count - k), head.vectors, head.width),
            Operand(start, past.key, past.key_feature),
            q,
            Bias(head.zeros, 0, head.zeros, 0),
            Output(target, Operand(move(mask.address, key * mask.row), mask.row, mask.step), NO_FLOOR),
            Ahead(head.zeros, 0),
        )


@inlined
def _soften(scores, count, scale, highest, sums):
    """One vector of queries: scores [key][32] become exp((score - maximum) scale).

    Maximum and sums are brought up to date. Returns by how much everything summed before is to be scaled.
    """
    a = b = before = load(highest)
    for k in range(0, count - 1, 2):
        a = maximum(a, load(move(scores, k * QUERIES)))
        b = maximum(b, load(move(scores, (k + 1) * QUERIES)))
    top, factor = maximum(maximum(a, b), load(move(scores, (count - 1) * QUERIES))), splat(scale)
    shift = splat(np.float32(0.0)) - top * factor  # its rounding is common to all keys: it cancels
    correction = exp_falling(before * factor + shift)
    total = load(sums) * correction
    for k in range(count):
        e = exp_falling(fma(load(move(scores, k * QUERIES)), factor, shift))
        store(move(scores, k * QUERIES), e)
        total = total + e
    store(highest, top)
    store(sums, total)
    return correction


@inlined
def _rescale(y, vector, width, factor):
    """One vector of queries: y [feature][lanes] times factor."""
    for d in range(width):
        place = move(y.address, d * y.row + vector * y.step)
        store(place, load(place) * factor)


@inlined
def _mix(past, head, first, count, scores, y):
    """Add weights times values of one block to y, or start y with the first block."""
    d, last = head.feature, head.feature + head.width
    while d < last:
        rows = min(MAX_ROWS, last - d, LANES - d % LANES)
        values = move(past.values, d // LANES * past.value_panel + d % LANES + first * past.value)
        target = Operand(move(y.address, (d - head.feature) * y.row), y.row, y.step)
        tile(
            TileSize(rows, head.vectors, count),
            Operand(values, 1, past.value),
            Operand(scores, QUERIES, LANES),
            Bias(head.zeros, 0, head.zeros, 0),
            Output(target, target if first else no_operand(head.zeros), NO_FLOOR),
            Ahead(head.zeros, 0),
        )
        d += rows


@linked
def attend(q: Operand, past: KeysAndValues, mask: Operand, head: Head, scratch: int, y: Operand):
    """One head for up to 32 queries in the lanes: y = softmax(scale (Q K^T + mask)) V.

    q (rows are features, steps vectors of queries) begins at this head's features; the rows of `mask` are keys; y gets
    [feature][query]; scratch is the address of ATTENTION_SCRATCH floats.
    """
    highest, sums, scores = scratch, move(scratch, QUERIES), move(scratch, 2 * QUERIES)
    for v in range(head.vectors):
        store(move(highest, v * LANES), splat(LOWEST))
        store(move(sums, v * LANES), splat(np.float32(0.0)))
    for first in range(0, head.keys, ATTENTION_KEYS):
        count = min(ATTENTION_KEYS, head.keys - first)
        _scores(q, past, mask, head, first, count, scores)
        for v in range(head.vectors):
            lane = v * LANES
            correction = _soften(move(scores, lane), count, head.scale, move(highest, lane), move(sums, lane))
            if first:
                _rescale(y, v, head.width, correction)
        _mix(past, head, first, count, scores, y)
    for v in range(head.vectors):
        _rescale(y, v, head.width, splat(np.float32(1.0)) / load(move(sums, v * LANES)))


@inlined
def _spread_queries(q, row, count, width, y):
    """Up to 16 queries into lanes: `count` rows of q, `row` floats apart -> y [feature][16]; other lanes zero."""
    for d in range(width):
        for r in range(LANES):
            y[d * LANES + r] = q[r * row + d] if r < count else np.float32(0.0)


@inlined
def _collect_queries(x, count, width, y, row):
    """The inverse, for results: x [feature][16] -> `count` rows of y, `row` floats apart."""
    for d in range(width):
        for r in range(count):
            y[r * row + d] = x[d * LANES + r]


@inlined
def _attend_rows(call, item, own):
    """An item: one head of up to 16 queries. `own` is a thread's scratch: queries, results, what `attend` needs."""
    blocks, width = -(-call.queries // LANES), call.width // call.heads
    first, feature = item % blocks * LANES, item // blocks % call.heads * width
    batch = item // blocks // call.heads
    count, start = min(LANES, call.queries - first), (batch * call.queries + first) * call.width + feature
    mixed, rest, past = skip(own, LANES * width), skip(own, 2 * LANES * width), batch * call.keys * call.width
    _spread_queries(skip(call.q, start), call.width, count, width, own)
    attend(
        Operand(at(own, 0), LANES, LANES),
        KeysAndValues(
            at(call.k, past + feature), call.width, 1, LANES * call.width, at(call.v, past), call.width, LANES
        ),
        Operand(at(call.mask, first if call.mask_row else 0), call.mask_row, LANES),
        Head(feature, width, call.keys, 1, np.float32(1.0), at(call.zeros, 0)),
        at(rest, 0),
        Operand(at(mixed, 0), LANES, LANES),
    )
    _collect_queries(mixed, count, width, skip(call.y, start), call.width)


@entry
def attention_rows(call: AttentionRowsCall):
    """q (B, Q, D), k and v (B, S, D) -> y (B, Q, D), flat; mask (S, mask_row), or LANES zeros with mask_row 0.

    mask_row is Q in whole vectors.
    """
    own = thread_id(call.state) * (ATTENTION_SCRATCH + 2 * LANES * (call.width // call.heads))
    items = call.batch * call.heads * -(-call.queries // LANES)
    item = next_item(call.state, 0)
    while item < items:
        _attend_rows(call, item, skip(call.scratch, own))
        done(call.state, 0)
        item = next_item(call.state, 0)
    barrier(call.state, 0, items)
