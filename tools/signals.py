"""Sound made from a seed, for tests and golden files where no recording may be shipped.

Gliding harmonics in syllables with pauses between, over a little noise: enough like a voice to move every mel bin. The
noise comes from the raw bits of PCG64 and the result is rounded to 16 bits, so that every machine makes the same sound.
"""

import numpy as np


def unit_noise(bits: np.random.PCG64, count: int) -> np.ndarray:
    """Even noise in [-1, 1): (count,) float64."""
    return (bits.random_raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def harmonics(seed: int, seconds: float, rate: int = 16000) -> np.ndarray:
    """Samples in [-1, 1] on the grid of 16-bit audio: (N,) float32, N = seconds * rate rounded."""
    bits = np.random.PCG64(seed)
    time = np.arange(round(seconds * rate)) / rate
    syllables, glide, vowel, *phases = (unit_noise(bits, 16) + 1) / 2
    pitch = 100 + 100 * syllables + 30 * np.sin(2 * np.pi * (0.5 + glide) * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    envelope = np.maximum(0, np.sin(2 * np.pi * (1.5 + 2 * syllables) * time + phases[0])) ** 0.5
    tone = np.zeros_like(time)
    for n in range(1, 13):
        formant = 400 + 2500 * np.abs(np.sin(2 * np.pi * (0.7 + vowel) * time + n / 9))
        tone += np.exp(-(((n * pitch - formant) / 600) ** 2)) * np.sin(n * phase + 6 * phases[n])
    sound = 0.15 * envelope * tone + 0.003 * unit_noise(bits, len(time))
    return (np.clip(np.round(sound * 32768), -32768, 32767) / 32768).astype(np.float32)
