"""Floats in three pieces, as AMX multiplies them: as exact as chains of multiply-adds, and the encoder made of them."""

import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

from tests.support.paths import ROOT

pytest.importorskip("numba")

from s2t_np_kernels.aligned import empty_aligned
from s2t_np_kernels.build.arguments import Floats, OutFloats
from s2t_np_kernels.build.device import entry
from s2t_np_kernels.build.in_process import compiled
from s2t_np_kernels.build.options import COMPILED
from s2t_np_kernels.layout import BLOCK_INPUTS, BLOCK_PIECES, FEWEST_UNITS, LANES, NO_FLOOR, PANEL
from s2t_np_kernels.ops.gemm_pieces import linear_units_pieces, split_relu_units, split_unit
from s2t_np_kernels.ops.matrices import Units, UnitWeights, no_operand
from s2t_np_kernels.simd.operands import Operand, Output
from s2t_np_kernels.simd.vector import at, move

from s2t_np_kernels import backend, cpu

needs_tiles = pytest.mark.skipif(
    not (COMPILED and cpu.detect().has_float_tiles), reason="this processor has no AMX with products of bfloat16"
)
ROUNDING = 2.0**-24  # of float32, half a unit in the last place of 1


class ProductCall(NamedTuple):
    """Units of floats times panels."""

    x: Floats  # (units, depth, 16)
    units: int
    depth: int
    panels: Floats  # (panels, depth, 32)
    bias: Floats  # (outputs,)
    outputs: int
    zeros: Floats
    pieces: OutFloats
    unit_pieces: int  # words
    room: OutFloats
    y: OutFloats  # (units, outputs, 16), or pieces of it
    y_unit: int  # words
    split: int


if COMPILED and cpu.detect().has_float_tiles:
    backend.complete()  # what `_product` calls

    @compiled
    @entry
    def _product(call: ProductCall):
        zeros = at(call.zeros, 0)
        for u in range(call.units):
            words = move(at(call.pieces, 0), u * call.unit_pieces)
            split_unit(at(call.x, u * call.depth * LANES), call.depth, words, at(call.room, 0))
        x = Units(zeros, 0, at(call.pieces, 0), call.unit_pieces, zeros, 0, 1)
        w, y = UnitWeights(at(call.panels, 0), call.depth * PANEL, at(call.bias, 0), 1, zeros), at(call.y, 0)
        room, to = at(call.room, 0), Operand(y, LANES, call.y_unit)
        if call.split:
            split_relu_units(x, call.units, call.depth, w, call.outputs, to, zeros, room)
        else:
            out = Output(to, no_operand(zeros), NO_FLOOR)
            linear_units_pieces(x, call.units, call.depth, w, call.outputs, out, zeros, room)


def product(x: np.ndarray, w: np.ndarray, bias: np.ndarray, split: bool = False) -> np.ndarray:
    """x (units, 16, I) W (O, I) -> (units, 16, O), or with `split` the pieces of what is above 0."""
    (units, _, depth), outputs = x.shape, len(w)
    blocks, y_unit = -(-depth // BLOCK_INPUTS), outputs // PANEL * BLOCK_PIECES if split else outputs * LANES
    sizes = (LANES, units * blocks * BLOCK_PIECES, 2 * blocks * BLOCK_PIECES + 2 * LANES * LANES, units * y_unit)
    zeros, pieces, room, y = empty_aligned(*sizes)
    zeros[:] = 0
    for unwritten in (pieces, room, y):
        unwritten[:] = np.nan
    flat = np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(-1)
    panels = np.ascontiguousarray(w.reshape(-1, PANEL, depth).transpose(0, 2, 1)).reshape(-1)
    _product(flat, units, depth, panels, bias, outputs, zeros, pieces, blocks * BLOCK_PIECES, room, y, y_unit, split)
    return y.reshape(units, -1, LANES) if split else y.reshape(units, outputs, LANES).transpose(0, 2, 1)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal ones, over many orders of magnitude."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * 2.0 ** rng.integers(-30, 10, shape)).astype(np.float32)


def exact(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums, and what their rounding errors are measured by: the sums of magnitudes."""
    x, w, bias = (array.astype(np.float64) for array in (x, w, bias))
    return x @ w.T + bias, np.abs(x) @ np.abs(w).T + np.abs(bias)


def chain(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The sums as fused multiply-adds give them, one after the other, each rounded once."""
    total = np.zeros((*x.shape[:2], len(w)), np.float32)
    for i in range(x.shape[2]):
        total = (total + x[..., i, None].astype(np.float64) * w[:, i]).astype(np.float32)
    return total + bias


@needs_tiles
@pytest.mark.parametrize("units", [1, 2, 3, 8, 9, 17])
@pytest.mark.parametrize("depth", [1, 15, 16, 17, 31, 32, 33, 80, 256, 545])
def test_as_exact_as_multiply_adds(units, depth):
    """Sums of 256 products, as most of the encoder's are, have 0.78 times the error."""
    given = numbers(units, LANES, depth), numbers(64, depth, seed=1), numbers(64, seed=2)
    expected, scale = exact(*given)
    errors = [(found - expected) / scale / ROUNDING for found in (product(*given), chain(*given))]
    r_m_s = [np.sqrt(np.square(error).mean()) for error in errors]
    assert np.abs(errors[0]).max() < 12
    assert r_m_s[0] < r_m_s[1] * (0.85 if depth == 256 else 1.1)


@needs_tiles
def test_numbers_of_eight_bits_are_exact():
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-255, 256, shape).astype(np.float32) for shape in ((3, LANES, 77), (32, 77)))
    bias = rng.integers(-9, 10, 32).astype(np.float32)
    np.testing.assert_array_equal(product(x, w, bias), exact(x, w, bias)[0])


@needs_tiles
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_position(bad):
    x, w = numbers(3, LANES, 50), numbers(32, 50, seed=1)
    once = product(x, w, np.zeros(32, np.float32))
    x[1, 5, 49] = bad
    y = product(x, w, np.zeros(32, np.float32))
    assert not np.isfinite(y[1, 5]).any()
    y[1, 5] = once[1, 5]
    np.testing.assert_array_equal(y, once)


@needs_tiles
@pytest.mark.parametrize("units", [1, 3, 8, 11])
def test_results_as_pieces(units):
    """Put together again, they are the result."""
    x, w, bias = numbers(units, LANES, 70), numbers(96, 70, seed=1), numbers(96, seed=2)
    words = product(x, w, bias, split=True).view(np.uint32).reshape(units, 3, 3, LANES, LANES)  # [..][position][word]
    low, high = (words << 16).view(np.float32), (words & np.uint32(0xFFFF0000)).view(np.float32)
    found = np.concatenate([low, high], axis=4).astype(np.float64).sum(axis=2)  # word i: outputs i and i + 16
    y = found.transpose(0, 2, 1, 3).reshape(units, LANES, 96)
    np.testing.assert_array_equal(y, np.maximum(product(x, w, bias), 0))


PROGRAM = """
import sys
import numpy as np
from s2t_np_kernels import backend
from s2t_np_kernels.cpu import detect
from tests.support.kernel_models import random_model

results = [np.array([detect().has_float_tiles])]
for dtype in ("float32", "float16"):
    for shape in ({"d_model": 36, "encoder_attention_heads": 3}, {"d_model": 544, "encoder_ffn_dim": 1100}):
        config, plain = random_model(shape)
        packed = backend.OPS[dtype].prepare(plain)
        for frames in (3, 128, 129, 390, 1500):  # to 1, 32, 33, ... positions
            x = np.random.default_rng(frames).standard_normal((frames, 20)).astype(np.float32)
            results.append(backend.encode(backend.OPS[dtype], packed.encoder, config, x))
np.savez(sys.argv[1], *results)
"""


@needs_tiles
@pytest.mark.slow
def test_the_encoder_with_and_without(tmp_path):
    """Both are tested against the readable encoder; here, that each computes in its own way, but what is short."""
    allowed = ",".join(sorted(name for name in cpu.detect().features if not name.startswith("amx")))
    found = []
    for name, environment in (("with", {}), ("without", {"S2T_NP_CPU_FEATURES": allowed})):
        path, env = tmp_path / f"{name}.npz", os.environ | environment | {"S2T_NP_CACHE_DIR": str(tmp_path / name)}
        subprocess.run([sys.executable, "-c", PROGRAM, str(path)], cwd=ROOT, env=env, timeout=300, check=True)
        with np.load(path) as arrays:
            found.append(list(arrays.values()))
    assert [one[0].item() for one in found] == [True, False]
    for one, other in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(one, other, atol=3e-5)
        assert np.array_equal(one, other) is (len(one) <= (FEWEST_UNITS - 1) * LANES)


def test_a_processor_without_these_products(monkeypatch):
    monkeypatch.setattr(cpu, "compiler_target", lambda: ("sapphirerapids", "+avx512f,+amx-tile,+amx-int8"))
    monkeypatch.delenv("S2T_NP_CPU_FEATURES", raising=False)
    monkeypatch.setattr(cpu, "may_use_tiles", lambda: True)
    assert cpu.detect().has_tiles and not cpu.detect().has_float_tiles
    assert backend.describe()["instructions"].count("amx") == 1
