#!/usr/bin/env python3
"""Word error rate of a model on a list of recordings.

    python tools/wer.py MODEL MANIFEST.tsv [--beams 5] [--backend auto]

MANIFEST is tab-separated with a header row that names the columns `audio` (path relative to the manifest) and `text`.
Recordings are grouped by the part of `id` before the first dash, if there is such a column. Prints one line a group:
word error rate = (substitutions + deletions + insertions) / reference words.
"""

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import s2t_np


def word_errors(reference: list[str], hypothesis: list[str]) -> int:
    """Levenshtein distance between two lists of words, row by row of the usual table."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def read_manifest(path: Path) -> list[dict]:
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows or not {"audio", "text"} <= rows[0].keys():
        sys.exit(f"{path}: expected a header row with the columns audio and text, and at least one recording")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    rows = read_manifest(options.manifest)
    model = s2t_np.load(options.model, backend=options.backend)
    errors, words, count = defaultdict(int), defaultdict(int), defaultdict(int)
    for row in rows:
        said = model.transcribe(options.manifest.parent / row["audio"], num_beams=options.beams).text
        for group in {row.get("id", "all").split("-")[0], "all"}:
            errors[group] += word_errors(row["text"].split(), said.split())
            words[group] += len(row["text"].split())
            count[group] += 1
    for group in sorted(errors):
        rate = 100 * errors[group] / max(1, words[group])
        print(f"{group}: {count[group]} recordings, {words[group]} words, {errors[group]} errors, WER {rate:.2f} %")


if __name__ == "__main__":
    main()
