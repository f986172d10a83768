"""The number of threads of numpy's matrix products, set in its OpenBLAS library.

numpy has no function for this, and the environment variables are read only once, when the library is loaded. So the
library itself is called: the dynamic linker looks a name up in numpy's extension module and in everything linked with
it, which includes OpenBLAS, whether it came in numpy's wheel, with conda or with the system. The names of its two
functions depend on the build (prefix `scipy_` in wheels, suffix `64_` where integers have 64 bits). A BLAS other than
OpenBLAS (Accelerate, MKL, netlib) is left as it is, and `state` says so.
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
    """numpy's extension module; on Windows, where names are not looked up in linked libraries, its DLLs as well."""
    home = Path(np.__file__).parent
    return [Path(np._core._multiarray_umath.__file__), *sorted((home.parent / "numpy.libs").glob("*openblas*.dll"))]


def find(paths: Iterable[Path]) -> Control | None:
    """The two functions of the first OpenBLAS that these libraries are linked with, or None."""
    for path, prefix, suffix in product(paths, ("scipy_", ""), ("64_", "", "_64")):
        library, name = ctypes.CDLL(str(path)), f"{prefix}openblas_%s_num_threads{suffix}"
        if hasattr(library, name % "set") and hasattr(library, name % "get"):
            return Control(library[name % "set"], library[name % "get"])
    return None


@functools.cache
def control() -> Control | None:
    """The functions of numpy's OpenBLAS; None if numpy uses another BLAS."""
    return find(libraries())


def set_threads(count: int) -> None:
    """Let matrix products use `count` threads, at most as many as OpenBLAS was built for; does nothing for others."""
    if found := control():
        found.set(count)


def get_threads() -> int | None:
    """Return how many threads a matrix product uses; None where numpy's BLAS is not OpenBLAS."""
    return found.get() if (found := control()) else None


def state() -> str:
    """The same as text: a number, or that it cannot be set here."""
    name = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {}).get("name", "unknown")
    return str(
        get_threads() or f"as {name} decides (only OpenBLAS can be told; others read their environment variable)"
    )
