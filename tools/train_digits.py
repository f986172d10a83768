#!/usr/bin/env python3
"""The recipe of the bundled `digits` model: a small S2T that writes down spoken English digits.

    python -m tools.train_digits all   WORK --fsdd DIR [--other DIR ...] [--threads N]    from nothing to WORK/digits

does one stage after another; each can be given by itself:

    speak WORK [--count 6000]                     synthesise voices (espeak-ng and flite)
    mix   WORK --fsdd DIR [--other DIR ...] [--count 48000] [--test-count 200]
    learn WORK [--threads N] [--from MODEL]       the runs of `s2t-np train` in RUNS; interrupted ones go on
    pack  WORK                                    the model of the last run as WORK/digits, rounded to float16 values
    judge WORK [--table TSV ...] [--from MODEL]   the word error rates of WORK/digits: speakers it knows, and others

`mix` writes recordings and their tables, of which half.tsv has the first half of train.tsv, and config.json, the shape
of the network: the released architecture in small, 2.3 million parameters. `--other` are folders of speech of other
words; it is heard in the background, and alone with an empty text. The CTC loss of the first run makes the attention
find the alignment, which it does not in hours by itself; masks over time must stay shorter than a digit. In the later
runs the rate falls to zero, which takes the noise out of the weights; the last one hears all that was mixed, and `pack`
takes the mean of its last checkpoints. `learn --from MODEL` leaves out the first run. Needs espeak-ng and flite; times:
docs/training.md.
"""

import argparse
import json
import subprocess
import sys
from functools import lru_cache, partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np.checkpoint import read_tensors
from s2t_np.evaluation import Errors, read_corpus
from s2t_np.evaluation.run import Failure, evaluate_all
from s2t_np.training import checkpoints
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
COMMON = "--ctc-weight 0.3 --max-time-mask 9 --max-tokens 8000 --save-interval-updates 500 --valid-utterances 100"
RUNS = {  # one after another, each from the last one's newest checkpoint, on half.tsv, the last one on train.tsv
    "found": "--lr 1.2e-3 --warmup-updates 600 --max-epoch 5 --curriculum 1 --vocab-size 48",
    "refined": "--lr 7e-4 --warmup-updates 150 --lr-scheduler polynomial_decay --max-update 7600",
    "polished": "--lr 5e-4 --warmup-updates 150 --lr-scheduler polynomial_decay --max-update 13000",
    "settled": "--lr 7e-4 --warmup-updates 150 --lr-scheduler polynomial_decay --max-update 9500",
}
COUNTS = {"speak": 6000, "mix": 48000}  # utterances
OWN = {"longest_utterance": 6.0, "logprob_threshold": -0.25}  # s2t_np.json of the model


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
    write_table(work / "half.tsv", rows[: -(-count // 2)])
    mixer = mixer_of(work, fsdd, other)
    sets = {"valid": (mixer.speakers, "valid"), "seen": (mixer.speakers, "test"), "unseen": (sorted(HELD), "test")}
    for i, (name, (speakers, part)) in enumerate(sets.items()):
        rng = np.random.default_rng(TEST_SEED + i)
        pairs = [mixer.test_utterance(speakers[k % len(speakers)], part, rng) for k in range(tests)]
        write_table(work / f"{name}.tsv", write_block(work / name, name, pairs))
    (work / "config.json").write_text(json.dumps(SHAPE, indent=1) + "\n")


def learn(work: Path, source: Path | None, threads: int | None) -> None:
    """The runs of RUNS; with a model to start from, all but the first."""
    for name, options in list(RUNS.items())[source is not None :]:
        run = work / name
        how = ["--from", str(source)] if source else ["--config", str(work / "config.json")]
        table = "train.tsv" if name == list(RUNS)[-1] else "half.tsv"
        how += ["--train", str(work / table), "--valid", str(work / "valid.tsv")]
        how += ["--features", str(work / "features"), *COMMON.split(), *options.split()]
        how = ["--resume"] if (run / "run.json").is_file() else how
        how += ["--threads", str(threads)] if threads else []
        subprocess.run([sys.executable, "-m", "s2t_np", "train", "-o", str(run), *how], check=True)
        source = checkpoints.checkpoints(run)[-1]


def pack(work: Path) -> None:
    """Write WORK/digits: the mean of the last run's checkpoints, its weights rounded to values that float16 holds.

    The file stays float32, and archives of it are half as large.
    """
    source, target = work / list(RUNS)[-1] / "average", work / "digits"
    target.mkdir(exist_ok=True)
    weights = read_tensors(source)
    checkpoints.write_model(source, {k: w.astype(np.float16).astype(np.float32) for k, w in weights.items()}, target)
    (target / "s2t_np.json").write_text(json.dumps(OWN, indent=2) + "\n")


def judge(model: str, tables: list[Path]) -> dict[str, Errors]:
    """Print and return the word errors of a model on tables, 5 beams, by what ids begin with: seen, unseen.

    Raises AudioError for a recording that cannot be read.
    """
    utterances, errors = [one for table in tables for one in read_corpus(table).utterances], {}
    judged = s2t_np.load(model)
    for outcome in evaluate_all(judged, utterances, sharing=judged.sharing(num_beams=5), num_beams=5):
        if isinstance(outcome, Failure):
            raise s2t_np.AudioError(f"{outcome.path}: {outcome.reason}")
        speakers = outcome.id.split("-")[0]
        errors[speakers] = errors.get(speakers, Errors()) + outcome.words
    for speakers, found in errors.items():
        print(f"{speakers}: {100 * found.rate:.2f} % ({found.total} of {found.length:,} words)")
    return errors


def parsed() -> argparse.Namespace:
    """The arguments. Exits where those of a stage are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["all", "speak", "mix", "learn", "pack", "judge"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, help="utterances to speak (6000) or mix (48000)")
    parser.add_argument("--test-count", type=int, default=200, help="utterances of each test set to mix")
    parser.add_argument("--fsdd", type=Path, help="FSDD's folder of recordings")
    parser.add_argument("--other", type=Path, nargs="+", default=[], help="folders of FLAC speech of other words")
    parser.add_argument("--jobs", type=int, help="processes that mix (default: one per core)")
    parser.add_argument("--from", dest="source", type=Path, metavar="MODEL", help="a model to go on from, or to judge")
    parser.add_argument("--table", type=Path, nargs="+", help="recordings to judge by (default: those of mix)")
    parser.add_argument("--threads", type=int, help="threads that learn (default: as many as may be used)")
    o = parser.parse_args()
    if o.stage in ("all", "mix") and not (o.fsdd and o.fsdd.is_dir()):
        parser.error(f"{o.stage} needs --fsdd, the folder of FSDD's recordings")
    return o


def main():
    o = parsed()
    counts, tests = COUNTS | ({o.stage: o.count} if o.count else {}), [o.work / "seen.tsv", o.work / "unseen.tsv"]
    stages = {
        "speak": lambda: speak(o.work, counts["speak"]),
        "mix": lambda: mix(o.work, o.fsdd, tuple(o.other), counts["mix"], o.test_count, o.jobs),
        "learn": lambda: learn(o.work, o.source, o.threads),
        "pack": lambda: pack(o.work),
        "judge": lambda: judge(str(o.source or o.work / "digits"), o.table or tests),
    }
    for stage in stages if o.stage == "all" else [o.stage]:
        stages[stage]()


if __name__ == "__main__":
    main()
