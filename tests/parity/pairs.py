"""What the parity tests of model and search share: one upstream process, checkpoints both sides load, sound for both.

The models are the bundled one, which says something, and one of the released s2t-small shape with random weights.
Sound is the speech of ../shared; where that is missing, seeded harmonics of the same lengths (tools/signals.py).
"""

import atexit
import functools
import tempfile
from pathlib import Path

import numpy as np

from s2t_np import audio
from tests.support.paths import CHECKPOINT_CONFIGS, DIGITS, LIBRISPEECH, SHARED
from tools.parity import Pair, load_pair
from tools.random_checkpoint import shape_config, write_checkpoint
from tools.signals import harmonics
from tools.upstream.pipe import Upstream

RATE = 16000
SMALL = "s2t-small-librispeech-asr"
SOURCE = "../shared" if LIBRISPEECH.exists() else "no ../shared: synthetic sound"


@functools.cache
def upstream() -> Upstream:
    """The process that has torch, started once for all tests."""
    process = Upstream(threads=1)
    atexit.register(process.close)
    return process


@functools.cache
def small_folder() -> Path:
    """A checkpoint in the released shape, removed at the end."""
    scratch = tempfile.TemporaryDirectory(prefix="s2t-parity-")
    atexit.register(scratch.cleanup)
    real = CHECKPOINT_CONFIGS / SMALL / "config.json"
    return write_checkpoint(Path(scratch.name), shape_config(str(real) if real.exists() else "small"))


@functools.cache
def pair(name: str, backend: str = "numpy") -> Pair:
    """Both sides of "small" or "digits"."""
    return load_pair(str(small_folder() if name == "small" else DIGITS), upstream(), backend)


@functools.cache
def speech() -> list[np.ndarray]:
    """Sixty utterances, shortest first: (N,) each, 16 kHz."""
    files = sorted(LIBRISPEECH.rglob("*.flac"))
    found = [audio.load(path, RATE) for path in files] or [harmonics(i, 1.5 + i / 8) for i in range(60)]
    return sorted(found, key=len)


@functools.cache
def digits() -> list[np.ndarray]:
    """Forty recordings of digits being said: (N,) each, 16 kHz."""
    files = sorted((SHARED / "audio" / "digits-test").glob("*.flac"))
    step = max(1, len(files) // 40)
    return [audio.load(path, RATE) for path in files[::step][:40]] or [
        harmonics(100 + i, 1 + i / 20) for i in range(40)
    ]
