"""The limits of this machine, and the clock of the bench.

A figure means little without its roof: the rate of multiply-adds in registers, of floats or of bytes (by VNNI where
the processor has it, else as the plain path does them), or of reading memory. The multiply-add kernels hold sums of 16
lanes in most of the registers and touch no memory; the best of many runs counts. The reading kernel adds up an array,
64 floats at a time, and the median counts: the best of many would be that of a lucky moment, in which the array lay in
a cache. Arrays are as large as the weights that a step of s2t-small reads, and are read over and over, as steps do.
Beside them stand what lies in a core's own cache, and what comes from memory because other numbers were read since.
"""

import functools
import statistics
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from s2t_np_kernels.build.arguments import Floats, OutFloats
from s2t_np_kernels.build.device import entry
from s2t_np_kernels.build.in_process import compiled
from s2t_np_kernels.cpu import detect
from s2t_np_kernels.simd.tile_int8 import dot
from s2t_np_kernels.simd.vector import I64, INTEGERS, LANES, VECTOR, at, load, multiply_add, splat, store

SUMS = 24 if detect().has_wide_registers else 6  # in most registers: 16 lanes are one of 512 bits or two of 256
STEP_MEGABYTES = {"float32": 44.9, "float16": 22.4, "int8": 11.2}  # weights that a step reads
CACHED_MEGABYTES, DISPLACING_MEGABYTES = 0.5, 512  # for each thread; for all of them
CACHED_TIMES = 3000  # in one call: a single reading takes less time than starting the threads


def _chains(vector, fold, add: str):
    """An intrinsic: `count` times SUMS independent s = fold(s, start, start) on 16 lanes, the total of all s into x."""

    @intrinsic
    def chains(typing, count, x):
        def build(context, builder, sig, args):
            place = builder.inttoptr(args[1], vector.as_pointer())
            start, before = builder.load(place, align=4), builder.block
            body, after = builder.append_basic_block("body"), builder.append_basic_block("after")
            builder.branch(body)
            builder.position_at_end(body)
            i, sums = builder.phi(I64), [builder.phi(vector) for _ in range(SUMS)]
            results = [fold(builder, s, start, start) for s in sums]
            following = builder.add(i, ir.Constant(I64, 1))
            for node, first, later in [
                (i, ir.Constant(I64, 0), following),
                *((s, start, r) for s, r in zip(sums, results, strict=True)),
            ]:
                node.add_incoming(first, before)
                node.add_incoming(later, body)
            builder.cbranch(builder.icmp_signed("<", following, args[0]), body, after)
            builder.position_at_end(after)
            builder.store(functools.reduce(getattr(builder, add), results), place, align=4)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), build

    return chains


def _dot_of_sum(builder, s, start, _):
    """A product of the sum itself: where products are instructions of their own, those of constants leave the loop."""
    return dot(builder, s, s, start)


_multiply_adds, _dots = _chains(VECTOR, multiply_add, "fadd"), _chains(INTEGERS, _dot_of_sum, "add")


class CountCall(NamedTuple):
    """How often, and where the sum goes."""

    count: int
    x: OutFloats


class ReadCall(NamedTuple):
    """What is read, how often, and where the sum goes."""

    x: Floats
    size: int
    times: int
    y: OutFloats


@compiled
@entry
def compute(call: CountCall):
    """count * SUMS * 16 multiply-adds."""
    _multiply_adds(call.count, at(call.x, 0))


@compiled
@entry
def compute_bytes(call: CountCall):
    """count * SUMS * 64 multiply-adds of bytes."""
    _dots(call.count, at(call.x, 0))


@compiled
@entry
def read(call: ReadCall):
    """Read x; the sum goes to y, so that the compiler cannot leave it out."""
    x, size, times, y = call
    a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for _ in range(times):
        for i in range(0, size - 63, 64):
            a, b = a + load(at(x, i)), b + load(at(x, i + LANES))
            c, d = c + load(at(x, i + 2 * LANES)), d + load(at(x, i + 3 * LANES))
    store(at(y, 0), (a + b) + (c + d))


def together(
    work: Callable[[int], None], threads: int, runs: int, before: Callable[[int], None] | None = None
) -> list[float]:
    """Seconds of work(i) in `threads` threads started at once, `runs` times; each time before(i) comes first."""
    times, barrier = [], threading.Barrier(threads)

    def run(i):
        for _ in range(runs):
            if before is not None:
                before(i)
            barrier.wait()
            began = time.perf_counter()
            work(i)
            barrier.wait()
            if i == 0:
                times.append(time.perf_counter() - began)

    workers = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return times


def _parts(megabytes: float, threads: int) -> list[np.ndarray]:
    """An array of that size, cut among the threads."""
    return np.array_split(np.ones(int(megabytes * 250_000), np.float32), threads)


def reading_rate(megabytes: float, threads: int, runs: int, displaced: float = 0.0, times: int = 1) -> float:
    """GB/s of `threads` that read an array together, the median; before each time, another of `displaced` megabytes."""
    parts, others = _parts(megabytes, threads), _parts(displaced, threads)
    sums = [np.empty(LANES, np.float32) for _ in parts]
    reading = [read.bind(part, len(part), times, y) for part, y in zip(parts, sums, strict=True)]
    displacing = (
        [read.bind(other, len(other), 1, y) for other, y in zip(others, sums, strict=True)] if displaced else None
    )
    before = (lambda i: displacing[i]()) if displaced else None
    seconds = together(lambda i: reading[i](), threads, runs + 1, before)[1:]  # at first nothing is in a cache
    return times * megabytes * 1e6 / statistics.median(seconds) / 1e9


def reading_rates(threads: int, runs: int) -> dict[str, float]:
    """GB/s of `threads` together: over the weights of a step of each dtype, in their caches, and from memory."""
    rates = {f"GB/s {dtype}": reading_rate(size, threads, runs) for dtype, size in STEP_MEGABYTES.items()}
    rates["GB/s cache"] = reading_rate(CACHED_MEGABYTES * threads, threads, runs, times=CACHED_TIMES)
    rates["GB/s memory"] = reading_rate(STEP_MEGABYTES["float32"], threads, runs, DISPLACING_MEGABYTES)
    return rates


LONG_RUN = 20_000_000  # turns of the loop, some 70 ms: under vectors of 512 bits a clock falls after a few


def lasting_rate(threads: int) -> float:
    """GFLOP/s of `threads` in one long run of multiply-adds: what lasts.

    `roofs` has the best of many short ones, which a clock that falls under load allows for a moment.
    """
    arrays = [np.full(LANES, 0.5, np.float32) for _ in range(threads)]
    (seconds,) = together(lambda i: compute(LONG_RUN, arrays[i]), threads, 1)
    return threads * LONG_RUN * SUMS * LANES * 2 / seconds / 1e9


def roofs(threads: int, runs: int = 15) -> dict[str, float]:
    """GFLOP/s, GOP/s of bytes, and the rates of reading, of `threads` together; "GB/s" is that of float32 weights."""
    count, arrays = 300_000, [np.full(LANES, 0.5, np.float32) for _ in range(threads)]
    seconds = min(together(lambda i: compute(count, arrays[i]), threads, runs))
    bytes_seconds = min(together(lambda i: compute_bytes(count, np.zeros(LANES, np.float32)), threads, runs))
    operations, rates = threads * count * SUMS * LANES * 2 / 1e9, reading_rates(threads, runs)
    rates["GB/s"] = rates["GB/s float32"]
    return {"GFLOP/s": operations / seconds, "GOP/s": 4 * operations / bytes_seconds, **rates}


def interleaved(contenders: dict[str, Callable], runs: int, rest: float, burst: int) -> dict[str, list[float]]:
    """Seconds of each contender, `runs` turns of a rest, a warm-up and a burst of calls, as they follow one another in
    a model. In turn, so that what slows the machine slows all.
    """
    times = {name: [] for name in contenders}
    for _ in range(runs):
        for name, work in contenders.items():
            time.sleep(rest)
            work()
            for _ in range(burst):
                began = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - began)
    return times


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of each contender."""
    return {name: statistics.median(seconds) for name, seconds in times.items()}
