"""One measurement of tools/bench/growth.py, in a process of its own: seconds, seconds of the processor, peak memory.

    python -m tools.bench.growth_point '{"kind": "whole", "folder": ..., "seconds": 10, ...}'

Prints a line of JSON. The model is loaded, and everything is run once at a small size, before the clock starts. Peak
memory is VmHWM: of the whole process, interpreter and weights included.
"""

import contextlib
import io
import json
import re
import sys
import time
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np.cli import main as cli_main

from .processes import write_speech

TOKENS_A_SECOND = 3
SHORT = 1.0  # seconds of a short file, and of what warms up


def options(seconds: float, beams: int) -> dict:
    """The options of a search that finds just 3 tokens a second, as many as the decoder has positions for at most."""
    tokens = max(1, min(1000, round(TOKENS_A_SECOND * seconds)))
    return {"num_beams": beams, "early_stopping": True, "min_length": tokens, "max_length": tokens + 1}


def noise(seconds: float, bins: int) -> np.ndarray:
    """Features (T, M)."""
    return np.random.default_rng(0).standard_normal((round(100 * seconds), bins), np.float32)


def clocks() -> np.ndarray:
    """Wall time and processor time of all threads, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def peak_megabytes() -> float:
    """VmHWM of this process; NaN where the system does not tell it."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


def whole(folder: str, seconds: float, beams: int, repeats: int = 1, **_) -> dict[str, np.ndarray]:
    """Features of that length through the encoder, then through all of generate; the best of `repeats` turns."""
    model, times = s2t_np.load(folder), {"encoder": [], "generate": []}
    bins = model.config.input_feat_per_channel
    model.generate(noise(SHORT, bins), **options(SHORT, beams))
    x = noise(seconds, bins)
    for _turn in range(repeats):
        began = clocks()
        model.encode(x)
        encoded = clocks()
        model.generate(x, **options(seconds, beams))
        times["encoder"].append(encoded - began)
        times["generate"].append(clocks() - encoded)
    return {name: np.min(values, axis=0) for name, values in times.items()}


def uncut(folder: str, seconds: float, **_) -> dict[str, np.ndarray]:
    """Features of that length through the encoder alone, once."""
    model = s2t_np.load(folder)
    bins = model.config.input_feat_per_channel
    model.encode(noise(SHORT, bins))
    x, began = noise(seconds, bins), clocks()
    model.encode(x)
    return {"encoder": clocks() - began}


def transcribed(folder: str, paths: list[Path], tokens: int) -> dict[str, np.ndarray]:
    """The command `transcribe` over those files."""
    limits = ["--min-length", str(tokens), "--max-length", str(tokens + 1)]
    began = clocks()
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli_main(["transcribe", "--model", folder, *limits, *map(str, paths)])
    if code:
        raise SystemExit(f"transcribe ended with {code}")
    return {"transcribe": clocks() - began}


def segments(folder: str, seconds: float, scratch: str, **_) -> dict[str, np.ndarray]:
    """One recording of that length, cut where it is silent, with 12 tokens for each of its segments of 4 s or so."""
    return transcribed(folder, [write_speech(Path(scratch) / "long.wav", seconds)], 12)


def files(folder: str, count: int, scratch: str, **_) -> dict[str, np.ndarray]:
    """That many recordings of a second, with 3 tokens each."""
    paths = [Path(scratch) / f"{i}.wav" for i in range(count)]
    write_speech(paths[0], SHORT)
    for path in paths[1:]:
        path.write_bytes(paths[0].read_bytes())
    return transcribed(folder, paths, 3)


KINDS = {function.__name__: function for function in (whole, uncut, segments, files)}


def point(kind: str, **arguments) -> dict:
    """{"times": {what: [wall, processor]}, "megabytes": peak}."""
    times = KINDS[kind](**arguments)
    return {"times": {name: list(pair) for name, pair in times.items()}, "megabytes": peak_megabytes()}


if __name__ == "__main__":
    print(json.dumps(point(**json.loads(sys.argv[1]))))
