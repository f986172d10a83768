"""The derivative of the convolution over time with its gate, over utterances side by side.

The inference of ops.py makes a matrix product for each tap of the kernel. Here the frames that each output sees are
laid out as one row (a window), which turns the convolution into one linear map, and its derivative into that of a
linear map followed by putting the windows back to where they came from.
"""

from typing import NamedTuple

import numpy as np

from ...layers import subsampled_length
from ...ops import Conv, Linear
from .operations import GluKept, column_sums, glu_backward, glu_forward, linear_forward
from .ragged import stretches


class ConvKept(NamedTuple):
    """Kept for the derivative of a convolution with its gate."""

    x: np.ndarray  # (T, I) the frames of all utterances
    lengths: np.ndarray  # (B,) frames of each
    glu: GluKept


def conv_lengths(lengths: np.ndarray) -> np.ndarray:
    """Outputs of a convolution of stride 2 for each number of frames: (B,) -> (B,)."""
    return subsampled_length(np.asarray(lengths), 1)


def windows(x: np.ndarray, taps: int) -> np.ndarray:
    """The frames that each output sees, stride 2, taps//2 zeros on both sides: (T, I) -> (L, taps I)."""
    padded = np.pad(x, ((taps // 2, taps // 2), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, taps, axis=0)[::2]  # (L, I, taps)
    return np.ascontiguousarray(seen.swapaxes(1, 2)).reshape(len(seen), -1)


def windows_backward(dy: np.ndarray, frames: int, taps: int) -> np.ndarray:
    """A frame gets the sum of the gradients at all its places: (L, taps I) -> (T, I)."""
    dy = dy.reshape(len(dy), taps, -1)
    padded = np.zeros((frames + 2 * (taps // 2), dy.shape[2]), dy.dtype)
    for tap in range(taps):
        padded[tap : tap + 2 * len(dy) - 1 : 2] += dy[:, tap]
    return padded[taps // 2 : taps // 2 + frames]


def as_linear(w: Conv) -> Linear:
    """The map from a window to an output: (O, I, taps) -> a Linear of (O, taps I)."""
    return Linear(w.weight.swapaxes(1, 2).reshape(len(w.weight), -1), w.bias)


def as_conv(w: Linear, like: Conv) -> Conv:
    """The inverse of `as_linear`: a Linear of (O, taps I) -> (O, I, taps)."""
    outputs, inputs, taps = like.weight.shape
    return Conv(np.ascontiguousarray(w.weight.reshape(outputs, taps, inputs).swapaxes(1, 2)), w.bias)


def all_windows(x: np.ndarray, lengths: np.ndarray, taps: int) -> np.ndarray:
    """The windows of all utterances, one after another: (T, I) -> (L, taps I)."""
    return np.concatenate([windows(x[rows], taps) for rows in stretches(lengths)])


def conv1d_glu_forward(x: np.ndarray, lengths: np.ndarray, w: Conv) -> tuple[np.ndarray, ConvKept]:
    """Convolve each utterance over time, then gate: (T, I) with `lengths` (B,) -> (L, O//2)."""
    y = linear_forward(all_windows(x, lengths, w.weight.shape[2]), as_linear(w))
    y, glu = glu_forward(y)
    return y, ConvKept(x, lengths, glu)


def conv1d_glu_backward(
    dy: np.ndarray, w: Conv, kept: ConvKept, by_frames: bool = True
) -> tuple[np.ndarray | None, Conv]:
    """The gradients by the frames, None unless asked for, and by the weights: dy (L, O//2) -> (T, I) and a Conv."""
    x, lengths, glu = kept
    taps, linear = w.weight.shape[2], as_linear(w)
    dy = glu_backward(dy, glu)
    seen = all_windows(x, lengths, taps)
    gradient = as_conv(Linear(dy.T @ seen, column_sums(dy)), w)
    if not by_frames:
        return None, gradient
    dwindows = dy @ linear.weight
    places = zip(stretches(conv_lengths(lengths)), lengths, strict=True)
    return np.concatenate([windows_backward(dwindows[rows], int(n), taps) for rows, n in places]), gradient
