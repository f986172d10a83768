"""Libraries that tests put between a program and the C library (LD_PRELOAD), compiled on the spot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .paths import ROOT


def why_not() -> str | None:
    """Return why there can be none here; None if there can."""
    if not sys.platform.startswith("linux"):
        return "needs LD_PRELOAD, which is Linux's"
    return None if shutil.which("cc") else "needs a C compiler (cc) for a library that changes what the system says"


def preloaded(source: str, folder: Path) -> dict[str, str]:
    """The environment of a program with the library of a C source, which is compiled into `folder`."""
    library = folder / "preloaded.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, "-xc", "-", "-ldl"], input=source.encode(), check=True)
    return plain() | {"LD_PRELOAD": str(library)}


def plain() -> dict[str, str]:
    """The environment of one without it."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
