"""The checks of every array before a kernel gets its address: beyond this door nothing is checked any more.

S2T's public methods give better messages; these hold for callers of a backend itself.
"""

import numpy as np

from s2t_np.errors import OptionError


def matrix(name: str, x: np.ndarray, columns: int, least: int = 1) -> np.ndarray:
    """x as float32 (rows, columns), with at least `least` rows. Raises OptionError."""
    x = np.asarray(x, np.float32)
    if x.ndim != 2 or x.shape[1] != columns or len(x) < least:
        raise OptionError(
            f"{name}: found an array of shape {x.shape}, expected (rows, {columns}), rows from {least} on"
        )
    return x


def samples(x: np.ndarray) -> np.ndarray:
    """x as float32 (N,). Raises OptionError."""
    x = np.asarray(x, np.float32)
    if x.ndim != 1:
        raise OptionError(f"samples: found an array of shape {x.shape}, expected one axis")
    return x


def beams(count: int) -> int:
    """A number of beams, at least one. Raises OptionError."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise OptionError(f"beams: found {count!r:.40}, expected a whole number from 1 on")
    return int(count)


def tokens(x: np.ndarray, count: int, vocabulary: int) -> np.ndarray:
    """x as int64 (count,), each an id of the vocabulary. Raises OptionError."""
    x = np.asarray(x)
    if x.shape != (count,) or x.dtype.kind not in "iu":
        raise OptionError(f"tokens: found {x.dtype} of shape {x.shape}, expected {count} integers, one for each beam")
    ids = x.tolist()  # for a handful, a list is several times as fast as numpy
    if min(ids) < 0 or max(ids) >= vocabulary:
        raise OptionError(f"tokens: found ids from {min(ids)} to {max(ids)}, expected 0 to {vocabulary - 1}")
    return x


def caches(found: list) -> list:
    """The caches of a step, each of which is there once: it adds one position to each. Raises OptionError."""
    if len({id(cache) for cache in found}) != len(found):
        raise OptionError(f"asks: {len(found)} utterances share a cache, expected one for each")
    return found


def parents(x: np.ndarray, count: int) -> np.ndarray:
    """x as integers (count,), each the number of a beam. Raises OptionError."""
    x = np.asarray(x)
    if x.shape != (count,) or x.dtype.kind not in "iu" or min(x.tolist()) < 0 or max(x.tolist()) >= count:
        raise OptionError(f"parents: found {x!r:.80}, expected {count} numbers of beams, 0 to {count - 1}")
    return x


def rows_of(name: str, x: np.ndarray, columns: int) -> np.ndarray:
    """x as contiguous float32 whose last axis has that many columns. Raises OptionError."""
    x = np.ascontiguousarray(x, np.float32)
    if x.ndim == 0 or x.shape[-1] != columns:
        raise OptionError(f"{name}: found an array of shape {x.shape}, expected (..., {columns})")
    return x


def residual(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """x as float32 (rows, columns). Raises OptionError."""
    x = np.asarray(x, np.float32)
    if x.shape != (rows, columns):
        raise OptionError(f"residual: found an array of shape {x.shape}, expected {(rows, columns)}")
    return x


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int) -> None:
    """Raise OptionError unless q (..., Q, D) fits k and v (..., S, D), and D has that many heads."""
    shapes, least = (q.shape, k.shape, v.shape), min(x.ndim for x in (q, k, v))
    same = least >= 2 and k.shape == v.shape and q.shape[:-2] == k.shape[:-2] and q.shape[-1] == k.shape[-1]
    if not same or heads < 1 or q.shape[-1] % heads:
        raise OptionError(f"attention: found q, k, v of shapes {shapes} and {heads} heads, which do not fit")


def added(x: np.ndarray, rows: int) -> None:
    """Raise OptionError unless x is (rows,)."""
    if np.shape(x) != (rows,):
        raise OptionError(f"added: found an array of shape {np.shape(x)}, expected {(rows,)}")


def taper(x: np.ndarray, length: int) -> np.ndarray:
    """x as float64 (window,), no longer than the transform. Raises OptionError."""
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or not 1 <= len(x) <= length:
        raise OptionError(f"taper: found an array of shape {x.shape}, expected one axis, from 1 to {length} long")
    return x


def edges(x: np.ndarray, length: int) -> np.ndarray:
    """x as int64 (B + 1,), rising, from 1 to half the transform's length. Raises OptionError."""
    x = np.asarray(x)
    if x.ndim != 1 or len(x) == 0 or x.dtype.kind not in "iu" or np.any(x[1:] <= x[:-1]):
        raise OptionError(f"edges: found {x.dtype} of shape {x.shape}, expected integers that rise")
    if x[0] < 1 or x[-1] > length // 2:
        raise OptionError(f"edges: found {x[0]} to {x[-1]}, expected 1 to {length // 2}")
    return np.ascontiguousarray(x, np.int64)


def spectra(x: np.ndarray) -> np.ndarray:
    """x as float64 (F, T), row by row, with at least one of each. Raises OptionError."""
    x = np.ascontiguousarray(x, np.float64)
    if x.ndim != 2 or 0 in x.shape:
        raise OptionError(f"spectra: found an array of shape {x.shape}, expected two axes, neither of them empty")
    return x
