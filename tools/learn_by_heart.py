#!/usr/bin/env python3
"""Train a network from random weights until it reproduces a few recordings word for word.

    python -m tools.learn_by_heart LibriSpeech WORK [--count 20] [--shape small] [--max-update 300]

A network that cannot learn a handful of utterances by heart has a fault in its derivatives, its labels or its search.
The shortest recordings of a corpus are trained on without dropout, masks and label smoothing, by `s2t-np train`, and
transcribed by greedy search. WORK gets the table, config.json and the run. Exits with 1 unless all is right.
"""

import argparse
import json
import time
from pathlib import Path

import soundfile

import s2t_np
from s2t_np.cli import main as command
from s2t_np.evaluation import Utterance, align, count_errors, read_corpus

SILENT = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
SMALL = {"d_model": 256, "encoder_layers": 12, "decoder_layers": 6}  # the rest of s2t-small is the default
TINY = {"d_model": 64, "encoder_layers": 2, "decoder_layers": 1, "conv_channels": 64} | {
    f"{part}_{name}": size
    for part in ("encoder", "decoder")
    for name, size in {"attention_heads": 4, "ffn_dim": 128}.items()
}
SHAPES = {"small": SMALL, "tiny": TINY}
RECIPE = "--lr 1e-3 --warmup-updates 30 --lr-scheduler polynomial_decay --label-smoothing 0 --ctc-weight 0.3 "
RECIPE += "--specaugment none --max-tokens 2500 --max-epoch 100000 --save-interval 100 --keep-last 1 --vocab-size 150"


def shortest(corpus: Path, count: int) -> list[Utterance]:
    """The rows of the shortest recordings."""
    rows = read_corpus(corpus).utterances
    return sorted(rows, key=lambda row: soundfile.info(row.audio).duration)[:count]


def write_task(work: Path, rows: list[Utterance], shape: str) -> Path:
    """The table of these rows and config.json in WORK; returns the table."""
    work.mkdir(parents=True, exist_ok=True)
    table = work / "train.tsv"
    lines = [f"{row.id}\t{Path(row.audio).resolve()}\t{row.text}\n" for row in rows]
    table.write_text("id\taudio\ttext\n" + "".join(lines), encoding="utf-8")
    (work / "config.json").write_text(json.dumps(SHAPES[shape] | SILENT))
    return table


def learn(work: Path, table: Path, updates: int, threads: int) -> Path:
    """Train on the table; returns the folder of the model. Raises SystemExit where the training ends early."""
    given = ["--config", work / "config.json", "--train", table, "-o", work / "run", "--max-update", updates]
    given += ["--threads", threads, "--log-interval", 10, *RECIPE.split()]
    if command([str(part) for part in ["train", *given]]):
        raise SystemExit(f"the training did not come to its end; {work / 'run'} holds what there is")
    return work / "run" / "best"


def wrong_words(folder: Path, rows: list[Utterance]) -> tuple[int, int]:
    """Words that the model gets wrong, and all words; prints each text that is not reproduced."""
    model, wrong, words = s2t_np.load(folder), 0, 0
    for row in rows:
        expected = row.text.lower().split()
        found = model.transcribe(row.audio, num_beams=1, options=s2t_np.StreamOptions(vad_filter=False)).text.split()
        errors = count_errors(align(expected, found)).total
        wrong, words = wrong + errors, words + len(expected)
        if errors:
            print(f"{row.id}: {' '.join(found)!r}, expected {' '.join(expected)!r}")
    return wrong, words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="LibriSpeech's tree or a table")
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=20, help="recordings (20)")
    parser.add_argument("--shape", choices=SHAPES, default="small", help="of s2t-small (default), or a tiny one")
    parser.add_argument("--max-update", type=int, default=300, help="updates (300)")
    parser.add_argument("--threads", type=int, default=2)
    o = parser.parse_args()
    wall, cpu = time.monotonic(), time.process_time()
    rows = shortest(o.corpus, o.count)
    folder = learn(o.work, write_task(o.work, rows, o.shape), o.max_update, o.threads)
    took = f"{time.monotonic() - wall:.0f} s, {time.process_time() - cpu:.0f} s of processor time"
    wrong, words = wrong_words(folder, rows)
    print(f"{len(rows)} recordings, {o.max_update} updates in {took}: {wrong} of {words} words are wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
