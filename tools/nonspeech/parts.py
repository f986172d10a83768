"""What sounds are put together from. Arrays are (N,) float64 at RATE; sizes are around 1."""

from collections.abc import Callable

import numpy as np

RATE = 16000  # Hz


def seconds(n: int) -> np.ndarray:
    """The times of n samples: (N,)."""
    return np.arange(n) / RATE


def samples(length: float) -> int:
    """The number of samples in a length in seconds."""
    return max(1, round(length * RATE))


def unit(x: np.ndarray) -> np.ndarray:
    """Scaled to a largest value of 1; silence stays as it is."""
    return x / max(np.abs(x).max(initial=0.0), 1e-9)


def filtered(x: np.ndarray, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Samples after a filter of that gain over frequency in Hz, without delay."""
    length = 2 * len(x)  # so that the end does not come back at the beginning
    spectrum = np.fft.rfft(x, length)
    return np.fft.irfft(spectrum * gain(np.fft.rfftfreq(length, 1 / RATE)), length)[: len(x)]


def noise(rng, n: int, tilt: float = 0.0) -> np.ndarray:
    """Gaussian noise whose power falls as frequency to `tilt`: 0 white, 1 pink, 2 brown, -1 blue, -2 violet."""
    return unit(filtered(rng.standard_normal(n), lambda hertz: np.maximum(hertz, 20.0) ** (-tilt / 2)))


def band(low: float, high: float) -> Callable[[np.ndarray], np.ndarray]:
    """The gain of a band between two frequencies in Hz, with slopes of 12 dB an octave."""
    return lambda hertz: 1 / np.sqrt((1 + (low / np.maximum(hertz, 1)) ** 4) * (1 + (np.maximum(hertz, 1) / high) ** 4))


def resonances(peaks: list[float], width: float = 120.0) -> Callable[[np.ndarray], np.ndarray]:
    """The gain of resonances at these frequencies in Hz, as of a throat or a wooden box."""
    return lambda hertz: 0.02 + sum(1 / (1 + ((hertz - peak) / width) ** 2) for peak in peaks)


def slow(rng, n: int, hertz: float) -> np.ndarray:
    """A curve between 0 and 1 that changes about `hertz` times a second."""
    knots = rng.random(max(2, int(n / RATE * hertz) + 2))
    return np.interp(np.arange(n), np.linspace(0, n, len(knots)), knots)


def harmonics(pitch: np.ndarray, sizes: list[float]) -> np.ndarray:
    """A sum of harmonics of a pitch in Hz, which may move: (N,); those above the highest frequency are left out."""
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return sum(size * np.where(k * pitch < RATE / 2, np.sin(k * phase), 0.0) for k, size in enumerate(sizes, start=1))


def tone(n: int, hertz: float) -> np.ndarray:
    """A steady sine."""
    return np.sin(2 * np.pi * hertz * seconds(n))


def stroke(n: int, decay: float, attack: float = 0.005) -> np.ndarray:
    """An envelope that rises within `attack` seconds and dies away with e^(-decay t)."""
    t = seconds(n)
    return np.exp(-decay * t) * np.minimum(1, t / attack) * np.minimum(1, (n / RATE - t) / 0.01)


def swell(n: int) -> np.ndarray:
    """An envelope that rises and falls."""
    return np.sin(np.pi * np.arange(n) / n)


def add(x: np.ndarray, start: float, sound: np.ndarray) -> None:
    """Add a sound to x at `start` seconds, as far as it fits."""
    first = round(start * RATE)
    if first < len(x):
        x[first : first + len(sound)] += sound[: len(x) - first]


def events(rng, n: int, shortest: float, longest: float) -> list[float]:
    """Times in seconds with gaps of a length between the two."""
    times, now = [], rng.uniform(0, min(longest, 0.5))
    while now < n / RATE:
        times.append(now)
        now += rng.uniform(shortest, longest)
    return times
