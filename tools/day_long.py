"""A day of sound in one file above 4 GB, and what it costs to transcribe it.

    python -m tools.day_long make FILE [--hours 24] [--every 60]      RF64, 32-bit floats at 16 kHz: 5.5 GB for 24 h
    python -m tools.day_long hear FILE [--model digits] [--beams 5]   prints time and memory, and judges each hour

The bundled recordings take turns, one each minute or so, in silence that takes no room on the disk (a sparse file).
Every hour holds the same sound, so its segments must be those of the first hour, 3600 s later each time.
"""

import argparse
import itertools
import struct
import sys
import time
from pathlib import Path

import numpy as np

RATE, WIDTH = 16000, 4  # Hz, bytes of a sample
RECORDINGS = Path(__file__).resolve().parent.parent / "s2t_np" / "recordings"
HOUR = 3600


def header(samples: int) -> bytes:
    """The bytes before the sound (EBU Tech 3306): RF64, ds64 with the true lengths, fmt, data."""
    size = samples * WIDTH
    form = struct.pack("<HHIIHH", 3, 1, RATE, RATE * WIDTH, WIDTH, 8 * WIDTH)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 72 + size, size, samples, 0)
    chunks = b"WAVE" + ds64 + b"fmt " + struct.pack("<I", len(form)) + form + b"data\xff\xff\xff\xff"
    return b"RF64\xff\xff\xff\xff" + chunks


def make(path: Path, hours: float, every: float) -> None:
    """Write the file."""
    from s2t_np import audio

    spoken = [audio.load(file, RATE).astype("<f4") for file in sorted(RECORDINGS.glob("*.flac"))]
    samples = round(hours * HOUR * RATE)
    before = header(samples)
    with open(path, "wb") as file:
        file.write(before)
        file.truncate(len(before) + samples * WIDTH)
        for number in range(int(hours * HOUR / every)):
            begin = round((number + 0.5) * every * RATE)
            x = spoken[round(number * every) % HOUR // max(1, round(every)) % len(spoken)]
            file.seek(len(before) + begin * WIDTH)
            file.write(x[: max(0, samples - begin)].tobytes())


def peak_memory() -> int:
    """The most memory of this process so far, in megabytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) >> 10


def differing_hours(found: list[tuple[float, float, str]]) -> list[int]:
    """The hours whose segments (start and end in seconds, text) are not those of the first hour, shifted.

    The last hour may be a part of one.
    """
    hours = [list(group) for _, group in itertools.groupby(found, lambda segment: segment[0] // HOUR)]
    counts = [len(hours[0])] * len(hours)
    counts[-1] = len(hours[-1])
    shifted = [[(b - HOUR * n, e - HOUR * n, text) for b, e, text in hour] for n, hour in enumerate(hours)]
    return [n for n, hour in enumerate(shifted) if len(hour) != counts[n] or not alike(hour, shifted[0])]


def alike(one: list, other: list) -> bool:
    """Whether the segments that both have agree, up to a millisecond."""
    pairs = zip(one, other, strict=False)
    return all(a[2] == b[2] and np.allclose(a[:2], b[:2], rtol=0, atol=1e-3) for a, b in pairs)


def hear(path: Path, name: str, beams: int) -> bool:
    """Transcribe the file and print what it cost; whether every hour is like the first."""
    import s2t_np

    model = s2t_np.load(name)
    print(f"{path}: {path.stat().st_size / 2**30:.2f} GiB; the model is loaded: {peak_memory()} MB", flush=True)
    begun, found = time.perf_counter(), []
    for segment in model.stream(path, num_beams=beams):
        found.append((segment.start, segment.end, segment.text))
        if len(found) % 200 == 0:
            spent = time.perf_counter() - begun
            print(f"{segment.end / HOUR:6.2f} h  {spent:7.1f} s  {peak_memory():5} MB", flush=True)
    differing = differing_hours(found)
    said = "every hour is like the first" if not differing else f"hours {differing} are not like the first"
    print(f"{len(found)} segments, {time.perf_counter() - begun:.1f} s, {peak_memory()} MB at most; {said}")
    return not differing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "hear"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--every", type=float, default=60, help="seconds from one recording to the next; divides 3600")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--beams", type=int, default=5)
    asked = parser.parse_args()
    if asked.what == "make":
        make(asked.file, asked.hours, asked.every)
        return 0
    return 0 if hear(asked.file, asked.model, asked.beams) else 1


if __name__ == "__main__":
    sys.exit(main())
