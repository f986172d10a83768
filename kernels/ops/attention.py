"""Multi-head attention softmax(Q K^T) V without ever holding all the scores (plain twin: ops.attention).

Keys come in blocks; the running maximum and sum of every query are corrected when a block brings a larger score
(online softmax: Milakov and Gimelshein 2018; Rabe and Staats 2021). Queries stand in the lanes: scores are
[key][query], their softmax runs down the keys without a horizontal step, and the products with K and V are tiles like
all others.

Versions (128 queries and 250 keys, 4 heads of 64, one core, roof 172 GFLOP/s): general exponential, the maximum in one
chain of loads 261 us; two chains, `exp_falling`, and one multiply-add in place of (score - maximum) scale 242 us (135
GFLOP/s): what is left is 77 % the two products' own time. Powers of two instead of e (14 instructions for 17) and four
chains for the maximum gained nothing.
"""

import numpy as np

from ..build.arguments import Address2, Address3, Single
from ..build.device import entry, inlined, linked
from ..layout import NO_FLOOR
from ..simd.scheduling import finish, slot, take, wait
from ..simd.tile import MAX_ROWS, tile
from ..simd.vector import LANES, at, exp_falling, fma, load, maximum, move, splat, store
from .host import ATTENTION_KEYS, ATTENTION_SCRATCH, QUERIES, AttentionRowsCall

LOWEST = np.float32(-3e38)  # where the maximum starts: below any score, and finite, so that a masked block adds nothing


@inlined
def _scores(q, keys, mask, first, count, width, vectors, zeros, scores):
    """Q K^T + mask of one block into scores [key][32]."""
    for k in range(0, count, MAX_ROWS):
        key = first + k
        tile(
            min(MAX_ROWS, count - k),
            vectors,
            width,
            (move(keys[0], key // LANES * keys[3] + key % LANES * keys[1]), keys[1], keys[2]),
            q,
            (zeros, 0),
            (zeros, 0),
            (move(mask[0], key * mask[1]), mask[1], mask[2]),
            NO_FLOOR,
            (move(scores, k * QUERIES), QUERIES, LANES),
            (zeros, 0),
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
    shift = splat(np.float32(0.0)) - top * factor  # its rounding is common to all keys, before and after: it cancels
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
def _rescale(y, width, factor):
    """One vector of queries: y (address, row) [feature][lanes] times factor."""
    for d in range(width):
        store(move(y[0], d * y[1]), load(move(y[0], d * y[1])) * factor)


@inlined
def _mix(values, head, width, first, count, vectors, zeros, scores, y):
    """Add weights times values of one block to y, or start y with the first block."""
    d = head
    while d < head + width:
        rows = min(MAX_ROWS, head + width - d, LANES - d % LANES)
        place = (move(y[0], (d - head) * y[1]), y[1], y[2])
        tile(
            rows,
            vectors,
            count,
            (move(values[0], d // LANES * values[2] + d % LANES + first * values[1]), 1, values[1]),
            (scores, QUERIES, LANES),
            (zeros, 0),
            (zeros, 0),
            place if first else (zeros, 0, 0),
            NO_FLOOR,
            place,
            (zeros, 0),
        )
        d += rows


@linked
def attend(
    q: Address2,
    keys: Address3,
    values: Address2,
    mask: Address2,
    count: int,
    head: int,
    width: int,
    vectors: int,
    scale: Single,
    zeros: int,
    scratch: int,
    y: Address2,
):
    """One head for up to 32 queries in the lanes: y = softmax(scale (Q K^T + mask)) V.

    q (address, feature, vector) and keys (address, key, feature, 16 keys) begin at this head's features; values
    (address, key, 16 features) at the first head's, of which this one has `width` from `head` on; mask (address, key,
    vector) or zeros with strides 0; y (address, feature, vector) gets [feature][query]; scratch is the address of
    ATTENTION_SCRATCH floats.
    """
    highest, sums, scores = scratch, move(scratch, QUERIES), move(scratch, 2 * QUERIES)
    for v in range(vectors):
        store(move(highest, v * LANES), splat(LOWEST))
        store(move(sums, v * LANES), splat(np.float32(0.0)))
    for first in range(0, count, ATTENTION_KEYS):
        keys_here = min(ATTENTION_KEYS, count - first)
        _scores(q, keys, mask, first, keys_here, width, vectors, zeros, scores)
        for v in range(vectors):
            lane = v * LANES
            correction = _soften(move(scores, lane), keys_here, scale, move(highest, lane), move(sums, lane))
            if first:
                _rescale((move(y[0], v * y[2]), y[1]), width, correction)
        _mix(values, head, width, first, keys_here, vectors, zeros, scores, y)
    for v in range(vectors):
        _rescale((move(y[0], v * y[2]), y[1]), width, splat(np.float32(1.0)) / load(move(sums, v * LANES)))


@inlined
def spread_queries(q, start, row, rows, width, y, to):
    """Up to 16 queries into lanes: q[start + row r + d] -> y[to + 16 d + r]; the lanes left over are zero."""
    for d in range(width):
        for r in range(LANES):
            y[to + d * LANES + r] = q[start + r * row + d] if r < rows else np.float32(0.0)


@inlined
def collect_queries(y, start, rows, width, x, to, row):
    """The inverse, for results: y[start + 16 d + r] -> x[to + row r + d]."""
    for d in range(width):
        for r in range(rows):
            x[to + r * row + d] = y[start + d * LANES + r]


@entry
def attention_rows(call: AttentionRowsCall):
    """q (B, Q, D), k and v (B, S, D) -> y (B, Q, D), flat; mask (S, mask_row), or 16 zeros with mask_row 0.

    mask_row is Q in whole vectors. An item is one head of up to 16 queries. Scratch for each thread: their rows, the
    result's rows, `attend`'s.
    """
    state, q, k, v, batch, queries, keys, width, heads, mask, mask_row, zeros, y, scratch = call
    head_width, blocks = width // heads, -(-queries // LANES)
    own = slot(state) * (ATTENTION_SCRATCH + 2 * LANES * head_width)
    mixed, rest = own + LANES * head_width, own + 2 * LANES * head_width
    items = batch * heads * blocks
    item = take(state, 0)
    while item < items:
        first, head, b = item % blocks * LANES, item // blocks % heads * head_width, item // blocks // heads
        here, start = min(LANES, queries - first), (b * queries + first) * width + head
        spread_queries(q, start, width, here, head_width, scratch, own)
        attend(
            (at(scratch, own), LANES, LANES),
            (at(k, b * keys * width + head), width, 1, LANES * width),
            (at(v, b * keys * width), width, LANES),
            (at(mask, first if mask_row else 0), mask_row, LANES),
            keys,
            head,
            head_width,
            1,
            np.float32(1.0),
            at(zeros, 0),
            at(scratch, rest),
            (at(scratch, mixed), LANES, LANES),
        )
        collect_queries(scratch, mixed, here, head_width, y, start, width)
        finish(state, 0)
        item = take(state, 0)
    wait(state, 0, items)
