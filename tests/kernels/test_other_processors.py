"""The smallest cases again: without compilation, and with the instructions of an old or unknown machine."""

import os
import re
import subprocess
import sys

import pytest

from tests.kernels.test_smallest import CASES
from tests.support.paths import ROOT

pytest.importorskip("numba")

from s2t_np_kernels.cpu import detect

pytestmark = pytest.mark.slow

AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+cx16"
DESKTOPS = {"haswell": ("avx2", AVX2), "alderlake": ("avxvnni", f"{AVX2},+avxvnni")}  # what must be here, what is used
ANY_MACHINE = {"S2T_NP_CPU_FEATURES": "", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def passed(path: str, **environment) -> int:
    """How many tests of a file pass in another environment; all of them must, and none be skipped."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
    more = {"cwd": ROOT, "env": os.environ | environment, "capture_output": True, "text": True, "timeout": 300}
    result = subprocess.run(command, check=False, **more)
    assert result.returncode == 0, result.stdout[-3000:]
    assert "skipped" not in result.stdout
    return int(re.search(r"(\d+) passed", result.stdout)[1])


@pytest.mark.parametrize("name", DESKTOPS)
def test_with_the_instructions_of_a_desktop(name, tmp_path):
    """Registers of eight floats; bytes by pmaddwd, or by vpdpbusd."""
    needed, features = DESKTOPS[name]
    if needed not in detect().features:
        pytest.skip(f"this processor has no {needed}")
    chosen = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "S2T_NP_CACHE_DIR": str(tmp_path)}
    assert passed("tests/kernels/test_smallest.py", **chosen) == CASES


def test_without_compilation():
    assert passed("tests/kernels/test_smallest.py", NUMBA_DISABLE_JIT="1") == CASES


def test_with_the_instructions_of_any_machine(tmp_path):
    """Tiles are chosen by the features, and LLVM may use nothing beyond them either."""
    assert passed("tests/kernels/test_smallest.py", S2T_NP_CACHE_DIR=str(tmp_path), **ANY_MACHINE) == CASES
