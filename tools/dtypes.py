#!/usr/bin/env python3
"""What it costs to keep weights in float16 or int8: logits, tokens and words against float32, on the same kernels.

    python tools/dtypes.py MODEL MANIFEST.tsv [--speech FOLDER] [--beams 5] [--dtypes float16 int8]

On MODEL, with the recordings and texts of MANIFEST (a corpus, as `s2t-np evaluate` takes it): the error of
teacher-forced logits, as a share of their standard deviation (root mean square over everything, and the largest); the
tokens of the best hypothesis that changed, by edit distance; the word error rate. With --speech, the same without words
for random weights in the shape of the released s2t-small on all FLAC files below FOLDER, 40 tokens each: the worst
case, for nothing there is certain.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import s2t_np
from s2t_np.evaluation import align, count_errors, read_corpus
from tools import random_checkpoint

REFERENCE = "float32"


class Heard(NamedTuple):
    """What one model makes of one recording."""

    tokens: list[int]
    text: str
    logits: np.ndarray  # (U, V) of the reference's tokens


class Cost(NamedTuple):
    """One row of the table."""

    rms: float  # r.m.s. of the logits' error, in standard deviations of the reference's logits
    largest: float
    changed: int  # tokens
    tokens: int  # tokens of the reference
    recordings: int  # with changed tokens
    word_errors: int


def hear(model: s2t_np.S2T, path: Path, forced: list[int] | None, options: dict) -> Heard:
    """Transcribe, then teacher-force the reference's tokens, or one's own where there are none."""
    memory = model.encode(model.features(path))
    best = s2t_np.search.generate(model.decoder(memory), model.generation_config.replace(**options), ())[0]
    tokens = [int(token) for token in best.tokens]
    inputs = [model.config.decoder_start_token_id, *(forced or tokens)[:-1]]
    return Heard(tokens, model.tokenizer.decode(tokens), model.logits(memory, inputs))


def compare(reference: list[Heard], found: list[Heard], texts: list[str]) -> Cost:
    """The cost of `found` over all recordings; texts are what was said."""
    errors = np.concatenate([(b.logits - a.logits).ravel() for a, b in zip(reference, found, strict=True)])
    spread = np.concatenate([a.logits.ravel() for a in reference]).std()
    changed = [count_errors(align(a.tokens, b.tokens)).total for a, b in zip(reference, found, strict=True)]
    pairs = zip(texts, found, strict=True)
    wrong = sum(count_errors(align(text.split(), b.text.split())).total for text, b in pairs)
    rms = float(np.sqrt(np.mean(np.square(errors, dtype=np.float64))) / spread)
    largest, recordings = float(np.abs(errors).max() / spread), sum(map(bool, changed))
    return Cost(rms, largest, sum(changed), sum(len(a.tokens) for a in reference), recordings, wrong)


def costs(folder: str, paths: list[Path], texts: list[str], dtypes: list[str], **options) -> dict[str, Cost]:
    """The cost of each dtype, the reference's own (its word errors) first."""
    model = s2t_np.load(folder, backend="numba")
    reference = [hear(model, path, None, options) for path in paths]
    rows = {REFERENCE: compare(reference, reference, texts)}
    for dtype in dtypes:
        model = s2t_np.load(folder, backend="numba", dtype=dtype)
        found = [hear(model, path, own.tokens, options) for path, own in zip(paths, reference, strict=True)]
        rows[dtype] = compare(reference, found, texts)
    return rows


def print_table(title: str, rows: dict[str, Cost], recordings: int, words: int) -> None:
    """As Markdown; without words there is no word error rate."""
    print(f"\n{title}\n\n| dtype | logits r.m.s. | largest | tokens changed | in recordings | WER |")
    print("|---" * 6 + "|")
    for dtype, c in rows.items():
        changed = f"{c.changed} of {c.tokens} | {c.recordings} of {recordings}"
        wer = f"{100 * c.word_errors / words:.2f} %" if words else "-"
        print(f"| {dtype} | {100 * c.rms:.3f} % | {100 * c.largest:.2f} % | {changed} | {wer} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--speech", type=Path, help="recordings for random weights")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", default=["float16", "int8"])
    o = parser.parse_args()
    corpus = read_corpus(o.manifest).utterances
    paths, texts = [utterance.audio for utterance in corpus], [utterance.text for utterance in corpus]
    found = costs(o.model, paths, texts, o.dtypes, num_beams=o.beams)
    print_table(f"{o.model}, {len(paths)} recordings", found, len(paths), sum(len(text.split()) for text in texts))
    if o.speech and (paths := sorted(o.speech.rglob("*.flac"))):
        with tempfile.TemporaryDirectory() as scratch:
            folder = random_checkpoint.write_checkpoint(Path(scratch) / "m", random_checkpoint.shape_config("small"))
            options = {"num_beams": o.beams, "max_length": 41}
            found = costs(str(folder), paths, [""] * len(paths), o.dtypes, **options)
        print_table(f"random weights, {len(paths)} recordings of speech", found, len(paths), 0)


if __name__ == "__main__":
    main()
