"""The same tests on other processors: without compilation, and with the instructions of an old or unknown machine."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytest.importorskip("numba")

PLAIN = (
    "encoder and 61-odd or logits_and_the_cache and 2-odd or bytes_stay_near and odd or conv1d_glu and 34-3"
    " or conv1d_glu and 2-1-1 or halves and 31-3"
)
FEW = (
    "encoder and 130 or logits_and_the_cache and 5-round or bytes_stay_near or test_attention or conv1d_glu and 34"
    " or halves"
)


def run(cases: str, **environment) -> str:
    """What pytest says about some cases of this folder in another environment."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernels", "-k", cases]
    ignored = [f"--ignore=tests/kernels/{name}.py" for name in ("test_cache", "test_model", "test_plain_paths")]
    result = subprocess.run(
        [*command, *ignored],
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


def test_without_compilation():
    assert "passed" in run(PLAIN, NUMBA_DISABLE_JIT="1")


def test_with_the_instructions_of_any_machine(tmp_path):
    """Tiles are chosen by the features, and LLVM may use nothing beyond them either."""
    environment = {"S2T_NP_CPU_FEATURES": "", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert "passed" in run(FEW, S2T_NP_CACHE_DIR=str(tmp_path), **environment)
