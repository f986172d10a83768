"""The figures of an evaluation, for each part of the corpus and over all, as records and as a table.

Error rates add up: errors of all utterances over the length of all references. BLEU and chrF are computed on a part as
a whole. RTF is the real-time factor: computing time divided by the duration of the recordings.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .distance import DELETION, HIT, INSERTION, SUBSTITUTION, Errors, Step
from .report import Outcome
from .translation import TranslationMetric, translation_metric

METRICS = ("wer", "cer", "bleu", "chrf")
ERROR_RATES = ("wer", "cer")
MARKS = {HIT: " ", SUBSTITUTION: "S", DELETION: "D", INSERTION: "I"}


class Column(NamedTuple):
    """One column of the table: a figure, under a heading."""

    key: str
    heading: str
    width: int
    digits: int


FILES, WORDS, RTF = Column("files", "files", 7, 0), Column("words", "words", 8, 0), Column("rtf", "RTF", 8, 4)
KINDS = (Column("substitutions", "sub", 7, 2), Column("deletions", "del", 7, 2), Column("insertions", "ins", 7, 2))
WER, CER, WRONG = Column("wer", "WER %", 8, 2), Column("cer", "CER %", 8, 2), Column("wrong", "wrong %", 9, 1)
COLUMNS = {
    "wer": (FILES, WORDS, WER, *KINDS, CER, WRONG, RTF),
    "cer": (FILES, Column("characters", "chars", 8, 0), CER, *KINDS, WER, WRONG, RTF),
}


class Summary:
    """Sums outcomes up in one metric of METRICS. Raises OptionError where the metric's package is not installed."""

    def __init__(self, metric: str = "wer"):
        self.metric = metric
        self.translation: TranslationMetric | None = None
        if metric not in ERROR_RATES:
            self.translation = translation_metric(metric)

    @property
    def signature(self) -> str | None:
        """sacrebleu's signature; None for an error rate."""
        return self.translation.signature if self.translation else None

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the table shows."""
        if self.translation is None:
            return COLUMNS[self.metric]
        return (FILES, WORDS, Column(self.translation.key, self.translation.heading, 8, 2), RTF)

    def records(self, outcomes: Iterable[Outcome]) -> list[dict]:
        """The figures of each part of the corpus, if it has several, and of all: {"group": name, "files": ...}."""
        outcomes = list(outcomes)
        groups = sorted({outcome.group for outcome in outcomes} - {""})
        parts = [(group, [o for o in outcomes if o.group == group]) for group in groups if len(groups) > 1]
        parts.append((groups[0] if len(groups) == 1 else "all", outcomes))
        return [{"group": name} | self.figures(members) for name, members in parts]

    def figures(self, outcomes: Sequence[Outcome]) -> dict[str, float]:
        """The figures of one part: rates in per cent, `files`, `words` and `characters` as counts."""
        words = sum((o.words for o in outcomes), Errors())
        time = sum(o.seconds for o in outcomes) / max(1e-9, sum(o.duration for o in outcomes))
        counts = {"files": len(outcomes), "words": words.length}
        if self.translation is not None:
            texts = [o.hypothesis for o in outcomes], [o.reference for o in outcomes]
            return counts | {self.translation.key: self.translation.score(*texts), "rtf": time}
        characters = sum((o.characters for o in outcomes), Errors())
        wrong = 100 * sum(o.words.total > 0 for o in outcomes) / max(1, len(outcomes))
        rates = {"wer": 100 * words.rate, "cer": 100 * characters.rate, "wrong": wrong, "rtf": time}
        shares = shares_of(words if self.metric == "wer" else characters)
        return counts | {"characters": characters.length} | rates | shares

    def table(self, outcomes: Iterable[Outcome]) -> str:
        """A row for each of `records`, below the names of the columns."""
        head = " " * 12 + "".join(column.heading.rjust(column.width) for column in self.columns)
        return "\n".join([head, *map(self.row, self.records(outcomes))])

    def row(self, record: dict) -> str:
        """One line of the table."""
        return f"{record['group']:<12}" + "".join(f"{record[c.key]:>{c.width}.{c.digits}f}" for c in self.columns)


def shares_of(errors: Errors) -> dict[str, float]:
    """The errors of each kind in per cent of the reference's length."""
    return {
        kind: 100 * getattr(errors, kind) / max(1, errors.length)
        for kind in ("substitutions", "deletions", "insertions")
    }


def show_alignment(steps: list[Step]) -> str:
    """Three lines, words above each other: reference, hypothesis, and S, D or I where they differ."""
    rows = (["REF"], ["HYP"], ["   "])
    for step in steps:
        cells = (step.reference or "", step.hypothesis or "", MARKS[step.kind])
        width = max(map(len, cells))
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell.ljust(width))
    return "\n".join(" ".join(row).rstrip() for row in rows)
