"""How many threads numpy's matrix products use: its OpenBLAS is found and told.

numpy has no function for it, and the environment variables are read once, when the library is loaded. So the library is
asked itself: the dynamic linker looks a name up in numpy's extension module and in all that it was linked with, which
is where OpenBLAS is, whether it came in numpy's wheel, with conda or with the system. The names of its two functions
differ by build (`scipy_` before them in wheels, `64_` behind where integers have 64 bits). A BLAS that is not OpenBLAS
(Accelerate, MKL, netlib) is left as it is, and `state` says so.
"""

import ctypes
import functools
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Control(NamedTuple):
    """The two functions of one OpenBLAS."""

    set: ctypes._CFuncPtr
    get: ctypes._CFuncPtr


def libraries() -> list[Path]:
    """The extension module that multiplies matrices; on Windows, where only a library itself can be asked, those of
    numpy's wheel as well.
    """
    home = Path(np.__file__).parent
    return [Path(np._core._multiarray_umath.__file__), *sorted((home.parent / "numpy.libs").glob("*openblas*.dll"))]


def find(paths: Iterable[Path]) -> Control | None:
    """The functions of the first OpenBLAS among these libraries and what they were linked with, or None."""
    for path, prefix, suffix in product(paths, ("scipy_", ""), ("64_", "", "_64")):
        library, name = ctypes.CDLL(str(path)), f"{prefix}openblas_%s_num_threads{suffix}"
        if hasattr(library, name % "set") and hasattr(library, name % "get"):
            return Control(library[name % "set"], library[name % "get"])
    return None


@functools.cache
def control() -> Control | None:
    """numpy's OpenBLAS, if it is one."""
    return find(libraries())


def set_threads(count: int) -> None:
    """Let matrix products use so many threads, or as many as this OpenBLAS was built for; other BLAS are left alone."""
    if found := control():
        found.set(count)


def get_threads() -> int | None:
    """Threads of a matrix product; None where numpy's BLAS is no OpenBLAS."""
    return found.get() if (found := control()) else None


def state() -> str:
    """The same for people: a number, or that it cannot be set here."""
    name = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {}).get("name", "unknown")
    return str(
        get_threads() or f"as {name} decides (only OpenBLAS can be told; others read their environment variable)"
    )
