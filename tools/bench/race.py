#!/usr/bin/env python3
"""How fast, against transformers on torch: the same weights, the same features, in turn, on the same machine.

    python -m tools.bench.race [--shape small] [--seconds 10] [--tokens 30] [--beams 5] [--runs 9] [--backend auto]

Makes a checkpoint of a released shape with random weights and features of noise, checks that both give the same tokens,
then lets the two generate in turn, so that a machine that slows down slows both. Prints medians and their ratio for the
encoder alone and for the whole of generate (features to tokens). EOS is kept out, so both decode every token asked for.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import s2t_np
from tools import random_checkpoint
from tools.upstream.pipe import Upstream, numbered

REST = 0.3  # seconds between runs: for a moment after its work, a thread pool keeps the processors busy waiting


def race(folder: Path, frames: int, tokens: int, beams: int, runs: int, backend: str = "auto") -> dict[str, dict]:
    """{"encoder" | "generate": {"ours": [seconds], "transformers": [seconds]}} of `runs` runs each, after one warm-up.

    Raises SystemExit if the two do not agree on the tokens: a wrong answer has no speed.
    """
    features = np.random.default_rng(0).standard_normal((frames, 80)).astype(np.float32)
    options = {"num_beams": beams, "min_length": tokens, "max_length": tokens + 1, "early_stopping": True}
    model = s2t_np.load(folder, backend=backend)
    times = {work: {"ours": [], "transformers": []} for work in ("encoder", "generate")}
    with Upstream() as upstream:
        arrays = numbered("features", [features])
        for _ in range(runs + 1):
            time.sleep(REST)
            theirs, seconds = upstream("seconds", arrays, folder=str(folder), **options)[0]
            time.sleep(REST)
            ours, own = timed(model, features, options)
            if list(ours) != theirs:
                raise SystemExit(f"the two disagree: {ours} and {theirs}")
            for work in times:
                times[work]["transformers"].append(seconds[work])
                times[work]["ours"].append(own[work])
    return {work: {who: run[1:] for who, run in both.items()} for work, both in times.items()}


def timed(model: s2t_np.S2T, features: np.ndarray, options: dict) -> tuple[tuple[int, ...], dict[str, float]]:
    """Tokens of the best hypothesis, and the seconds that the encoder alone and the whole of generate took."""
    began = time.perf_counter()
    model.encode(features)
    encoded = time.perf_counter()
    tokens = model.generate(features, **options)[0].tokens
    return tokens, {"encoder": encoded - began, "generate": time.perf_counter() - encoded}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="small", choices=["small", "medium", "large"])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--tokens", type=int, default=30)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--backend", default="auto")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / o.shape
        random_checkpoint.write_checkpoint(folder, random_checkpoint.shape_config(o.shape))
        times = race(folder, round(o.seconds * 100) - 2, o.tokens, o.beams, o.runs, o.backend)
    for work, both in times.items():
        ours, theirs = (statistics.median(both[who]) for who in ("ours", "transformers"))
        print(
            f"{work}: s2t-np {1e3 * ours:.0f} ms, transformers {1e3 * theirs:.0f} ms, {theirs / ours:.2f} times faster"
        )


if __name__ == "__main__":
    main()
