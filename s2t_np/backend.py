"""The one place that turns the word "numpy", "numba" or "auto" into objects.

A `Backend` is passed to the model once, at load; nothing asks later which it is.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .decoder import decoder_step, start_cache
from .encoder import encode
from .errors import BackendError
from .features import fbank
from .ops import Ops, numpy_ops
from .search import best


class Backend(NamedTuple):
    """Who computes: the fine seam (`ops`), and what may be done in one compiled call instead of through it."""

    name: str
    ops: Ops
    encode: Callable  # as encoder.encode
    start: Callable  # as decoder.start_cache
    step: Callable  # as decoder.decoder_step
    best: Callable  # as search.best
    fbank: Callable  # as features.fbank


NUMPY = Backend("numpy", numpy_ops, encode, start_cache, decoder_step, best, fbank)


def choose(name: str, dtype: type = np.float32) -> Backend:
    """The backend of that name. Raises BackendError for an unknown one, or one that cannot run here.

    "auto" is numpy: the compiled kernels are still being worked on, and are taken only by name.
    """
    if name in ("numpy", "auto"):
        return NUMPY
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
    return NUMBA
