#!/usr/bin/env python3
"""The oldest and the newest numpy and Numba that pyproject.toml admits: kernels compile, load and compute right.

    python tools/version_matrix.py [oldest] [newest]

Each pair gets an environment of its own, with nothing in it but the core dependencies and pytest; in it a bounded part
of the kernels' tests runs on an empty kernel cache, and a recording is transcribed. Exit code 1 if anything fails.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAIRED = ("numpy", "numba", "llvmlite")
TESTS = ("tests/kernels/test_smallest.py", "tests/kernels/ops/test_ops.py", "tests/kernels/build/test_arguments.py")
VERSIONS = "import numpy, numba, llvmlite as l; print(numpy.__version__, numba.__version__, l.__version__)"
RECORDING = "s2t_np/recordings/two-nine-three-four-zero.flac"


def core_dependencies() -> list[str]:
    """What pyproject.toml asks for."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def oldest(requirement: str) -> str:
    """numba>=0.61,<0.69 -> numba==0.61.*; others stay."""
    name, bound = re.match(r"([\w-]+)\s*>=\s*([\d.]+)", requirement).groups()
    return f"{name}=={bound}.*" if name in PAIRED else requirement


def requirements(which: str) -> list[str]:
    """What pip is to install for a pair."""
    return [*(oldest(r) if which == "oldest" else r for r in core_dependencies()), "pytest>=8"]


def run(*command, **environment) -> str:
    """Standard output of a command in the repository. Raises CalledProcessError."""
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    return done.stdout


def check(which: str, folder: Path) -> None:
    """One pair. Raises CalledProcessError or AssertionError."""
    started = time.perf_counter()
    run(sys.executable, "-m", "venv", str(folder / "env"))
    python = str(next((folder / "env").glob("[bS]*/python*")))
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements(which))
    versions = run(python, "-c", VERSIONS)
    print(f"{which}: numpy, numba, llvmlite {versions.strip()}; {time.perf_counter() - started:.0f} s", flush=True)
    cache = {"S2T_NP_CACHE_DIR": str(folder / "cache")}
    print(run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, **cache).splitlines()[-1], flush=True)
    transcribe = (python, "-m", "s2t_np", "transcribe", "--model", "digits", RECORDING)
    texts = {name: run(*transcribe, "--backend", name, **cache) for name in ("numba", "numpy")}
    assert texts["numba"] == texts["numpy"] and texts["numba"].strip(), texts
    print(f"{which}: {texts['numba'].strip()}; {time.perf_counter() - started:.0f} s in all", flush=True)


def main() -> int:
    """Check the pairs that were asked for, both by default."""
    for which in sys.argv[1:] or ["oldest", "newest"]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(which, Path(folder))
            except (subprocess.SubprocessError, AssertionError) as error:
                print(f"{which}: {error}\n{getattr(error, 'stdout', '') or ''}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
