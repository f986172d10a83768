#!/usr/bin/env python3
"""Write the golden files: what torch and transformers compute for small seeded models and seeded sound.

    python -m tools.make_golden [--folder tests/golden]

Torch itself runs in the worker of `tools/upstream`; the tests that read these files need neither. A test makes the
same model and the same sound again from their seeds (random_checkpoint.py, signals.py) and compares. manifest.json says
which versions made the files, and holds checksums of the weights and of the sounds, so that where they are made
differently a test says so instead of blaming the model.
"""

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

from s2t_np.config import ModelConfig
from s2t_np.layers import subsampled_length
from tools.option_sets import option_sets
from tools.random_checkpoint import random_tensors, shape_config, variant_config, write_checkpoint
from tools.signals import harmonics
from tools.upstream.pipe import Upstream, numbered

ROOT = Path(__file__).resolve().parent.parent
SEED = 7
MODELS = ("tied", "untied", "odd", "one-conv", "three-conv")  # those VARIANTS, and the shape "small"
SEEDS = {"tied": 13, "odd": 8}  # where SEED says nothing of interest: texts that end, and not all alike
SECONDS = (0.9, 0.5)  # two sounds: together they are the padded batch
TOKENS = 9  # positions of the teacher-forced pass
SEARCHED = {"tied": 14, "untied": 14, "odd": 12}  # model -> longest transcript


def sounds() -> list[np.ndarray]:
    """The sounds every golden file is about: (N,) each."""
    return [harmonics(SEED + i, seconds) for i, seconds in enumerate(SECONDS)]


def model_json(name: str) -> dict:
    """config.json of a golden model."""
    return shape_config("small") if name == "small" else variant_config(name)


def model_seed(name: str) -> int:
    return SEEDS.get(name, SEED)


def forced_tokens(vocab_size: int, count: int = TOKENS) -> np.ndarray:
    """Ids for the teacher-forced pass, the start token first, no special one after: (U,)."""
    return np.array([2, *(4 + (np.arange(1, count) * 7919) % (vocab_size - 4))])


def sampled(x: np.ndarray) -> np.ndarray:
    """At most about 8 rows and 16 columns of (rows, columns), evenly spread, the last ones among them."""
    return x[:: -max(1, len(x) // 8), :: -max(1, x.shape[1] // 16)]


def checksum(arrays) -> str:
    """One hash over the bytes of several arrays."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def weights_checksum(name: str) -> str:
    return checksum(random_tensors(ModelConfig.from_dict(model_json(name)), model_seed(name)).values())


def valid_rows(stage: str, convolutions: int, frames: int, tokens: int) -> int:
    """How many rows of a padded stage belong to an utterance of `frames` frames."""
    if stage.startswith("conv."):
        return subsampled_length(frames, int(stage.split(".")[1]) + 1)
    decoding = stage.startswith(("embed_tokens", "decoder", "logits"))
    return tokens if decoding else subsampled_length(frames, convolutions)


def batch_stages(upstream: Upstream, folder: Path, features: list[np.ndarray], tokens: np.ndarray) -> dict:
    """Every stage for each sound alone ("0/conv.0") and for both as one padded batch ("padded 1/conv.0")."""
    out = {}
    for i, x in enumerate(features):
        stages = upstream("stages", {"features.0": x, "tokens": tokens[None]}, folder=str(folder))[1]
        out |= {f"{i}/{stage}": array[0] for stage, array in stages.items()}
    both = numbered("features", features) | {"tokens": np.stack([tokens] * len(features))}
    stages = upstream("stages", both, folder=str(folder))[1]
    last, convolutions = len(features) - 1, sum(stage.startswith("conv.") for stage in stages)  # the last is shortest
    rows = {stage: valid_rows(stage, convolutions, len(features[last]), len(tokens)) for stage in stages}
    return out | {f"padded {last}/{stage}": array[last, : rows[stage]] for stage, array in stages.items()}


def losses(upstream: Upstream, folder: Path, features: list[np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """The cross-entropies that `labels=` gives for the forced tokens: (sounds,)."""
    labels = np.array([*tokens[1:], 2])
    given = [{"features.0": x, "labels": labels} for x in features]
    return np.array([upstream("loss", job, folder=str(folder))[0] for job in given])


def stage_file(upstream: Upstream, name: str, scratch: Path, features: list[np.ndarray]) -> dict[str, np.ndarray]:
    """All that is kept of a model's forward passes."""
    config = model_json(name)
    folder = write_checkpoint(scratch / name, config, model_seed(name))
    tokens = forced_tokens(config["vocab_size"])
    stages = batch_stages(upstream, folder, features, tokens)
    if name == "small":
        stages = {k: sampled(x) for k, x in stages.items()}
    return stages | {"loss": losses(upstream, folder, features, tokens)}


def searches(upstream: Upstream, name: str, folder: Path, x: np.ndarray) -> list[dict]:
    """Every option set with 1, 4 and 5 beams for features (T, M): options, prefix, tokens, scores."""
    limit, out = SEARCHED[name], []
    job = {"folder": str(folder), "arrays": {"features.0": x}}
    free = {"options": {"num_beams": 1, "max_length": limit, "min_length": limit}}
    said = upstream("generate", folder=job["folder"], arrays=job["arrays"], runs=[free])[0][0]["tokens"][0][1:-1]
    for beams in (1, 4, 5):
        runs = [run._asdict() for run in option_sets(said, beams, limit)]
        results = upstream("generate", folder=job["folder"], arrays=job["arrays"], runs=runs)[0]
        out += [run | result for run, result in zip(runs, results, strict=True)]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "tests" / "golden")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with Upstream() as upstream, tempfile.TemporaryDirectory() as scratch:
        manifest = write_golden(upstream, folder, Path(scratch))
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()) // 1024} kB")


def write_golden(upstream: Upstream, folder: Path, scratch: Path) -> dict:
    """Write the npz and json files; return the manifest."""
    any_model = write_checkpoint(scratch / "any", model_json("tied"))
    heard = upstream("features", numbered("audio", sounds()), folder=str(any_model))[1]
    np.savez_compressed(folder / "features.npz", **heard)
    features = [heard[f"cmvn.{i}"] for i in range(len(SECONDS))]
    for name in [*MODELS, "small"]:
        np.savez_compressed(folder / f"stages-{name}.npz", **stage_file(upstream, name, scratch, features))
    found = {name: searches(upstream, name, scratch / name, features[0]) for name in SEARCHED}
    text = ",\n".join(f"{json.dumps(k)}: [\n" + ",\n".join(map(json.dumps, v)) + "\n]" for k, v in found.items())
    (folder / "searches.json").write_text("{\n" + text + "\n}\n", encoding="utf-8")
    return {
        "command": "python -m tools.make_golden",
        "versions": upstream("versions")[0],
        "seeds": {"sounds": SEED} | {name: model_seed(name) for name in [*MODELS, "small"]},
        "seconds": SECONDS,
        "sounds": checksum(sounds()),
        "weights": {name: weights_checksum(name) for name in [*MODELS, "small"]},
    }


if __name__ == "__main__":
    main()
