"""Libraries that are put between a program and the C library (LD_PRELOAD), compiled on the spot."""

import shutil
import subprocess
import sys
from pathlib import Path


def why_not(purpose: str) -> str | None:
    """Return why there can be no library that `purpose` ("makes calls fail") here; None if there can."""
    if not sys.platform.startswith("linux"):
        return "needs LD_PRELOAD, which is Linux's"
    return None if shutil.which("cc") else f"needs a C compiler (cc) for the library that {purpose}"


def compiled(source: Path, folder: Path, *options: str) -> Path:
    """The library of a C source, compiled into `folder`. Raises CalledProcessError."""
    target = folder / f"{source.stem}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(target), str(source), *options, "-ldl"], check=True)
    return target
