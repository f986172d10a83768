"""The one place that turns the word "numpy", "numba" or "auto" into objects.

A `Backend` is passed to the model once, at load; nothing asks later which it is.
"""

from collections.abc import Callable
from typing import NamedTuple

from .decoder import decoder_step
from .encoder import encode
from .errors import BackendError
from .features import fbank
from .ops import Ops, numpy_ops


class Backend(NamedTuple):
    """Who computes: the fine seam (`ops`), and what may be done in one compiled call instead of through it."""

    name: str
    ops: Ops
    encode: Callable  # as encoder.encode
    step: Callable  # as decoder.decoder_step
    fbank: Callable  # as features.fbank


NUMPY = Backend("numpy", numpy_ops, encode, decoder_step, fbank)


def choose(name: str) -> Backend:
    """The backend of that name; "auto" is the fastest that can run. Raises BackendError for any other name."""
    if name in ("numpy", "auto"):
        return NUMPY
    raise BackendError(f'backend {name!r:.40} is not known, expected "auto" or "numpy"')
