#!/usr/bin/env python3
"""The delay of partial results, and how often a word that was shown changes; sound is fed as a microphone would.

    python -m tools.partials [--corpus ../shared/audio/digits-test/manifest.tsv] [--count 20] [--interval 0.5]

The clock is that of the sound: a result is there when its sound has been fed and the time for hearing it has passed, so
that nothing has to wait in real time. For each word of a segment (its end by word times): the delay until it is first
shown, until it is stable, and until the segment has closed. Then the share of shown words, tentative and stable ones,
that the closed segment does not have at their place.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np import audio
from s2t_np.evaluation.corpus import read_corpus

RATE, FRAME = 16000, 800  # a block every 50 ms


class Microphone:
    """Blocks of a recording, and the time at which the last one was there."""

    def __init__(self, samples: np.ndarray):
        self.samples, self.fed, self.idle_since = samples, 0, time.perf_counter()
        self.now = 0.0  # seconds

    def __iter__(self) -> Iterator[np.ndarray]:
        for i in range(0, len(self.samples), FRAME):
            behind = max(0.0, self.clock() - (i + FRAME) / RATE)  # hearing took longer than the sound
            self.fed, self.now = i + FRAME, (i + FRAME) / RATE + behind
            self.idle_since = time.perf_counter()
            yield self.samples[i : i + FRAME]

    def clock(self) -> float:
        """The seconds that have passed for someone who listens."""
        return self.now + time.perf_counter() - self.idle_since


def follow(model, samples: np.ndarray, options) -> tuple[list, list]:
    """(segment, time), and for each segment [(partial, time), ...]."""
    microphone, shown, closed, each = Microphone(samples), [], [], []
    heard = model.stream_partials(
        iter(microphone), lambda partial: shown.append((partial, microphone.clock())), RATE, options
    )
    for segment in heard:
        closed.append((segment, microphone.clock()))
        each.append([one for one in shown if one[0].start == segment.start])
    return closed, each


def first_time(partials: list, index: int, word: str, stable: bool) -> float | None:
    """The time at which a word was first shown at its place."""
    for partial, at in partials:
        words = partial.stable.split() + ([] if stable else partial.tentative.split())
        if words[index : index + 1] == [word]:
            return at
    return None


def summary(name: str, delays: list[float]) -> str:
    """Median and 90 % point."""
    return f"{name}: {np.median(delays):.2f} s, 90 % {np.percentile(delays, 90):.2f} s ({len(delays)} words)"


def main() -> None:
    """Follow the recordings and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/audio/digits-test/manifest.tsv"))
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--interval", type=float, default=0.5)
    args = parser.parse_args()
    model, options = s2t_np.load("digits"), s2t_np.StreamOptions(word_timestamps=True, partial_interval=args.interval)
    utterances = read_corpus(args.corpus).utterances
    delays = {"shown": [], "stable": [], "closed": []}
    changed, total = {"tentative": 0, "stable": 0}, {"tentative": 0, "stable": 0}
    for utterance in utterances[:: max(1, len(utterances) // args.count)]:
        pause = np.zeros(RATE, np.float32)
        samples = np.concatenate([pause, audio.load(utterance.audio, RATE), pause])
        for (segment, at), partials in zip(*follow(model, samples, options), strict=True):
            final = [word.text.strip() for word in segment.words]
            for index, word in enumerate(segment.words):
                times = {
                    kind: first_time(partials, index, final[index], kind == "stable") for kind in ("shown", "stable")
                }
                for kind, seen in (times | {"closed": at}).items():
                    delays[kind] += [(at if seen is None else seen) - word.end]
            for partial, _ in partials:
                stable, rest = partial.stable.split(), partial.tentative.split()
                for kind, words, offset in (("stable", stable, 0), ("tentative", rest, len(stable))):
                    total[kind] += len(words)
                    changed[kind] += sum(final[offset + i : offset + i + 1] != [word] for i, word in enumerate(words))
    for name, found in delays.items():
        print(summary(name, found))
    for kind, count in total.items():
        print(f"{kind} words shown: {count}, not so in the end: {changed[kind] / max(1, count):.1%}")


if __name__ == "__main__":
    main()
