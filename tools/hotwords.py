#!/usr/bin/env python3
"""The use and the harm of hotwords, by their weight: each digit once as the only hotword, over recordings in noise.

    python -m tools.hotwords [--corpus ../shared/audio/digits-test/manifest.tsv] [--noise 5] [--count 40] [--beams 5]

For each weight: the share of the hotword's occurrences that is heard, how often it is heard where something else was
said (per 100 other words), and the word error rate of all words. Weight 0 is a search without hotwords.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np import audio
from s2t_np.evaluation.corpus import read_corpus
from s2t_np.evaluation.distance import align, count_errors

DIGITS = "zero one two three four five six seven eight nine".split()
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


def in_noise(samples: np.ndarray, decibels: float, seed: int) -> np.ndarray:
    """Samples (N,) with white noise that many dB below them."""
    level = np.sqrt(np.mean(np.square(samples))) * 10 ** (-decibels / 20)
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    return (samples + level * noise).astype(np.float32)


def table(model, recordings: list[tuple[np.ndarray, list[str]]], beams: int) -> None:
    """Print a line for each weight. `recordings`: features (T, M) and the words that are said."""
    memories = [(model.encode(features), words) for features, words in recordings]
    print("weight  heard  elsewhere/100  WER")
    for weight in WEIGHTS:
        right = said = false = others = errors = total = 0
        for word in DIGITS:
            options = {"hotwords": f"{word}:{weight}"} if weight else {}
            for memory, words in memories:
                best = model.generate_from(memory, num_beams=beams, **options)[0]
                heard = model.tokenizer.decode(best.tokens).split()
                counts, found = Counter(words)[word], Counter(heard)[word]
                right, said = right + min(counts, found), said + counts
                false, others = false + max(0, found - counts), others + len(words) - counts
                errors, total = errors + count_errors(align(words, heard)).total, total + len(words)
        print(f"{weight:6.2f}  {right / said:5.1%}  {100 * false / others:13.2f}  {errors / total:5.1%}", flush=True)


def main() -> None:
    """Read the corpus and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/audio/digits-test/manifest.tsv"))
    parser.add_argument("--noise", type=float, default=5.0, help="dB below the speech (default: 5)")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--beams", type=int, default=5)
    args = parser.parse_args()
    model = s2t_np.load("digits")
    utterances = read_corpus(args.corpus).utterances
    recordings = []
    for number, utterance in enumerate(utterances[:: max(1, len(utterances) // args.count)]):
        samples = in_noise(audio.load(utterance.audio, 16000), args.noise, number)
        recordings.append((model.features_of_samples(samples), utterance.text.split()))
    table(model, recordings, args.beams)


if __name__ == "__main__":
    main()
