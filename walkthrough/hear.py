"""From log-mel energies back to sound, to hear what they kept.

The energies have lost two things. 80 bands stand for 256 frequencies: each frequency gets its
share of its bands back. And the phases are gone: Griffin and Lim (1984, "Signal estimation from
modified short-time Fourier transform") begin with chance ones, make a sound of them, and take
over the phases that this sound really has, again and again.
"""

import numpy as np
from s2t_np import features

WINDOW, HOP, SIZE, BANDS = 400, 160, 512, 80
BANK = features.mel_bank(16000, BANDS)


def spectrum_of(log_mel: np.ndarray) -> np.ndarray:
    """Magnitudes (T, 257) whose energies in the bands are about exp(log_mel), (T, 80)."""
    spread = BANK / np.maximum(BANK.sum(axis=0), 1e-9)
    power = np.exp(log_mel.astype(float)) @ spread.T / np.maximum(BANK.sum(axis=1), 0.3)
    emphasis = np.abs(
        1 - 0.97 * np.exp(-1j * np.pi * np.arange(SIZE // 2) / (SIZE // 2))
    )  # features lifted by it
    return np.pad(np.sqrt(power) / np.maximum(emphasis, 0.1), ((0, 0), (0, 1)))


def overlap_add(frames: np.ndarray) -> np.ndarray:
    """Windowed frames (T, 400) -> samples, each divided by how much window it got."""
    window = np.hanning(WINDOW)
    total, weight = np.zeros((2, WINDOW + HOP * (len(frames) - 1)))
    for t, frame in enumerate(frames):
        total[HOP * t : HOP * t + WINDOW] += frame * window
        weight[HOP * t : HOP * t + WINDOW] += window**2
    return total / np.maximum(weight, 1e-3)


def sound_of(log_mel: np.ndarray, rounds: int = 24) -> np.ndarray:
    """Log-mel energies (T, 80), as of `features.fbank` -> samples (N,), at most 0.7."""
    size = spectrum_of(log_mel)
    phases = np.exp(2j * np.pi * np.random.default_rng(0).random(size.shape))
    for _ in range(rounds):
        samples = overlap_add(np.fft.irfft(size * phases, SIZE)[:, :WINDOW])
        spectrum = np.fft.rfft(features.frames(samples, WINDOW, HOP) * np.hanning(WINDOW), SIZE)
        phases = spectrum / np.maximum(np.abs(spectrum), 1e-12)
    return 0.7 * samples / np.abs(samples).max() if samples.any() else samples
