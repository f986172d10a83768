"""The reference pack: what every stage should give for one recording, and how far off a correct port may be.

Two runs of the same functions follow the same recording and the same transcript, one in float32 from the first sample
on and one in float64. The second is the truth; how far the first strays from it is what float32 costs, and a port is
granted ROOM times as much. Nothing in a pack is set by hand. `format.py` describes the files.
"""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ... import features, ops
from ...audio import load as load_audio
from ...backend import NUMPY
from ...checkpoint import read_tensors, safetensors
from ...checkpoint.mapped import blame
from ...config import ModelConfig, parse_json, read_json
from ...errors import ModelError, OptionError
from ...model import S2T, load_folder
from ..trace import plan
from ..trace.record import Recorder
from ..trace.recorder_backend import RecorderBackend, fbank_stages
from ..trace.store import write_manifest
from .format import DOUBLE, FORMAT_MD, MANIFEST, NAME, PARAMETERS, README, SINGLE, VERSION

ROOM = 10  # times the r.m.s. error of our float32 run; another order of summation alone may cost twice as much
ROOM_LARGEST = 100  # times the largest; which numbers are rounded worst is luck, and torch was once at 12
EPSILON = float(np.finfo(np.float32).eps)
HEADER = {"config": dict, "features": dict, "audio": dict, "stages": list}  # what `check` reads of a manifest
MAX_MANIFEST = 64 << 20  # bytes; one of the large model has 1 MB


class Pack(NamedTuple):
    """A pack that has been read."""

    folder: Path
    manifest: dict
    config: ModelConfig
    truth: dict[str, np.ndarray]  # {stage: array} in the order of computation, float64
    parameters: dict[str, np.ndarray]  # the checkpoint's vectors: biases, gains and offsets of normalisations

    @property
    def records(self) -> dict[str, dict]:
        """{stage: what the manifest says of it}, in the order of computation."""
        return {record["stage"]: record for record in self.manifest["stages"]}


def rms(x: np.ndarray) -> float:
    """Root of the mean of squares; 0 for nothing."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if x.size else 0.0


# ---- computing


def follow_features(model: S2T, samples: np.ndarray, record: Callable) -> np.ndarray:
    """Samples (N,) to features (T, M), all in the model's precision, where the model itself computes in float64."""
    config, dtype = model.feature_config, model.dtype
    record("samples", load_audio, samples.astype(dtype))
    for stage, function, x in fbank_stages(samples, config.sampling_rate, config.num_mel_bins, dtype):
        record(stage, function, x)
    log_mel = features.floored_log(x)
    record("features.log_mel", features.floored_log, log_mel)
    return features.features(samples, config, dtype, lambda *_: log_mel)


def forward(model: S2T, samples: np.ndarray, tokens: np.ndarray) -> Recorder:
    """Every stage for samples (N,) and a transcript (U,), start token first, in the model's precision.

    Raises AudioError for a recording shorter than one window.
    """
    record = Recorder(lambda stage: True)
    watcher = RecorderBackend(model, record)
    watched = dataclasses.replace(model, backend=watcher.backend())
    memory = watched.encode(follow_features(model, samples, record))
    logits = watcher.decode_full(tokens[:-1], memory)
    record("log_probs", ops.log_softmax, ops.log_softmax(logits))
    record("tokens", S2T.generate, tokens)
    size = plan.Size(len(samples), len(tokens) - 1, 1, 0)
    record.arrays = {stage.name: record.arrays[stage.name] for stage in plan.stages(model, size)}
    return record


def tolerance(stage: str, error: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How far off a port may be, given our own float32 error: root mean square and largest. Whole numbers: not at all.

    A sinusoid of position p in float32 is off by the rounding of its angle, and upstream computes them so.
    """
    if truth.dtype.kind != "f":
        return {"rms": 0.0, "largest": 0.0}
    angle = EPSILON * len(truth) if stage.endswith("embed_positions") else 0.0
    return {
        "rms": ROOM * max(rms(error), EPSILON * rms(truth), angle),
        "largest": ROOM_LARGEST * max(float(np.abs(error).max()), EPSILON * float(np.abs(truth).max()), angle),
    }


# ---- writing


def write_pack(model: S2T, audio, folder, sampling_rate: int | None = None) -> dict:
    """Write a pack for one recording and the model's best transcript of it; returns the manifest.

    `audio` and `sampling_rate` as in S2T.transcribe. Raises OptionError for a folder that is not empty, AudioError,
    ModelError, OSError.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder}: is there already; a pack is written to a new or an empty folder")
    samples = load_audio(audio, model.feature_config.sampling_rate, sampling_rate)
    best = model.generate(model.features_of_samples(samples))[0]
    single = forward(model, samples, np.array(best.tokens))
    double = forward(load_folder(model.folder, NUMPY, np.float64), samples, np.array(best.tokens))
    os.makedirs(folder, exist_ok=True)
    write_arrays(folder, model, single, double)
    manifest = header(model, audio, samples, best) | {
        "sha256": {name: sha256(folder / name) for name in (SINGLE, DOUBLE, PARAMETERS)},
        "stages": [stage_record(stage, single, double) for stage in double.arrays],
    }
    write_manifest(folder / MANIFEST, manifest)
    return manifest


def write_arrays(folder: Path, model: S2T, single: Recorder, double: Recorder) -> None:
    """The three files of numbers, and the description of the format."""
    vectors = {name: x for name, x in read_tensors(model.folder).items() if x.ndim == 1}
    for name, arrays in ((SINGLE, single.arrays), (DOUBLE, double.arrays), (PARAMETERS, vectors)):
        safetensors.write(folder / name, arrays, {"format": "np"})
    (folder / README).write_text(FORMAT_MD, encoding="utf-8")


def header(model: S2T, audio, samples: np.ndarray, best) -> dict:
    """What the manifest says of the pack as a whole."""
    rate = model.feature_config.sampling_rate
    return {
        "format": NAME,
        "version": VERSION,
        "model": model.folder.name,
        "config": read_json(model.folder / "config.json"),
        "features": vars(model.feature_config),
        "audio": {
            "file": Path(audio).name if isinstance(audio, str | Path) else None,
            "samples": len(samples),
            "sampling_rate": rate,
        },
        "tokens": list(best.tokens),
        "text": model.tokenizer.decode(best.tokens),
        "score": best.score,
        "token_log_probs": list(best.token_log_probs),
    }


def stage_record(stage: str, single: Recorder, double: Recorder) -> dict:
    """What the manifest says of one stage."""
    truth, error = double.arrays[stage], single.arrays[stage] - double.arrays[stage]
    return {
        "stage": stage,
        "shape": list(truth.shape),
        "dtype": single.arrays[stage].dtype.name,
        "rms": rms(truth),
        "float32_error": {"rms": rms(error), "largest": float(np.abs(error).max())},
        "tolerance": tolerance(stage, error, truth),
        "made_by": single.entries[stage].made_by._asdict(),
    }


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- reading


def read_pack(folder) -> Pack:
    """Read a pack and hold its files to their checksums. Raises ModelError for anything else than a whole pack."""
    folder = Path(folder)
    manifest = read_manifest(folder / MANIFEST)
    for name, expected in manifest["sha256"].items():
        with blame(folder / name):
            found = sha256(folder / name)
        if found != expected:
            raise ModelError(f"{folder / name}: its checksum is not that of the manifest; write the pack again")
    truth = safetensors.read(folder / DOUBLE)
    if missing := [r["stage"] for r in manifest["stages"] if r["stage"] not in truth]:
        raise ModelError(f"{folder / DOUBLE}: stage {missing[0]} is missing; write the pack again")
    config = ModelConfig.from_dict(manifest["config"], str(folder / MANIFEST))
    ordered = {record["stage"]: truth[record["stage"]] for record in manifest["stages"]}
    return Pack(folder, manifest, config, ordered, safetensors.read(folder / PARAMETERS))


def read_manifest(path: Path) -> dict:
    """manifest.json of a pack of this version. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"{path.parent}: holds no {MANIFEST}, expected a pack that `s2t-np golden` wrote")
    with blame(path):
        manifest = parse_json(path.read_bytes()[: MAX_MANIFEST + 1], str(path))
    if (manifest.get("format"), manifest.get("version")) != (NAME, VERSION):
        raise ModelError(f"{path}: is no {NAME} of version {VERSION}; write the pack again")
    if not isinstance(sums := manifest.get("sha256"), dict) or sums.keys() != {SINGLE, DOUBLE, PARAMETERS}:
        raise ModelError(f"{path}: sha256 does not list {SINGLE}, {DOUBLE} and {PARAMETERS}; write the pack again")
    if damaged := [name for name, kind in HEADER.items() if not isinstance(manifest.get(name), kind)]:
        raise ModelError(f"{path}: {damaged[0]} is missing or of another kind; write the pack again")
    if not all(is_record(record) for record in manifest["stages"]):
        raise ModelError(f"{path}: a stage has no name or no tolerance; write the pack again")
    return manifest


def is_record(record) -> bool:
    """Whether an entry of `stages` says what `check` needs."""
    if not isinstance(record, dict) or not isinstance(record.get("tolerance"), dict):
        return False
    numbers = [record["tolerance"].get(name) for name in ("rms", "largest")]
    return isinstance(record.get("stage"), str) and all(isinstance(x, int | float) for x in numbers)
