"""The reference pack: the numbers of every stage for one recording, and a tolerance for the error of a port.

The same functions run twice over the same recording and transcript, once in float32 from the first sample on and once
in float64. The float64 run is the truth; the error of the float32 run is the cost of float32, and a port may be off by
ROOM times as much. No tolerance is set by hand. With a model of a compiled backend, the float32 run is that of the
compiled code, and the pack holds the stages which that has. `format.py` describes the files.
"""

import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ... import features, ops
from ...audio import load as load_audio
from ...backend import NUMPY
from ...checkpoint import read_tensors, safetensors
from ...checkpoint.file_bytes import blame
from ...config import ModelConfig, parse_json, read_json
from ...errors import ModelError, OptionError
from ...loading import load_folder
from ...model import S2T
from ..trace import plan, recorder_of
from ..trace.record import Recorder
from ..trace.recorder_backend import fbank_stages
from ..trace.store import write_manifest
from .format import DOUBLE, FORMAT_MD, MANIFEST, NAME, PARAMETERS, README, SINGLE, VERSION

ROOM = 10  # multiple of our float32 run's r.m.s. error; another order of summation alone may double the error
ROOM_LARGEST = 100  # multiple of its largest error; the worst rounded number is luck, and torch once reached 12
EPSILON = float(np.finfo(np.float32).eps)
BYTES_PER_NUMBER = 12  # every number is there in float32 and in float64
HEADER = {"config": dict, "features": dict, "audio": dict, "stages": list}  # fields of a manifest that `check` reads
MAX_MANIFEST = 64 << 20  # bytes; one of the large model has 1 MB
LIMIT = 500_000_000  # bytes of arrays that a pack may hold unless more is asked for


class Pack(NamedTuple):
    """A pack that has been read."""

    folder: Path
    manifest: dict
    config: ModelConfig
    truth: dict[str, np.ndarray]  # {stage: array} in the order of computation, float64
    parameters: dict[str, np.ndarray]  # the checkpoint's vectors: biases, gains and offsets of normalisations

    @property
    def records(self) -> dict[str, dict]:
        """{stage: its entry in the manifest}, in the order of computation."""
        return {record["stage"]: record for record in self.manifest["stages"]}


def rms(x: np.ndarray) -> float:
    """Root mean square; 0 for an empty array."""
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
    recorder = recorder_of(model, record)
    backend = recorder.backend()  # called without the doors of S2T, which would refuse what a broken port computes
    if plan.is_readable(model):
        x = follow_features(model, samples, record)
    else:
        x = features.features(samples, model.feature_config, model.dtype, backend.fbank)
    memory = backend.encode(backend.ops, model.weights.encoder, model.config, x)
    logits = recorder.decode_full(tokens[:-1], memory)
    record("log_probs", ops.log_softmax, ops.log_softmax(logits))
    record("tokens", S2T.generate, tokens)
    size = plan.Size(len(samples), len(tokens) - 1, 1, 0)
    record.arrays = {stage.name: record.arrays[stage.name] for stage in plan.stages(model, size)}
    return record


def tolerance(stage: str, error: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The allowed root mean square and largest error of a port, from our own float32 error; 0 for whole numbers.

    A sinusoid of position p in float32 is off by the rounding of its angle, and upstream computes it that way.
    """
    if truth.dtype.kind != "f":
        return {"rms": 0.0, "largest": 0.0}
    angle = EPSILON * len(truth) if stage.endswith("embed_positions") else 0.0
    return {
        "rms": ROOM * max(rms(error), EPSILON * rms(truth), angle),
        "largest": ROOM_LARGEST * max(float(np.abs(error).max()), EPSILON * float(np.abs(truth).max()), angle),
    }


# ---- writing


def estimate(model: S2T, samples: int) -> int:
    """Bytes of the arrays of a pack for this many samples, by the table of stages and a guess at the text's length."""
    size = plan.expected_size(model, samples, {})._replace(beams=1, steps=0)
    return sum(math.prod(stage.shape) for stage in plan.stages(model, size)) * BYTES_PER_NUMBER


def check_target(folder: Path) -> None:
    """Raise OptionError unless the folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder} exists already; a pack is written to a new or an empty folder")


def check_size(size: int, limit: float) -> None:
    """Raise OptionError for an estimate (bytes) above the limit."""
    if size > limit:
        raise OptionError(
            f"a pack for this recording would hold about {size / 1e6:,.0f} MB, more than the limit of "
            f"{limit / 1e6:,.0f} MB; a few seconds of sound are enough to check a port: take a shorter recording, or "
            "raise the limit (--limit MB)"
        )


def write_pack(model: S2T, audio, folder, sampling_rate: int | None = None, limit: float = LIMIT) -> dict:
    """Write a pack for one recording and the model's best transcript of it; returns the manifest.

    `audio` and `sampling_rate` as in S2T.transcribe. `limit`: bytes; a pack that is estimated to be larger is refused
    before anything is computed. Raises OptionError, also for a folder that is not empty, AudioError, ModelError,
    OSError.
    """
    folder = Path(folder)
    check_target(folder)
    samples = load_audio(audio, model.feature_config.sampling_rate, sampling_rate)
    check_size(estimate(model, len(samples)), limit)
    best = model.generate(model.features_of_samples(samples))[0]
    single = forward(model, samples, np.array(best.tokens))
    double = forward(load_folder(model.folder, NUMPY, np.float64), samples, np.array(best.tokens))
    double.arrays = {stage: double.arrays[stage] for stage in single.arrays}
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
    """The manifest's entries about the pack as a whole."""
    rate = model.feature_config.sampling_rate
    return {
        "format": NAME,
        "version": VERSION,
        "model": model.folder.name,
        "backend": model.backend.name,
        "config": read_json(model.folder / "config.json"),
        "features": vars(model.feature_config),
        "audio": {
            "file": Path(audio).name if isinstance(audio, str | Path) and audio != "-" else None,
            "samples": len(samples),
            "sampling_rate": rate,
        },
        "tokens": list(best.tokens),
        "text": model.tokenizer.decode(best.tokens),
        "score": best.score,
        "token_log_probs": list(best.token_log_probs),
    }


def stage_record(stage: str, single: Recorder, double: Recorder) -> dict:
    """The manifest's entry about one stage."""
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
    """Read a pack and compare its files with their checksums. Raises ModelError for anything but a whole pack."""
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
        raise ModelError(f"{path}: is not an {NAME} of version {VERSION}; write the pack again")
    if not isinstance(sums := manifest.get("sha256"), dict) or sums.keys() != {SINGLE, DOUBLE, PARAMETERS}:
        raise ModelError(f"{path}: sha256 does not list {SINGLE}, {DOUBLE} and {PARAMETERS}; write the pack again")
    if damaged := [name for name, kind in HEADER.items() if not isinstance(manifest.get(name), kind)]:
        raise ModelError(f"{path}: {damaged[0]} is missing or of another kind; write the pack again")
    if not all(is_record(record) for record in manifest["stages"]):
        raise ModelError(f"{path}: a stage has no name or no tolerance; write the pack again")
    return manifest


def is_record(record) -> bool:
    """True if an entry of `stages` holds what `check` needs."""
    if not isinstance(record, dict) or not isinstance(record.get("tolerance"), dict):
        return False
    numbers = [record["tolerance"].get(name) for name in ("rms", "largest")]
    return isinstance(record.get("stage"), str) and all(isinstance(x, int | float) for x in numbers)
