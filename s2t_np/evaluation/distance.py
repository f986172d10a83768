"""Edit distance with its alignment: how many words (or characters) a transcript has wrong, and which.

Wagner and Fischer 1974, "The String-to-String Correction Problem". Several alignments may be equally short and count
differently (one substitution and a hit more, or a deletion and an insertion); the one taken is that of rapidfuzz, on
which jiwer stands, so that all counts agree with jiwer's and not only their sum.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

HIT, SUBSTITUTION, DELETION, INSERTION = "hit", "substitution", "deletion", "insertion"


class Step(NamedTuple):
    """One place of an alignment."""

    kind: str
    reference: str | None  # None: an insertion
    hypothesis: str | None  # None: a deletion


class Errors(NamedTuple):
    """Counts over one utterance, or summed over many."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other):
        return Errors(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def total(self) -> int:
        """The number of errors of all kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def length(self) -> int:
        """The length of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Errors per word of the reference; of an empty one, the number of insertions (as jiwer has it)."""
        return self.total / self.length if self.length else float(self.insertions)


def rows_below(above: np.ndarray, reference: np.ndarray, hypothesis: np.ndarray) -> np.ndarray:
    """The row (H + 1,) of distances before the ids (R,), and theirs to every beginning of the ids (H,): (R + 1, H + 1).

    A row from the one above, all columns at once: what an insertion brings, the least of d[i, k] + (j - k) over k <= j,
    is a running minimum of d[i, k] - k.
    """
    columns = np.arange(len(hypothesis) + 1, dtype=np.int32)
    table = np.empty((len(reference) + 1, len(hypothesis) + 1), np.int32)
    table[0] = above
    for i, item in enumerate(reference, 1):
        above = table[i - 1]
        row = above + 1
        row[1:] = np.minimum(row[1:], above[:-1] + (hypothesis != item))
        table[i] = np.minimum.accumulate(row - columns) + columns
    return table


def kept_rows(reference: np.ndarray, hypothesis: np.ndarray, stride: int) -> list[np.ndarray]:
    """Every `stride`-th row (H + 1,) of the distances of all pairs of beginnings, the first one included."""
    rows = [np.arange(len(hypothesis) + 1, dtype=np.int32)]
    for begin in range(0, len(reference) - stride, stride):
        rows.append(rows_below(rows[-1], reference[begin : begin + stride], hypothesis)[-1].copy())
    return rows


def way_up(table: np.ndarray) -> list[tuple[int, int]]:
    """From the last cell of rows of distances to the first row: (i, j) of every cell after the last one.

    Up (a deletion) where that is as short as any; left (an insertion) where the cell to the left is one less than the
    one diagonally above; else along the diagonal.
    """
    i, j = table.shape[0] - 1, table.shape[1] - 1
    path = []
    while i:
        if j == 0 or table[i, j] == table[i - 1, j] + 1:
            i -= 1
        elif table[i, j - 1] == table[i - 1, j - 1] - 1:
            j -= 1
        else:
            i, j = i - 1, j - 1
        path.append((i, j))
    return path


def trace_back(reference: np.ndarray, hypothesis: np.ndarray) -> list[tuple[int, int]]:
    """The shortest way through the distances of ids (R,) and (H,): (i, j) of every cell on it, the last cell first.

    Of R rows about sqrt(R) are kept, and those between two of them are computed again when the way comes there: an hour
    of speech has 50,000 characters, whose whole table would be 10 GB.
    """
    stride = math.isqrt(len(reference)) + 1
    rows, j = kept_rows(reference, hypothesis, stride), len(hypothesis)
    path = [(len(reference), j)]
    for begin in reversed(range(0, len(reference), stride)):
        part = reference[begin : begin + stride]
        way = way_up(rows_below(rows[begin // stride][: j + 1], part, hypothesis[:j]))
        path += [(begin + i, j) for i, j in way]
        j = path[-1][1]
    return path + [(0, k) for k in reversed(range(j))]


def common_ends(reference: Sequence, hypothesis: Sequence) -> tuple[int, int]:
    """The lengths of the common beginning and, of the rest, of the common end."""
    shorter = min(len(reference), len(hypothesis))
    first = next((i for i in range(shorter) if reference[i] != hypothesis[i]), shorter)
    rest = shorter - first
    last = next((i for i in range(rest) if reference[-1 - i] != hypothesis[-1 - i]), rest)
    return first, last


def step_between(reference: Sequence[str], hypothesis: Sequence[str], start, end) -> Step:
    """The step between two neighbouring cells of the table."""
    (i, j), (after_i, after_j) = start, end
    if after_i == i:
        return Step(INSERTION, None, hypothesis[j])
    if after_j == j:
        return Step(DELETION, reference[i], None)
    return Step(HIT if reference[i] == hypothesis[j] else SUBSTITUTION, reference[i], hypothesis[j])


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Step]:
    """The shortest way from the words (or characters) of the reference to those of the hypothesis, in order."""
    first, last = common_ends(reference, hypothesis)
    ids = {word: n for n, word in enumerate(dict.fromkeys([*reference, *hypothesis]))}
    inside = [np.array([ids[word] for word in x[first : len(x) - last]], np.int64) for x in (reference, hypothesis)]
    path = [(first + i, first + j) for i, j in reversed(trace_back(*inside))]
    i, j = path[-1]
    cells = [(n, n) for n in range(first)] + path + [(i + n, j + n) for n in range(1, last + 1)]
    return [step_between(reference, hypothesis, a, b) for a, b in pairwise(cells)]


def count_errors(steps: Sequence[Step]) -> Errors:
    """Count the steps of an alignment by kind."""
    kinds = [step.kind for step in steps]
    return Errors(*(kinds.count(kind) for kind in (HIT, SUBSTITUTION, DELETION, INSERTION)))
