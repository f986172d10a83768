"""The kernels of the released shape one by one: checked against their numpy twins, then timed in turn with them.

Sizes are those of 10 s of sound (998 frames, 250 positions) and of a decoder step of 5 beams. Where the work is
arithmetic the roof is the rate of multiply-adds, where it is reading weights the rate of reading.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from s2t_np_kernels.weights.arena import Arena
from s2t_np_kernels.weights.pack import FLOAT16, FLOAT32, INT8, pack_conv, pack_linear, pack_norm

from s2t_np import features, ops
from s2t_np.search import next_token
from s2t_np_kernels import backend
from tools.bench.roofs import interleaved, medians

RNG = np.random.default_rng(0)
TOLERANCE = 2e-4
KINDS = {  # kinds of weights: bytes, how far a product of unit variance may be off, its roof, what the table says
    FLOAT32: (4, TOLERANCE, "GFLOP/s", ""),
    FLOAT16: (2, 5e-3, "GFLOP/s", " float16"),
    INT8: (1, 0.1, "GOP/s", " int8"),
}
REST = 0.1  # seconds between turns: so long OpenBLAS's threads keep a processor busy after their work
BURST = 10  # calls in a row


class Case(NamedTuple):
    """One row of the table."""

    name: str
    fast: Callable[[], np.ndarray]
    plain: Callable[[], np.ndarray]
    work: float  # floating-point operations, or bytes
    roof: str  # "GFLOP/s", "GOP/s" or "GB/s"
    tolerance: float = TOLERANCE


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def arena_for(*shapes) -> Arena:
    return Arena(sum(2 * int(np.prod(shape)) + 4096 for shape in shapes))


def linear_case(rows: int, inputs: int, outputs: int, kind: int = FLOAT32) -> Case:
    w = ops.Linear(normal(outputs, inputs) * inputs**-0.5, normal(outputs))
    packed, x = pack_linear(arena_for(w.weight.shape, (outputs, 8)), w, kind), normal(rows, inputs)
    size, tolerance, rate, what = KINDS[kind]
    name = f"linear {rows} x {inputs} -> {outputs}{what}"
    work, roof = (outputs * inputs * size, "GB/s") if rows < 16 else (2 * rows * inputs * outputs, rate)
    return Case(name, lambda: backend.numba_ops.linear(x, packed), lambda: ops.linear(x, w), work, roof, tolerance)


def conv_case(frames: int, inputs: int, outputs: int) -> Case:
    w = ops.Conv(normal(outputs, inputs, 5) * (5 * inputs) ** -0.5, normal(outputs))
    packed, x = pack_conv(arena_for(w.weight.shape, (outputs, 8)), w), normal(frames, inputs)
    work = 2 * ((frames - 1) // 2 + 1) * 5 * inputs * outputs
    name = f"conv + GLU {frames} x {inputs} -> {outputs}"
    fast, plain = (lambda: backend.numba_ops.conv1d_glu(x, packed)), (lambda: ops.conv1d_glu(x, w))
    return Case(name, fast, plain, work, "GFLOP/s")


def attention_case(queries: int, keys: int) -> Case:
    q, k, v = normal(queries, 256), normal(keys, 256), normal(keys, 256)
    name, work = f"attention {queries} x {keys}, 4 heads of 64", 4 * queries * keys * 256
    return Case(
        name, lambda: backend.numba_ops.attention(q, k, v, 4), lambda: ops.attention(q, k, v, 4), work, "GFLOP/s"
    )


def norm_case(rows: int) -> Case:
    w = ops.LayerNorm(normal(256), normal(256))
    packed, x = pack_norm(arena_for((256,), (256,)), w), normal(rows, 256)
    fast, plain = (lambda: backend.numba_ops.layer_norm(x, packed)), (lambda: ops.layer_norm(x, w))
    return Case(f"layer norm {rows} x 256", fast, plain, 2 * x.nbytes, "GB/s")


def search_case() -> Case:
    x, added = normal(5, 10_000), normal(5)
    fast, plain = (lambda: backend.next_token(x).best(added, 10).scores), (lambda: next_token(x).best(added, 10).scores)
    return Case("the best 10 of log softmax 5 x 10000", fast, plain, x.nbytes, "GB/s")


def fbank_case() -> Case:
    x = normal(160_000) * np.float32(0.1)
    fast, plain = (lambda: backend.fbank(x, 16_000, 80)), (lambda: features.fbank(x, 16_000, 80))
    return Case("fbank 10 s", fast, plain, 998 * 5 * 512 * 9, "GFLOP/s")


def cases() -> list[Case]:
    """Every row."""
    return [
        linear_case(250, 256, 2048),
        linear_case(250, 2048, 256),
        linear_case(1500, 256, 2048),
        linear_case(250, 256, 2048, FLOAT16),
        linear_case(250, 256, 2048, INT8),
        linear_case(5, 256, 2048),
        linear_case(5, 2048, 256),
        linear_case(5, 256, 10_000),
        linear_case(1, 256, 10_000),
        linear_case(5, 256, 10_000, FLOAT16),
        linear_case(5, 256, 10_000, INT8),
        conv_case(998, 80, 1024),
        conv_case(499, 512, 512),
        attention_case(250, 250),
        attention_case(1500, 1500),
        attention_case(5, 250),
        norm_case(250),
        search_case(),
        fbank_case(),
    ]


def kernel_table(roof: dict[str, float], runs: int) -> list[dict]:
    """Print the table and return its rows. Raises SystemExit where a kernel and its twin differ."""
    print("\n| kernel | numpy | numba | faster | rate | of the roof |\n|---|---|---|---|---|---|")
    return [row(case, roof, runs) for case in cases()]


def row(case: Case, roof: dict[str, float], runs: int) -> dict:
    error = float(np.abs(case.fast() - case.plain()).max())
    if not error < case.tolerance:
        raise SystemExit(f"{case.name}: differs from its twin by {error:.2g}")
    found = medians(interleaved({"numpy": case.plain, "numba": case.fast}, runs, REST, BURST))
    rate = case.work / found["numba"] / 1e9
    share = rate / roof[case.roof]
    print(
        f"| {case.name} | {1e3 * found['numpy']:.3f} ms | {1e3 * found['numba']:.3f} ms "
        f"| {found['numpy'] / found['numba']:.1f} | {rate:.0f} {case.roof} | {100 * share:.0f} % |",
        flush=True,
    )
    return {"name": case.name, **found, "rate": rate, "unit": case.roof, "share": share, "error": error}
