"""A corpus of a few synthetic words, a tiny shape, and a run on them: for the tests of the loop and the command."""

import json
from pathlib import Path

import numpy as np
import soundfile

from tools.signals import harmonics

RATE = 16000
WORDS = ("ba", "de", "gi", "ko", "mu")
SHAPE = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "conv_channels": 16,
    "input_feat_per_channel": 10,
    "max_target_positions": 30,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.1,
}


def write_corpus(folder: Path, count: int = 8) -> Path:
    """Recordings of half a second and more, and a table; the text of each is one of WORDS, twice."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["id\taudio\ttext\n"]
    for i in range(count):
        samples = harmonics(i % len(WORDS), 0.4 + 0.05 * i)
        soundfile.write(folder / f"{i}.wav", np.asarray(samples, np.float32), RATE)
        rows.append(f"{i}\t{i}.wav\t{WORDS[i % len(WORDS)].upper()} {WORDS[i % len(WORDS)]}\n")
    table = folder / "corpus.tsv"
    table.write_text("".join(rows))
    (folder / "config.json").write_text(json.dumps(SHAPE))
    return table


def arguments(table: Path, run: Path, *more: str) -> list[str]:
    """A command line that trains on the corpus from nothing, in a second or two."""
    fixed = [
        "--vocab-size",
        "20",
        "--max-tokens",
        "100",
        "--lr",
        "0.003",
        "--warmup-updates",
        "10",
        "--ctc-weight",
        "0.3",
    ]
    fixed += ["--valid-utterances", "2", "--log-interval", "2", "--backend", "numpy", "--threads", "1"]
    config = str(table.parent / "config.json")
    begin = ["train", "--config", config, "--train", str(table), "--valid", str(table), "-o", str(run)]
    return [*begin, *fixed, *more]


QUIET = ("--threads", "1", "--backend", "numpy", "--valid-utterances", "2")


def resume(run, folder, *more):
    return run("train", "--resume", "-o", folder, *QUIET, *more)


def log_of(folder):
    """The lines of a log without what was measured by a clock."""
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())  # every line is whole
    return [{name: line[name] for name in line if name not in ("seconds", "frames_per_second")} for line in lines]
