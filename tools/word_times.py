#!/usr/bin/env python3
"""The error of word times, on speech whose word times are known (tools/timed_words.py).

    python tools/word_times.py [--fsdd ../shared/audio/fsdd/recordings] [--espeak] [--count 60] [--backend auto]

For each condition: how many utterances were transcribed without error (only these are counted), how many words they
have, and of their starts and ends the median and the 90 % point of the absolute error and the median error (ms).
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import s2t_np
from s2t_np.longform.word_times import align
from tools.timed_words import CONDITIONS, Timed, digits, synthesised


class Errors(NamedTuple):
    """The errors measured in one condition."""

    heard: int  # utterances transcribed without error
    utterances: int
    seconds: np.ndarray  # (W, 2) found minus true, start and end, of all words of the utterances heard


def words_of(model, samples: np.ndarray):
    """The words of an utterance, samples (N,)."""
    features = model.features_of_samples(samples)
    return align(model, features, model.encode(features), model.generate(features)[0])


def measure(model, utterances: Iterable[Timed]) -> Errors:
    """Transcribe and align all utterances, and compare with the truth."""
    errors, count = [], 0
    for utterance in utterances:
        count += 1
        words = words_of(model, utterance.samples)
        if [word.text for word in words] == utterance.words:
            errors.append([(word.start, word.end) for word in words] - utterance.times)
    return Errors(len(errors), count, np.concatenate([np.empty((0, 2)), *errors]))


def row(name: str, errors: Errors) -> str:
    """A line of the table."""
    cells = [f"{name:14}", f"{errors.heard:4} of {errors.utterances:<4}", f"{len(errors.seconds):5}"]
    for ms in 1000 * errors.seconds.T:
        size = np.abs(ms)
        cells.append(f"{np.median(size):8.0f} {np.percentile(size, 90):6.0f} {np.median(ms):+6.0f}")
    return "  ".join(cells)


def conditions(options):
    """The conditions asked for: yields a name and its utterances."""
    if options.espeak:
        yield "espeak-ng", synthesised(options.count)
    if options.fsdd.exists():
        for name in CONDITIONS:
            yield name, digits(options.fsdd, name, options.count)
    else:
        print(f"{options.fsdd} is not there: no real digits")


def main():
    """Measure every condition, and all of them together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(__file__).resolve().parent.parent.parent / "shared"
    parser.add_argument("--fsdd", type=Path, default=shared / "audio" / "fsdd" / "recordings")
    parser.add_argument("--espeak", action="store_true", help="running speech by libespeak-ng as well")
    parser.add_argument("--count", type=int, default=60, help="utterances of a condition")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    model, every = s2t_np.load("digits", backend=options.backend), []
    print("condition       heard right  words     start: median, 90 %, bias    end: median, 90 %, bias (ms)")
    for name, utterances in conditions(options):
        every.append(measure(model, utterances))
        print(row(name, every[-1]), flush=True)
    if every:
        heard, count, seconds = zip(*every, strict=True)
        print(row("all", Errors(sum(heard), sum(count), np.concatenate(seconds))))


if __name__ == "__main__":
    main()
