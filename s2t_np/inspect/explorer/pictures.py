"""Arrays for the page: every two-dimensional slice exact or as 8- or 16-bit steps of its own scale, all in one block.

An exact slice holds float32 numbers: the first bytes of all of them, then their second bytes, and so on, for alike
bytes deflate well. Of the others, value = low + step * integer, and the page never shows more digits than the step
carries. `carried.py` chooses. The block is deflated (zlib) and base64, both of which browsers decode by themselves.
"""

import base64
import zlib
from collections.abc import Iterator

import numpy as np

KINDS = {1: np.uint8, 2: np.uint16}  # bytes of a number -> its integers; four bytes are an exact float32


class Pictures:
    """Collects slices; `index` tells the page the place of each slice and the scale of its integers."""

    def __init__(self):
        self.index: dict[str, dict] = {}
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, name: str, array: np.ndarray, width: int = 4, columns: np.ndarray | None = None) -> list[str]:
        """Take an array of any number of axes; returns the keys of its slices, `name`, `name/0`, `name/0/1`, ...

        width: the bytes of a number, 4 for exact ones. columns: the numbers of these columns in the whole array, if not
        all are kept.
        """
        keys = []
        for suffix, piece in slices(array):
            keys.append(name + suffix)
            if keys[-1] not in self.index:
                entry = self.exact(piece) if width == 4 else self.store(piece, KINDS[width])
                self.index[keys[-1]] = entry | ({} if columns is None else {"picked": columns.tolist()})
        return keys

    def exact(self, piece: np.ndarray) -> dict:
        """Append (R, C) numbers as float32, their bytes apart; returns their entry in the index."""
        octets = np.ascontiguousarray(piece, "<f4").view(np.uint8).reshape(-1, 4)
        return {"shape": list(piece.shape), "bytes": 4, "offset": self.append(octets.T.tobytes())}

    def store(self, piece: np.ndarray, kind: type) -> dict:
        """Append (R, C) numbers as steps; returns their entry in the index."""
        low, step, integers = quantized(piece, kind)
        at = self.append(integers.tobytes())
        return {"shape": list(piece.shape), "bytes": integers.itemsize, "offset": at, "low": low, "step": step}

    def append(self, raw: bytes) -> int:
        """Append bytes at an even place, which is returned."""
        at = self.size + self.size % 2
        self.parts.append(b"\0" * (at - self.size) + raw)
        self.size = at + len(raw)
        return at

    def packed(self, level: int = 9) -> str:
        """The whole block, deflated (1: quickly, 9: well), in base64."""
        return base64.b64encode(zlib.compress(b"".join(self.parts), level)).decode()


def slices(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """("", itself as (R, C)) or, for more axes, ("/i", ...) for every index of the leading ones."""
    if array.ndim <= 2:
        yield "", np.atleast_2d(array)
        return
    for i, part in enumerate(array):
        yield from ((f"/{i}{suffix}", piece) for suffix, piece in slices(part))


def keys_of(name: str, shape: tuple[int, ...]) -> list[str]:
    """The keys of the slices of an array of this shape, as `Pictures.add` gives them."""
    return [name + "".join(f"/{i}" for i in place) for place in np.ndindex(shape[:-2])]


def quantized(piece: np.ndarray, kind: type) -> tuple[float, float, np.ndarray]:
    """low, step and integers; a number that is not finite becomes the nearest end of the scale."""
    wide = piece.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    step = (high - low) / np.iinfo(kind).max or 1.0
    wide = np.nan_to_num(wide, nan=low, posinf=high, neginf=low)
    return low, step, np.rint((wide - low) / step).astype(kind)
