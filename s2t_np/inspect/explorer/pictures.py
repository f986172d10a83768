"""Arrays for the page: every two-dimensional slice as 8- or 16-bit steps of its own scale, all in one block.

value = low + step * integer. Slices of small arrays get 65,536 steps, those of large ones 256, so that a page for ten
seconds stays below 10 MB; the page never shows more digits than the step carries. The block is deflated (zlib) and
base64, both of which browsers decode by themselves.
"""

import base64
import zlib
from collections.abc import Iterator

import numpy as np

SMALL = 200_000  # arrays of up to this many numbers get 16 bits


class Pictures:
    """Collects slices; `index` tells the page the place of each slice and the scale of its integers."""

    def __init__(self):
        self.index: dict[str, dict] = {}
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, name: str, array: np.ndarray, rows: np.ndarray | None = None) -> list[str]:
        """Take an array of any number of axes; returns the keys of its slices, `name`, `name/0`, `name/0/1`, ...

        rows: the numbers of these rows in the whole array, if not all are kept.
        """
        keys = []
        for suffix, piece in slices(array):
            key = name + suffix
            keys.append(key)
            if key not in self.index:
                self.index[key] = self.store(piece, np.uint16 if array.size <= SMALL else np.uint8)
                if rows is not None:
                    self.index[key]["picked"] = rows.tolist()
        return keys

    def store(self, piece: np.ndarray, kind: type) -> dict:
        """Append (R, C) numbers to the block; returns their entry in the index."""
        low, step, integers = quantized(piece, kind)
        self.size += -self.size % 2
        at = self.size
        raw = integers.tobytes()
        self.parts.append(raw + b"\0" * (len(raw) % 2))
        self.size += len(raw)
        return {"shape": list(piece.shape), "bytes": integers.itemsize, "offset": at, "low": low, "step": step}

    def packed(self) -> str:
        """The whole block, deflated, in base64."""
        return base64.b64encode(zlib.compress(b"".join(self.parts), 9)).decode()


def slices(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """("", itself as (R, C)) or, for more axes, ("/i", ...) for every index of the leading ones."""
    if array.ndim <= 2:
        yield "", np.atleast_2d(array)
        return
    for i, part in enumerate(array):
        yield from ((f"/{i}{suffix}", piece) for suffix, piece in slices(part))


def quantized(piece: np.ndarray, kind: type) -> tuple[float, float, np.ndarray]:
    """low, step and integers; a number that is not finite becomes the nearest end of the scale."""
    wide = piece.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    step = (high - low) / np.iinfo(kind).max or 1.0
    wide = np.nan_to_num(wide, nan=low, posinf=high, neginf=low)
    return low, step, np.rint((wide - low) / step).astype(kind)
