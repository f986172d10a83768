"""Slow and obvious second versions of what the packages compute, written from the definitions in float64.

They import neither package: an oracle built from the code it judges would only agree with it.
"""

import math

import numpy as np


def fbank(samples, rate, bins):
    """Kaldi's log mel filterbank, one frame and one filter at a time: (N,) in [-1, 1] -> (T, bins) float64."""
    window, hop = int(rate * 25 / 1000), int(rate * 10 / 1000)
    length = 1
    while length < window:
        length *= 2
    filters = [mel_triangle(i, bins, rate, length) for i in range(bins)]
    rows = []
    start = 0
    while start + window <= len(samples):
        power = frame_power([float(s) * 32768.0 for s in samples[start : start + window]], length)
        energies = [sum(w * p for w, p in zip(f, power, strict=True)) for f in filters]
        rows.append([math.log(max(e, 2.0**-23)) for e in energies])
        start += hop
    return np.array(rows, np.float64).reshape(len(rows), bins)


def frame_power(frame, length):
    """Power spectrum of one frame after DC removal, pre-emphasis and window: (window,) -> length // 2 + 1 numbers."""
    n = len(frame)
    mean = math.fsum(frame) / n
    frame = [s - mean for s in frame]
    emphasized = [frame[i] - 0.97 * frame[max(i - 1, 0)] for i in range(n)]
    windowed = [s * (0.5 - 0.5 * math.cos(2 * math.pi * i / (n - 1))) ** 0.85 for i, s in enumerate(emphasized)]
    spectrum = np.fft.fft(np.array(windowed + [0.0] * (length - n)))
    return [abs(spectrum[k]) ** 2 for k in range(length // 2 + 1)]


def mel_triangle(index, bins, rate, length):
    """The weights of one mel filter over all DFT bins up to Nyquist, from the definition of the triangle."""

    def mel(hertz):
        return 1127.0 * math.log(1.0 + hertz / 700.0)

    low, high = mel(20.0), mel(rate / 2)
    step = (high - low) / (bins + 1)
    left, centre, right = (low + (index + k) * step for k in range(3))
    weights = []
    for k in range(length // 2 + 1):
        m = mel(k * rate / length)
        if left < m <= centre:
            weights.append((m - left) / (centre - left))
        elif centre < m < right:
            weights.append((right - m) / (right - centre))
        else:
            weights.append(0.0)
    return weights


def cmvn(features):
    """Mean 0 and biased variance 1 per column, the variance floored at 1e-10: (T, M) -> (T, M) float64."""
    columns = []
    for column in np.asarray(features, np.float64).T:
        mean = math.fsum(column) / len(column)
        variance = math.fsum((v - mean) ** 2 for v in column) / len(column)
        columns.append([(v - mean) / math.sqrt(max(variance, 1e-10)) for v in column])
    return np.array(columns).T
