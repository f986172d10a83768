"""The commands that are disturbed: what they need, how they go on, and what they leave.

A scenario has a folder with `fixed` (recordings, a model: read only) and `work` (made anew for each run).
"""

import contextlib
import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..signals import harmonics

PACKAGE = Path(__file__).parents[2] / "s2t_np"
DIGITS, RECORDINGS = PACKAGE / "models" / "digits", PACKAGE / "recordings"
WEIGHTS, LAYERS = "model.safetensors", {"encoder": 5, "decoder": 1}  # those that the small model keeps
QUIET = ("--backend", "numpy", "--threads", "1")
OUT = "stdout"  # the file in `work` that standard output goes to
TAKES = ("five-five", "synthetic-one-two-three", "two-nine-three-four-zero")


class Scenario(NamedTuple):
    """A command."""

    name: str
    prepare: Callable[[Path], None]  # fills fixed/ and work/ in a folder
    argv: tuple[str, ...]  # run in `work`
    again: Callable[[Path], tuple[str, ...]]  # from `work` after a run that failed: the command that goes on
    growing: tuple[str, ...] = (OUT,)  # files that may lack their end while the command has not succeeded
    ignored: tuple[str, ...] = ()  # beginnings of paths in `work` that are not compared
    passing: tuple[str, ...] = ()  # beginnings of paths that may hold an earlier state, whole, until it has succeeded
    environment: tuple[tuple[str, str], ...] = ()  # {work} stands for the folder, {hub} for the address of the hub
    hub: bool = False  # whether it needs one: a hub on this machine, with the model in fixed/
    missing: tuple[str, ...] = ()  # modules that are not installed
    check: Callable[[Path], str | None] = lambda work: None  # after a run that failed: what is wrong in `work`
    lines: int = 5  # on stderr, at most
    stage: Callable[[Path, float], str] = lambda work, since: "anywhere"  # where a kill struck


def small_model(folder: Path) -> None:
    """The bundled model with one layer of each kind: its texts are nonsense, but take a quarter of the time.

    It would end them at once, and a text is what a fault may harm, so they have some tokens at least.
    """
    from s2t_np.checkpoint import safetensors

    shutil.copytree(DIGITS, folder)
    tensors, weights = safetensors.read(folder / WEIGHTS), {}
    for name, tensor in tensors.items():
        part, layer = (re.findall(r"(\w+)\.layers\.(\d+)\.", name) or [(None, None)])[0]
        if part is None or LAYERS[part] == int(layer):
            weights[name.replace(f"layers.{layer}.", "layers.0.")] = tensor
    safetensors.write(folder / WEIGHTS, weights)
    config = json.loads((folder / "config.json").read_text()) | {f"{part}_layers": 1 for part in LAYERS}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    generation = json.loads((folder / "generation_config.json").read_text()) | {"min_length": 6}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    digest, sums = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(), folder / "SHA256SUMS"
    sums.write_text(re.sub(rf"\w+(?=  {WEIGHTS})", digest, sums.read_text()))


def model_and_recordings(folder: Path) -> None:
    """The small model, three recordings, a table of them."""
    small_model(folder / "fixed" / "model")
    (folder / "fixed" / "in").mkdir()
    (folder / "work").mkdir(exist_ok=True)
    for name in TAKES:
        shutil.copy(RECORDINGS / f"{name}.flac", folder / "fixed" / "in")
    rows = [f"{name}\t{name}.flac\t{name.removeprefix('synthetic-').replace('-', ' ')}\n" for name in TAKES]
    (folder / "fixed" / "in" / "table.tsv").write_text("id\taudio\ttext\n" + "".join(rows))


def half_done(folder: Path) -> None:
    """The same, with a file of results that lacks one and has an outdated one."""
    from s2t_np.cli import main

    model_and_recordings(folder)
    inputs, work = folder / "fixed" / "in", folder / "work"
    (inputs / f"{TAKES[2]}.flac").rename(folder / "later.flac")
    shutil.copy(inputs / f"{TAKES[1]}.flac", inputs / f"{TAKES[0]}.flac")
    with contextlib.chdir(work):  # the same names as in the run that goes on
        code = main(["transcribe", *BATCH, "--output", "out.jsonl"])
    if code:
        raise RuntimeError("the beginning of a resumed batch failed")
    shutil.copy(RECORDINGS / f"{TAKES[0]}.flac", inputs)
    (folder / "later.flac").rename(inputs / f"{TAKES[2]}.flac")


def corpus(folder: Path) -> None:
    """Two short sounds with texts, and a tiny shape to train from nothing."""
    import soundfile

    fixed = folder / "fixed"
    fixed.mkdir()
    (folder / "work").mkdir()
    for i in range(len(TEXTS)):
        soundfile.write(fixed / f"{i}.wav", np.asarray(harmonics(i, 0.4 + 0.05 * i), np.float32), 16000)
    rows = "".join(f"{i}\t{i}.wav\t{text}\n" for i, text in enumerate(TEXTS))
    (fixed / "table.tsv").write_text(f"id\taudio\ttext\n{rows}")
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "conv_channels": 16, "max_target_positions": 30}
    sizes |= {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in HALF.items()}
    (fixed / "config.json").write_text(json.dumps(sizes | {"input_feat_per_channel": 10, "dropout": 0.1}))


TEXTS = ("ba de", "gi ko")
HALF = {"attention_heads": 2, "ffn_dim": 24}


def old_model(folder: Path) -> None:
    """The small model, and at the destination another one."""
    only_model(folder)
    small_model(folder / "work" / "dst")
    (folder / "work" / "dst" / "README.md").write_text("the model that was here before\n")


def only_model(folder: Path) -> None:
    """The small model."""
    small_model(folder / "fixed" / "model")
    (folder / "work").mkdir()


ONE = (f"../fixed/in/{TAKES[0]}.flac", "--model", "../fixed/model", "--beams", "1", *QUIET)
BATCH = ("../fixed/in", "--model", "../fixed/model", "--beams", "1", "--jobs", "1", *QUIET)
TRAIN = (
    *(
        "--config",
        "../fixed/config.json",
        "--train",
        "../fixed/table.tsv",
        "--valid",
        "../fixed/table.tsv",
        "-o",
        "run",
    ),
    *(
        "--vocab-size",
        "16",
        "--max-tokens",
        "100",
        "--max-epoch",
        "2",
        "--valid-utterances",
        "1",
        "--log-interval",
        "1",
    ),
)


def same(*argv: str) -> Callable[[Path], tuple[str, ...]]:
    """Goes on with this, whatever there is."""
    return lambda work: argv


def train_again(work: Path) -> tuple[str, ...]:
    """--resume, where a run was begun; else the command once more."""
    begun = (work / "run" / "run.json").exists() and (work / "run" / "start").exists()
    return ("train", "--resume", "-o", "run", *QUIET) if begun else ("train", *TRAIN, *QUIET)


def stage_of_training(work: Path, since: float) -> str:
    """Where a training that was begun `since` (s of the clock) was when it was killed, as far as its files show."""
    run = work / "run"
    left = [path.parent.name for path in work.rglob(".s2t-np-*") if path.stat().st_ctime >= since]
    if not (run / "start").exists():
        return "start"
    if "checkpoints" in left:
        return "writing a checkpoint"
    if left:
        return "writing best or average" if "run" in left else "writing features"
    if (run / "average").exists():
        return "after the average"
    if len(list((run / "features").rglob("*.npy"))) < len(TEXTS):
        return "features"
    last = (run / "log.jsonl").read_text().splitlines()[-1:] if (run / "log.jsonl").exists() else []
    return "between validation and checkpoint" if "valid" in "".join(last) else "updates, validation"


def batch(name: str, *output: str, growing: tuple[str, ...] = (), prepare=model_and_recordings) -> Scenario:
    """A folder of recordings, transcribed into `output`."""
    argv = ("transcribe", *BATCH, *output, "--resume")
    return Scenario(name, prepare, argv, same(*argv), (OUT, *growing))


def training(name: str, **others) -> Scenario:
    """A training from nothing."""
    growing, argv = (OUT, "run/log.jsonl"), ("train", *TRAIN, *QUIET)
    others |= {"lines": 6}  # five of a run that is done, and one about a signal
    return Scenario(name, corpus, argv, train_again, growing, passing=("run/best/",), stage=stage_of_training, **others)


HUB_MODEL = "here/digits"
CACHE = (("HF_HOME", "{work}/cache"), ("HF_ENDPOINT", "{hub}"), ("HF_HUB_DISABLE_TELEMETRY", "1"))
HUBS_OWN = ("cache/hub/.locks", "cache/hub/models--here--digits/blobs", "cache/xet", "cache/hub/CACHEDIR.TAG")
DOWNLOAD = ("download", HUB_MODEL)
FROM_HUB = ("transcribe", ONE[0], "--model", HUB_MODEL, "--beams", "1", *QUIET)


def hub(model: Path):
    """A hub on this machine that has a model, its weights on another host: used as a context manager."""
    from tests.support.loopback_hub import LoopbackHub, Repository

    files = {path.name: path.read_bytes() for path in model.iterdir()}
    return LoopbackHub(here__digits=Repository(files, lfs=frozenset({WEIGHTS})))


def torn_model(work: Path) -> str | None:
    """What is wrong with the model in the cache; nothing if it is not there, or as it was published."""
    from s2t_np.checkpoint.hub import find
    from s2t_np.errors import HubError, InputWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)  # a cache without refs
            found = find(HUB_MODEL, download=False, cache_dir=work / "cache" / "hub")
    except HubError:
        return None
    model = work.parent / "fixed" / "model"
    wrong = [path.name for path in found.iterdir() if path.read_bytes() != (model / path.name).read_bytes()]
    return f"a later load takes {wrong[0]}, which is torn" if wrong else None


def compressed(folder: Path) -> None:
    """The small model, and two recordings that a process of its own decodes."""
    import soundfile

    model_and_recordings(folder)
    inputs = folder / "fixed" / "in"
    for path in inputs.iterdir():
        if path.stem in TAKES[:2]:
            samples, rate = soundfile.read(path)
            soundfile.write(inputs / f"{path.stem}.mp3", samples, rate, format="MP3")
        path.unlink()


MP3 = ("../fixed/in", "--model", "../fixed/model", "--beams", "1", "--jobs", "2", "--batch", "2", *QUIET)
EVALUATE = ("evaluate", "../fixed/in/table.tsv", *BATCH[1:], "--output", "results.jsonl")
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("transcribe", model_and_recordings, ("transcribe", *ONE), same("transcribe", *ONE)),
        batch("transcribe-folder", "--format", "txt,json", "--output-dir", "out"),
        batch("transcribe-file", "--output", "out.jsonl", growing=("out.jsonl",)),
        batch("transcribe-resume", "--output", "out.jsonl", growing=("out.jsonl",), prepare=half_done),
        Scenario(
            "evaluate", model_and_recordings, EVALUATE, same(*EVALUATE, "--resume"), (OUT, "results.jsonl"), (OUT,)
        ),
        training("train", missing=("matplotlib",)),  # a picture takes three times as long as all the rest
        training("train-curves", ignored=("run/curves.png",)),  # it shows the times
        Scenario(
            "convert",
            only_model,
            ("convert", "../fixed/model", "dst"),
            same("convert", "../fixed/model", "dst", "--force"),
        ),
        Scenario(
            "convert-force",
            old_model,
            ("convert", "../fixed/model", "dst", "--force"),
            same("convert", "../fixed/model", "dst", "--force"),
        ),
        Scenario(
            "transcribe-mp3",
            compressed,
            ("transcribe", *MP3, "--output", "out.jsonl"),
            same("transcribe", *MP3, "--output", "out.jsonl", "--resume"),
            (OUT, "out.jsonl"),
        ),
        Scenario(
            "download",
            only_model,
            DOWNLOAD,
            same(*DOWNLOAD),
            ignored=HUBS_OWN,
            environment=CACHE,
            hub=True,
            check=torn_model,
        ),
        Scenario(
            "transcribe-hub",
            model_and_recordings,
            FROM_HUB,
            same(*FROM_HUB),
            ignored=HUBS_OWN,
            environment=CACHE,
            hub=True,
            check=torn_model,
        ),
    )
}
