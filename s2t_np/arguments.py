"""Arguments checked at the door: what a public method was given, as an array or number that every backend can use.

Each function returns the value in the form that is computed with, or raises an OptionError that says what was found and
what was expected. After these checks no backend needs its own.
"""

import math
import operator

import numpy as np

from .errors import OptionError
from .settings.fields import show


def as_array(value, name: str, kinds: str, expected: str) -> np.ndarray:
    """`value` as an array of any shape whose dtype is one of `kinds` (numpy's letters). Raises OptionError."""
    try:
        array = np.asarray(value)
    except Exception as error:  # a ragged list, a tensor on a GPU, an __array__ that fails in its own way
        raise OptionError(
            f"{name}: a {type(value).__name__} cannot be taken as an array, expected {expected}"
        ) from error
    if array.dtype.kind not in kinds and array.size:
        raise OptionError(f"{name}: found a {type(value).__name__} of {array.dtype}, expected {expected}")
    return array


def finite(array: np.ndarray, name: str, dtype: type) -> np.ndarray:
    """The array in `dtype`, contiguous: any shape. Raises OptionError for NaN and for what `dtype` cannot hold."""
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.ascontiguousarray(array, dtype)
        total = np.add.reduce(array, axis=None)  # one pass, nothing allocated; it may overflow, hence the second look
    if not math.isfinite(total) and not np.isfinite(array).all():
        count = int(np.count_nonzero(~np.isfinite(array)))
        raise OptionError(f"{name}: {count} of {array.size} numbers are NaN, infinite or beyond {np.dtype(dtype).name}")
    return array


def matrix(value, name: str, width: int, rows: str, dtype: type) -> np.ndarray:
    """Finite numbers, one row or more: (rows, width) in `dtype`. Raises OptionError."""
    expected = f"numbers of shape ({rows}, {width})"
    array = as_array(value, name, "fiu", expected)
    if array.ndim != 2 or array.shape[1] != width or len(array) == 0:
        raise OptionError(f"{name} of shape {array.shape}, expected ({rows}, {width}) with at least one row")
    return finite(array, name, dtype)


def samples(value) -> np.ndarray:
    """Mono sound as floats: (N,). Raises OptionError."""
    array = as_array(value, "samples", "f", "floats in [-1, 1]")
    if array.ndim != 1:
        raise OptionError(f"samples of shape {array.shape}, expected (N,): one channel")
    return finite(array, "samples", np.float64 if array.dtype == np.float64 else np.float32)


def token_ids(value, name: str, vocabulary: int) -> np.ndarray:
    """One or more token ids below `vocabulary`: (U,) int64. Raises OptionError."""
    array = as_array(value, name, "iu", f"a list of ids below {vocabulary}")
    if array.ndim != 1 or len(array) == 0:
        raise OptionError(f"{name} of shape {array.shape}, expected a non-empty list of ids below {vocabulary}")
    if array.min() < 0 or array.max() >= vocabulary:
        wrong = array[(array < 0) | (array >= vocabulary)][0]
        raise OptionError(f"{name}: {wrong} is not a token id, expected ids below {vocabulary}")
    return array.astype(np.int64, copy=False)


def whole_number(value, name: str, least: int) -> int:
    """An integer of at least `least`. Raises OptionError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise OptionError(f"{name} is {show(value)}, expected a whole number of at least {least}") from None
    if number < least:
        raise OptionError(f"{name} is {show(value)}, expected a whole number of at least {least}")
    return number


def instance(value, name: str, kind: type):
    """`value`, if it is a `kind`, or a new `kind` for None. Raises OptionError."""
    if value is not None and not isinstance(value, kind):
        raise OptionError(f"{name}: found {show(value)}, expected {kind.__name__}(...) or None")
    return kind() if value is None else value
