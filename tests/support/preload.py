"""Programs with a library of a test's own between them and the C library (LD_PRELOAD)."""

import os
from pathlib import Path

from tools import preload

from .paths import ROOT


def why_not() -> str | None:
    """Return why there can be none here; None if there can."""
    return preload.why_not("changes what the system says")


def preloaded(source: str, folder: Path) -> dict[str, str]:
    """The environment of a program with the library of a C source, which is compiled into `folder`."""
    file = folder / "preloaded.c"
    file.write_text(source, encoding="utf-8")
    return plain() | {"LD_PRELOAD": str(preload.compiled(file, folder))}


def plain() -> dict[str, str]:
    """The environment of one without it."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
