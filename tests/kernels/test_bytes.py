"""Bytes in AMX's registers, in vectors of bytes and as pairs of 16-bit numbers: the same bits.

This machine computes in each way that it has, where better ones are taken away.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support.paths import ROOT

pytest.importorskip("numba")

from s2t_np_kernels import cpu

pytestmark = pytest.mark.slow
# Widths and depths that fill registers, and such as leave a block of 64 inputs, a panel or a chunk of 512 unfinished;
# frames that make an odd number of units; beams that fill 16 or 32 rows, and some more.
PROGRAM = """
import sys
import numpy as np
from s2t_np_kernels import backend
from s2t_np_kernels.cpu import detect
from s2t_np.search import Ask
from tests.support.kernel_models import random_model

shapes = (
    {"d_model": 36, "encoder_attention_heads": 3, "decoder_attention_heads": 3, "encoder_ffn_dim": 40},
    {"d_model": 64, "encoder_ffn_dim": 96, "decoder_ffn_dim": 128, "conv_kernel_sizes": (3, 41)},
    {"d_model": 544, "encoder_ffn_dim": 1100, "decoder_ffn_dim": 1100},
)
rng, results = np.random.default_rng(0), [np.array([detect().has_tiles, detect().multiplies_pairs])]
for shape in shapes:
    config, plain = random_model(shape)
    ops = backend.int8_ops
    packed = ops.prepare(plain)
    for frames in (3, 61, 200, 390):
        memory = backend.encode(ops, packed.encoder, config, rng.standard_normal((frames, 20)).astype(np.float32), None)
        results.append(memory)
        caches = [backend.start_cache(ops, packed, config, memory, beams) for beams in (1, 17, 33)]
        for _ in range(2):
            asks = [Ask(rng.integers(4, 20, len(cache.ancestors)), cache) for cache in caches]
            results += [answer.logits for answer in backend.step_together(ops, packed, config, asks)]
np.savez(sys.argv[1], *results)
"""


def results(path, **environment) -> list[np.ndarray]:
    command, env = [sys.executable, "-c", PROGRAM, str(path)], os.environ | environment
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    with np.load(path) as arrays:
        return list(arrays.values())


WAYS = {"vectors": "amx", "pairs": ("amx", "avx512vnni", "avxvnni")}  # what is taken away for it


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> list[np.ndarray]:
    """The results of this processor's own way."""
    return results(tmp_path_factory.mktemp("here") / "here.npz")


@pytest.mark.skipif(cpu.detect().multiplies_pairs, reason="this processor has no instruction for products of bytes")
@pytest.mark.parametrize("way", WAYS)
def test_the_same_bits(way, here, tmp_path):
    allowed = ",".join(sorted(name for name in cpu.detect().features if not name.startswith(WAYS[way])))
    there = results(tmp_path / "there.npz", S2T_NP_CPU_FEATURES=allowed, S2T_NP_CACHE_DIR=str(tmp_path / "cache"))
    assert here[0].tolist() == [cpu.detect().has_tiles, False]
    assert there[0].tolist() == [False, way == "pairs"]
    assert len(here) == len(there) > 80
    for one, other in zip(here[1:], there[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_process_that_may_not_use_them_does_without(monkeypatch):
    flags = "+avx512f,+amx-tile,+amx-int8,+avx512vnni"
    monkeypatch.setattr(cpu, "compiler_target", lambda: ("sapphirerapids", flags))
    monkeypatch.delenv("S2T_NP_CPU_FEATURES", raising=False)
    for allowed in (True, False):
        monkeypatch.setattr(cpu, "may_use_tiles", lambda allowed=allowed: allowed)
        assert cpu.detect().has_tiles is allowed
        assert cpu.detect().has_vnni


def test_elsewhere_than_on_linux_nobody_is_asked(monkeypatch):
    cpu.may_use_tiles.cache_clear()
    monkeypatch.setattr(cpu.sys, "platform", "darwin")
    try:
        assert not cpu.may_use_tiles()
    finally:
        cpu.may_use_tiles.cache_clear()
