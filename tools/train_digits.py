#!/usr/bin/env python3
"""The recipe of the bundled `digits` model: a small S2T that writes down spoken English digits.

    python -m tools.train_digits speak WORK [--count 4000]       synthesise voices (espeak-ng and flite)
    python -m tools.train_digits mix   WORK --fsdd DIR [--other DIR ...] [--count 24000] [--test-count 200]
    s2t-np train --config WORK/config.json --vocab-size 48 --train WORK/train.tsv --valid WORK/valid.tsv -o WORK/run \\
        --lr 1.2e-3 --warmup-updates 600 --max-epoch 10 --curriculum 1 --ctc-weight 0.5 --max-time-mask 9

`mix` writes recordings and their tables, and config.json, the shape of the network: the released architecture in small,
2.3 million parameters. `--other` are folders of speech of other words; it is heard in the background, and alone with
an empty text. The CTC loss makes the attention find the alignment, which it does not in hours by itself; masks over
time must stay shorter than a digit. A second run --from the first one's average, with --lr 3e-4
--lr-scheduler polynomial_decay --max-update N, takes the noise out of the weights (docs/training.md). Needs espeak-ng
and flite.
"""

import argparse
import json
from functools import lru_cache, partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from tools.digits_data import HELD, RATE, Mixer, speak

BLOCK = 200  # utterances that a process mixes with one seed
TEST_SEED = 1 << 20  # no block of the training data has it
SHAPE = {
    "d_model": 128,
    "encoder_layers": 6,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 512,
    "decoder_ffn_dim": 512,
    "conv_channels": 256,
    "max_source_positions": 1500,
    "max_target_positions": 128,
    "dropout": 0.1,
    "attention_dropout": 0.1,
}


def write_block(folder: Path, name: str, pairs) -> list[str]:
    """Write recordings as 16-bit FLAC; the rows of a table of them."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, (samples, text) in enumerate(pairs):
        path = folder / f"{name}-{i:03d}.flac"
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        rows.append(f"{path.stem}\t{folder.name}/{path.name}\t{text}\n")
    return rows


mixer_of = lru_cache(Mixer)  # a process that mixes reads the recordings once


def mix_block(work: Path, fsdd: Path, other: tuple[Path, ...], job: tuple[int, int]) -> list[str]:
    """One seeded block of training utterances."""
    seed, count = job
    mixer, rng = mixer_of(work, fsdd, other), np.random.default_rng(seed)
    return write_block(work / "train", f"{seed:04d}", (mixer.utterance(rng) for _ in range(count)))


def write_table(path: Path, rows: list[str]) -> None:
    path.write_text("id\taudio\ttext\n" + "".join(rows), encoding="utf-8")


def mix(work: Path, fsdd: Path, other: tuple[Path, ...], count: int, tests: int, jobs: int | None) -> None:
    """Compose utterances to train on, to validate with and to test with; write them, their tables and config.json."""
    blocks = [(start // BLOCK, min(BLOCK, count - start)) for start in range(0, count, BLOCK)]
    with Pool(jobs) as pool:
        rows = [row for block in pool.imap(partial(mix_block, work, fsdd, other), blocks) for row in block]
    write_table(work / "train.tsv", rows)
    mixer = mixer_of(work, fsdd, other)
    sets = {"valid": (mixer.speakers, "valid"), "seen": (mixer.speakers, "test"), "unseen": (sorted(HELD), "test")}
    for i, (name, (speakers, part)) in enumerate(sets.items()):
        rng = np.random.default_rng(TEST_SEED + i)
        pairs = [mixer.test_utterance(speakers[k % len(speakers)], part, rng) for k in range(tests)]
        write_table(work / f"{name}.tsv", write_block(work / name, name, pairs))
    (work / "config.json").write_text(json.dumps(SHAPE, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["speak", "mix"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, help="utterances to speak (4000) or mix (24000)")
    parser.add_argument("--test-count", type=int, default=200, help="utterances of each test set to mix")
    parser.add_argument("--fsdd", type=Path, help="FSDD's folder of recordings")
    parser.add_argument("--other", type=Path, nargs="+", default=[], help="folders of FLAC speech of other words")
    parser.add_argument("--jobs", type=int, help="processes that mix (default: one per core)")
    o = parser.parse_args()
    if o.stage == "speak":
        speak(o.work, o.count or 4000)
    elif not (o.fsdd and o.fsdd.is_dir()):
        parser.error("mix needs --fsdd, the folder of FSDD's recordings")
    else:
        mix(o.work, o.fsdd, tuple(o.other), o.count or 24000, o.test_count, o.jobs)


if __name__ == "__main__":
    main()
