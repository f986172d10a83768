"""Everyone is held to the instructions of a processor that is not this one; the bench starts itself anew for it.

Where `cpuid` can fault (Intel, Linux) a library answers it as a Haswell would (held_cpuid.c), for this project and for
each peer alike: all of them ask the processor which instructions it has, and see AVX2 and nothing later.
Elsewhere these variables are set, which compilers and libraries read when they are loaded:

    this project      Numba compiles for a Haswell, so that no instruction of another can be in a kernel
    numpy             OpenBLAS takes the kernels of a Haswell
    torch             its own kernels, oneDNN's, and on Intel's processors those of MKL
    OpenVINO          the JIT of oneDNN, which it carries; its other kernels ask the processor
    ONNX Runtime      has no such switch: it keeps all instructions of this processor, AVX-512 and AMX among them
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.bench import held_cpuid

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


def way(isa: str) -> str | None:
    """How this process and its children are held to `isa`; None if they are not."""
    if held_cpuid.in_force():
        return f"{isa}, everyone: cpuid answers as a Haswell's"
    if ENVIRONMENTS[isa].items() <= os.environ.items():
        return f"{isa}, by environment variables; ONNX Runtime is not held ({held_cpuid.why_not()})"
    return None


def command(module: str, argv: list[str]) -> list[str]:
    """A Python process of its own."""
    return [sys.executable, "-m", module, *argv]


def again(isa: str, module: str, argv: list[str]) -> int:
    """Run `python -m module argv`, held to `isa`; its exit code. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        variables = ENVIRONMENTS[isa] if held_cpuid.why_not() else held_cpuid.environment(Path(folder))
        return subprocess.run(command(module, argv), env=os.environ | variables, check=False).returncode
