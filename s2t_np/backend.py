"""The one place that turns the word "numpy", "numba" or "auto" into objects.

A `Backend` is passed to the model once, at load; nothing asks later which it is.
"""

import importlib.util
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .decoder import decoder_step
from .encoder import encode
from .errors import BackendError, InputWarning
from .features import fbank
from .ops import Ops, numpy_ops


class Backend(NamedTuple):
    """Who computes: the fine seam (`ops`), and what may be done in one compiled call instead of through it."""

    name: str
    ops: Ops
    encode: Callable  # as encoder.encode
    step: Callable  # as decoder.decoder_step
    fbank: Callable  # as features.fbank
    describe: Callable[[], dict[str, str]]  # what `info` says about it


def describe() -> dict[str, str]:
    """What `info` says about numpy."""
    return {"instructions": "those of numpy and its BLAS"}


NUMPY = Backend("numpy", numpy_ops, encode, decoder_step, fbank, describe)


def choose(name: str, dtype: type = np.float32) -> Backend:
    """The backend of that name. Raises BackendError for an unknown one, or one that cannot run here.

    "auto" is numba where it is installed and its kernels can be compiled, else numpy.
    """
    if name == "numpy":
        return NUMPY
    if name == "auto":
        return best(dtype)
    if name != "numba":
        raise BackendError(f'backend {name!r:.40} is not known, expected "auto", "numpy" or "numba"')
    if dtype != np.float32:
        raise BackendError(f'backend "numba" computes in float32, not {dtype.__name__}; use backend "numpy"')
    return compiled()


def compiled() -> Backend:
    """The Numba backend, compiled when first used. Raises BackendError where it cannot run."""
    try:
        from kernels.backend import NUMBA
    except ImportError as error:
        raise BackendError(f'backend "numba" cannot run here ({error}): pip install "s2t-np[numba]"') from None
    except Exception as error:  # whatever a compiler meets on a machine that nobody has tried
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BackendError(f'backend "numba" cannot compile its kernels here ({reason:.300})') from error
    return NUMBA


def best(dtype: type) -> Backend:
    """The Numba backend where it can run and compute in this type, else numpy; warns if an installed numba cannot."""
    if dtype != np.float32 or importlib.util.find_spec("numba") is None:
        return NUMPY
    try:
        found = compiled()
    except BackendError as error:
        warnings.warn(f"{error}; numpy computes instead", InputWarning, stacklevel=2)
        return NUMPY
    from kernels.jit import COMPILED

    return found if COMPILED else NUMPY  # with NUMBA_DISABLE_JIT=1 kernels run as Python, which is slow
