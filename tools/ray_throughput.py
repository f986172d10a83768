#!/usr/bin/env python3
"""Utterances a second of two Ray workers on this machine, against those of one: the same recordings, in turn.

    python -m tools.ray_throughput [--workers 1 2] [--recordings 64] [--seconds 10] [--shape small] [--rounds 3]

Needs Ray (pip install ray) and as many quiet cores as there are workers; each worker computes in one thread. A cluster
is started for each run; its workers load the model, and compile the kernels where they are not, over recordings that
are not timed. Weights are random and every text has three tokens a second, so the work does not depend on the sound,
which is the bundled speech. Prints a line for each run, then medians and their ratios.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

import s2t_np
from s2t_np.batch.inputs import Input
from s2t_np.batch.on_ray import PER_WIDTH, in_shares
from s2t_np.batch.run import Task
from s2t_np.errors import S2TError
from s2t_np.longform.options import StreamOptions
from s2t_np.together import Sharing
from tools import random_checkpoint

TOKENS_A_SECOND = 3
RATE = 16_000
SPEECH = Path(s2t_np.__file__).parent / "recordings"


def write_recordings(folder: Path, count: int, seconds: float) -> list[Input]:
    """`count` recordings of that length, each from another place of the bundled speech on."""
    speech = np.concatenate([s2t_np.audio.load(path, RATE) for path in sorted(SPEECH.glob("*.flac"))])
    length, found = round(seconds * RATE), []
    for number in range(count):
        samples = np.resize(np.roll(speech, -number * RATE), length)
        soundfile.write(folder / f"{number:04}.wav", samples, RATE, "PCM_16")
        found.append(Input(str(folder / f"{number:04}.wav"), f"{number:04}"))
    return found


def task_of(model: s2t_np.S2T, seconds: float) -> Task:
    """Greedy search for TOKENS_A_SECOND, over recordings that are heard uncut."""
    tokens = round(TOKENS_A_SECOND * seconds)
    generation = {"num_beams": 1, "min_length": tokens, "max_length": tokens + 1}
    options = StreamOptions(max_whole_duration=2 * seconds, vad_filter=False, logprob_threshold=None)
    return Task(model, options, generation, sharing=Sharing(model.batch_size(**generation)))


def seconds_of(workers: int, task: Task, inputs: list[Input]) -> float:
    """Seconds that a cluster of that many cores takes for all inputs, its workers being ready. Raises SystemExit."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        list(in_shares(ray, task, inputs[: 2 * workers * PER_WIDTH * task.width]))
        began = time.perf_counter()
        results = list(in_shares(ray, task, inputs))
        taken = time.perf_counter() - began
    finally:
        ray.shutdown()
    if failed := [result for result in results if not hasattr(result, "text")]:
        raise SystemExit(f"{len(failed)} recordings failed, the first: {failed[0]}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--recordings", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--shape", default="small", choices=list(random_checkpoint.SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    taken: dict[int, list[float]] = {workers: [] for workers in args.workers}
    with tempfile.TemporaryDirectory() as folder:
        random_checkpoint.write_checkpoint(Path(folder, "model"), random_checkpoint.shape_config(args.shape))
        inputs = write_recordings(Path(folder), args.recordings, args.seconds)
        task = task_of(s2t_np.load(Path(folder, "model")), args.seconds)
        for _ in range(args.rounds):
            for workers in args.workers:
                taken[workers].append(seconds_of(workers, task, inputs))
                print(f"{workers} workers: {taken[workers][-1]:.2f} s", flush=True)
    medians = {workers: statistics.median(times) for workers, times in taken.items()}
    for workers, median in medians.items():
        rate, times = args.recordings / median, medians[args.workers[0]] / median
        print(f"{workers} workers: {rate:.2f} utterances a second, {times:.2f} x those of {args.workers[0]}")


if __name__ == "__main__":
    try:
        main()
    except S2TError as error:
        raise SystemExit(f"ray_throughput: {error}") from None
