"""Everybody held to the instructions of a processor that is not this one.

Compilers and libraries read these variables when they are loaded, so the bench starts itself anew with them.

    this project      Numba compiles for a Haswell, so that no instruction of another can be in a kernel
    numpy             OpenBLAS takes the kernels of a Haswell
    torch             its own kernels, oneDNN's, and on Intel's processors those of MKL
    OpenVINO          the JIT of oneDNN, which it carries
    ONNX Runtime      has no such switch: it keeps all instructions of this processor, AVX-512 and AMX among them
"""

import os
import subprocess
import sys

ENVIRONMENTS = {
    "avx2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+sse2,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+popcnt",
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    }
}


def held(isa: str) -> bool:
    """Return whether this process was started with the variables of `isa`."""
    return ENVIRONMENTS[isa].items() <= os.environ.items()


def command(module: str, argv: list[str]) -> list[str]:
    """A Python process of its own."""
    return [sys.executable, "-m", module, *argv]


def again(isa: str, module: str, argv: list[str]) -> int:
    """Run `python -m module argv` with those variables; its exit code."""
    return subprocess.run(command(module, argv), env=os.environ | ENVIRONMENTS[isa], check=False).returncode
