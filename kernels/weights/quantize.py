"""Weights as bytes: each output has its scale s = max |W| / 127, and w = round(W / s).

Activations are quantised as they come, in device code: `ops/quantize.py`, which says more.
"""

import numpy as np

from ..layout import CHUNK

BYTE = np.float32(127.0)
TINY = np.float32(1e-30)  # smallest scale times 127: a row of zeros stays zeros


def quantize_weights(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(O, I) floats -> signed bytes (O, I), scales (O,), and zero points (chunks, O): -128 times the sum of a chunk."""
    scale = np.maximum(np.abs(weight).max(axis=1), TINY) / BYTE
    quantized = np.rint(weight / scale[:, None]).astype(np.int8)
    starts = range(0, weight.shape[1], CHUNK)
    zero_points = [-128 * quantized[:, start : start + CHUNK].sum(axis=1, dtype=np.int32) for start in starts]
    return quantized, scale.astype(np.float32), np.stack(zero_points)
