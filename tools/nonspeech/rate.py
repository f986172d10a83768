"""How much text a model invents where there is no speech, and how much speech the same options lose."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2t_np.evaluation.corpus import read_corpus
from s2t_np.evaluation.distance import align, count_errors
from s2t_np.longform.options import StreamOptions

from .parts import RATE

HEAD = f"{'':17}{'pieces':>7}{'minutes':>9}{'with text':>11}{'words/min':>11}{'doubted':>9}"


@dataclass
class Invented:
    """What was written where there is no speech."""

    pieces: int = 0
    minutes: float = 0.0
    with_text: int = 0
    words: int = 0
    doubted: int = 0  # pieces whose text carries a flag

    def note(self, samples: np.ndarray, text: str, flags: tuple[str, ...]) -> None:
        """Count one piece."""
        self.pieces += 1
        self.minutes += len(samples) / RATE / 60
        self.with_text += bool(text)
        self.words += len(text.split())
        self.doubted += bool(text and flags)

    def row(self, name: str) -> str:
        """A line of the table."""
        share, rate = self.with_text / max(1, self.pieces), self.words / max(self.minutes, 1e-9)
        doubted = f"{self.doubted / self.with_text:.0%}" if self.with_text else "-"
        return f"{name:17}{self.pieces:>7}{self.minutes:>9.1f}{share:>11.1%}{rate:>11.1f}{doubted:>9}"


def invented(
    model, pieces: Iterable[tuple[str, np.ndarray]], options: StreamOptions, beams: int
) -> dict[str, Invented]:
    """What the model writes for pieces of sound, by kind; under "all" for all of them."""
    found, named = {"all": Invented()}, list(pieces)
    transcripts = model.transcribe_batch([x for _, x in named], RATE, options, num_beams=beams)
    for (kind, x), transcript in zip(named, transcripts, strict=True):
        for name in (kind, "all"):
            found.setdefault(name, Invented()).note(x, transcript.text.strip(), transcript.flags)
    found["all"] = found.pop("all")  # last
    return found


def report(found: dict[str, Invented]) -> Iterator[str]:
    """The lines of the table."""
    yield HEAD
    yield from (count.row(kind) for kind, count in found.items())


def lost(model, corpus: Path, options: StreamOptions, beams: int, most: int) -> str:
    """A line about speech heard with the same options: how many utterances became empty, and the word error rate."""
    utterances = read_corpus(corpus).utterances
    utterances = utterances[:: max(1, len(utterances) // most)]
    transcripts = model.transcribe_batch([u.audio for u in utterances], None, options, num_beams=beams)
    empty = errors = words = 0
    for utterance, transcript in zip(utterances, transcripts, strict=True):
        said = utterance.text.split()
        empty += bool(said) and not transcript.text.strip()
        errors, words = errors + count_errors(align(said, transcript.text.split())).total, words + len(said)
    return f"{corpus}: {len(utterances)} utterances, {empty} without text, word error rate {errors / max(1, words):.2%}"
