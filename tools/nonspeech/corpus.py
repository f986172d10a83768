"""One piece of a kind by its seed: its length, its level, what is around it."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .kinds import KINDS
from .parts import RATE, noise, samples, unit

SHORTEST, LONGEST = 2.0, 10.0  # seconds
QUIETEST, LOUDEST = -30.0, -3.0  # dB of full scale: the largest value of a piece


def piece(kind: str, seed: int) -> np.ndarray:
    """A piece of 2 to 10 s, at any level, on the noise of a room, often with quiet before and after it: (N,) float32.

    The same on every machine, up to the last bits of sines and Fourier transforms.
    """
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    n = samples(rng.uniform(SHORTEST, LONGEST))
    quiet = [samples(length) if rng.random() < 0.5 else 0 for length in rng.uniform(0.1, 0.6, 2)]
    inner = KINDS[kind](rng, max(n // 2, n - sum(quiet)))
    if kind != "silence":
        inner = unit(inner) * 10 ** (rng.uniform(QUIETEST, LOUDEST) / 20)
    x = np.pad(inner, quiet)
    return (x + (kind != "silence") * noise(rng, len(x), 1) * 10 ** (rng.uniform(-80, -50) / 20)).astype(np.float32)


def pieces(count: int, seed: int, kinds=tuple(KINDS)) -> Iterator[tuple[str, np.ndarray]]:
    """`count` pieces of each kind: (kind, samples)."""
    for kind in kinds:
        for number in range(count):
            yield kind, piece(kind, (seed << 20) + number)


def write(folder: Path, count: int, seed: int, kinds=tuple(KINDS)) -> int:
    """Write the pieces as FLAC, and table.tsv (id, audio, an empty text); the number of them."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    rows, numbers = ["id\taudio\ttext\n"], dict.fromkeys(kinds, 0)
    for kind, x in pieces(count, seed, kinds):
        name = f"{kind.replace(' ', '-')}-{seed}-{numbers[kind]:04d}"
        numbers[kind] += 1
        soundfile.write(folder / f"{name}.flac", x, RATE, subtype="PCM_16")
        rows.append(f"{name}\t{name}.flac\t\n")
    (folder / "table.tsv").write_text("".join(rows), encoding="utf-8")
    return len(rows) - 1
