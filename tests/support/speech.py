"""Recordings put together from utterances and pauses, so that the truth is known; and sounds that are no speech."""

import functools

import numpy as np
import soundfile

from tests.support.paths import LIBRISPEECH, ROOT

RATE = 16000
RECORDINGS = ROOT / "s2t_np" / "recordings"


def level(x: np.ndarray) -> np.ndarray:
    """RMS in dB of frames of 50 ms every 10 ms: (N,) -> (T,)."""
    square = np.concatenate(([0.0], np.cumsum(x.astype(np.float64) ** 2)))
    starts = np.arange(0, len(x) - 800, 160)
    return 10 * np.log10((square[starts + 800] - square[starts]) / 800 + 1e-12)


def trimmed(x: np.ndarray, depth: float = 25.0) -> np.ndarray:
    """An utterance from its first to its last 80 ms within `depth` dB of the loudest, and 8 dB above its noise."""
    db = level(x)
    loud = np.concatenate(([False], db > max(db.max() - depth, np.percentile(db, 3) + 8), [False]))
    edges = np.flatnonzero(np.diff(loud.astype(int))).reshape(-1, 2)
    edges = edges[edges[:, 1] - edges[:, 0] >= 8]
    return x[edges[0, 0] * 160 + 320 : edges[-1, 1] * 160 + 320]


def concatenated(utterances, pause: float, noise: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Utterances with pauses (s) around them and white noise (dB of full scale) over all: (N,), (n, 2) their times."""
    silence, parts, times, now = np.zeros(round(pause * RATE), np.float32), [], [], 0
    for x in utterances:
        now += len(silence)
        times.append((now / RATE, (now + len(x)) / RATE))
        parts += [silence, x]
        now += len(x)
    y = np.concatenate([*parts, silence])
    if noise is not None:
        y = y + 10 ** (noise / 20) * np.random.default_rng(0).standard_normal(len(y))
    return y.astype(np.float32), np.array(times)


@functools.cache
def bundled(name: str) -> np.ndarray:
    """A recording that comes with the package, trimmed."""
    return trimmed(soundfile.read(RECORDINGS / f"{name}.flac", dtype="float32")[0])


@functools.cache
def librispeech() -> list[np.ndarray]:
    """Utterances of ten speakers, trimmed, one speaker after the other changing."""
    files = sorted(LIBRISPEECH.rglob("*.flac"))
    order = np.random.default_rng(0).permutation(len(files))
    return [trimmed(soundfile.read(files[i], dtype="float32")[0]) for i in order]


# ---- no speech


def tone(seconds: float, hertz: float = 440.0, size: float = 0.3) -> np.ndarray:
    return size * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def noise(seconds: float, size: float = 0.05, tilt: float = 0.0, seed: int = 0) -> np.ndarray:
    """White noise; `tilt` 1 makes it pink, 2 brown."""
    n = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    x = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), n * 20 / RATE) ** (tilt / 2), n)
    return size * x / x.std()


def note(hertz: float, seconds: float, decay: float, size: float = 0.1) -> np.ndarray:
    """Six harmonics that die away, as on a piano."""
    t = np.arange(round(seconds * RATE)) / RATE
    shape = np.exp(-decay * t) * np.minimum(1, t / 0.01) * np.minimum(1, (seconds - t) / 0.02)
    return size * shape * sum(np.sin(2 * np.pi * k * hertz * t) / k for k in range(1, 7))


def music(seconds: int, decay: float, chord=(1.0, 1.26, 1.5), seed: int = 0) -> np.ndarray:
    """Chords, or with one voice a melody, two notes a second."""
    scale = np.array([261.6, 293.7, 329.6, 349.2, 392.0, 440.0])
    roots = np.random.default_rng(seed).choice(scale, 2 * seconds)
    return np.concatenate([sum(note(root * k, 0.5, decay) for k in chord) for root in roots])


def silent(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE))


def around(x: np.ndarray) -> np.ndarray:
    """With two seconds of silence on both sides: an energy detector hears it begin and end."""
    return np.concatenate([silent(2), x, silent(2)]).astype(np.float32)


def no_speech() -> dict[str, np.ndarray]:
    """Sounds of 10 to 20 s in which nobody says anything."""
    n = 20 * RATE
    beat = 0.02 + (1 + np.sin(2 * np.pi * 4 * np.arange(n) / RATE)) / 2
    hum = tone(20, 50, 0.2) + tone(20, 150, 0.1) + tone(20, 250, 0.05) + noise(20, 0.001)
    return {
        "digital silence": silent(20).astype(np.float32),
        "white noise": noise(20).astype(np.float32),
        "noise of the last bit": np.round(noise(20, 1.0)).astype(np.float32) / 32768,
        "white noise switched on": around(noise(16)),
        "pink noise switched on": around(noise(16, tilt=1)),
        "brown noise switched on": around(noise(16, tilt=2)),
        "noise that grows by 30 dB": np.concatenate([noise(5, 0.001), noise(15, 0.03)]).astype(np.float32),
        "noise with a beat": (noise(20, 0.1) * beat).astype(np.float32),
        "a tone": around(tone(16)),
        "pips": np.concatenate([np.concatenate([tone(0.4, 1000), silent(0.6)]) for _ in range(15)]).astype(np.float32),
        "three tones": around(tone(16, 200) + tone(16, 400, 0.2) + tone(16, 1000, 0.1) + noise(16, 0.01)),
        "hum": around(hum),
        "a siren": around(0.3 * np.sin(2 * np.pi * np.cumsum(600 + 300 * np.sin(np.pi * np.arange(n) / RATE)) / RATE)),
        "melody": around(music(16, 2.0, chord=(1.0,))),
        "chords": around(music(16, 1.0)),
        "an organ": around(music(16, 0.1)),
        "clicks": np.where(np.arange(n) % 4000 < 3, 0.5, 0).astype(np.float32),
    }
