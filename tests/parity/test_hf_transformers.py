"""The classes named as in transformers against transformers: one program (same_program.py), run on both libraries.

Saved folders go both ways: what this project saves is loaded by transformers, and the other way round, and the program
is run again on each. So four answers are held to each other.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import s2t_np.hf
from tests.parity import same_program
from tests.support.paths import DIGITS, LIBRISPEECH
from tests.support.small_tokenizers import write_folder
from tools.random_checkpoint import GENERATION, shape_config, write_checkpoint, write_json

pytest.importorskip("torch")
pytest.importorskip("transformers")
soundfile = pytest.importorskip("soundfile")

RECORDINGS = DIGITS.parent.parent / "recordings"
KINDS = ("bpe", "upper", "multilingual")  # the others are held to upstream in test_tokenizer_transformers.py
TOLERANCES = {"features": 2e-4, "forward": 2e-4, "generated": 1e-4, "shown": 5e-4}  # others hold no floats
SECTIONS = ("texts", "languages", "features", "generated", "shown", "forward", "card")
# A generation_config.json may ask for more than lengths and beams, and hold what only sampling would use:
ASKED_FOR = {
    "max_length": 25,
    "bad_words_ids": [[48], [14, 14]],
    "sequence_bias": [[[9], 2.5], [[9, 9], -4.0]],
    "eos_token_id": [2, 17, 30],
    "renormalize_logits": True,
    "typical_p": 0.4,
    "temperature": 0.7,
    "encoder_no_repeat_ngram_size": 2,
}
MODELS = ("digits", "tiny", "asking") + (("tiny, read speech",) if LIBRISPEECH.exists() else ())


def bundled() -> list[np.ndarray]:
    names = ("synthetic-one-two-three", "five-five", "two-nine-three-four-zero")
    return [soundfile.read(RECORDINGS / f"{name}.flac", dtype="float32")[0] for name in names]


def synthetic() -> list[np.ndarray]:
    """Noise, a tone in noise, and a dying burst: lengths that are no multiples of anything."""
    random = np.random.default_rng(5)
    noise = random.standard_normal(21_337).astype(np.float32) / 10
    tone = np.sin(np.arange(16_001) / 9).astype(np.float32) / 10 + noise[:16_001]
    burst = noise[:9_997] * np.exp(-np.arange(9_997) / 3000).astype(np.float32)
    return [noise, tone, burst]


def read_speech() -> list[np.ndarray]:
    files = sorted(LIBRISPEECH.rglob("*.flac"), key=lambda path: (path.stat().st_size, path.name))
    return [soundfile.read(path, dtype="float32")[0] for path in files[:2]]


def jobs(folder: Path) -> dict[str, dict]:
    """What the program is run on, by name."""
    tokenizers = {kind: str(write_folder(folder / kind, kind)) for kind in KINDS}
    tiny = write_checkpoint(folder / "tiny", shape_config("tiny"))
    write_json(tiny / "generation_config.json", GENERATION | {"max_length": 25})  # random weights would go on to 200
    asking = write_checkpoint(folder / "asking", shape_config("tiny"))
    write_json(asking / "generation_config.json", GENERATION | ASKED_FOR)
    made = {
        "digits": {"model": str(DIGITS), "tokenizers": tokenizers, "audio": bundled()},
        "tiny": {"model": str(tiny), "tokenizers": {}, "audio": synthetic()},
        "asking": {"model": str(asking), "tokenizers": {}, "audio": synthetic()},
    }
    if LIBRISPEECH.exists():
        made["tiny, read speech"] = {"model": str(tiny), "tokenizers": {}, "audio": read_speech()}
    return made


def saved(job: dict, folder: Path) -> dict:
    """The same job on what the first one saved to `folder`."""
    return job | {"model": str(folder), "tokenizers": {kind: str(folder / kind) for kind in job["tokenizers"]}}


def run_transformers(work: list[dict], folder: Path) -> list[dict]:
    """The program's results on transformers, from a process that cannot see this repository."""
    job, answer = folder / "job.pickle", folder / "answer.pickle"
    job.write_bytes(pickle.dumps(work))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", same_program.__file__, "transformers", str(job), str(answer)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return pickle.loads(answer.read_bytes())


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, dict[str, dict]]:
    """{what was run: {model: results}}."""
    folder = tmp_path_factory.mktemp("same_program")
    ours = same_program.Program(s2t_np.hf, "np", {"padded_as_upstream": True})
    work = {name: job | {"save": str(folder / "ours" / name)} for name, job in jobs(folder).items()}
    out = {"ours": {name: ours(job) for name, job in work.items()}}
    there = [job | {"save": str(folder / "theirs" / name)} for name, job in work.items()]
    again = [saved(job, folder / "ours" / name) | {"save": str(folder / "x" / name)} for name, job in work.items()]
    results = run_transformers(there + again, folder)
    out["theirs"] = dict(zip(work, results[: len(work)], strict=True))
    out["theirs on what we saved"] = dict(zip(work, results[len(work) :], strict=True))
    back = [saved(job, folder / "theirs" / name) | {"save": str(folder / "y" / name)} for name, job in work.items()]
    out["ours on what they saved"] = dict(zip(work, map(ours, back), strict=True))
    return out


def differences(ours, theirs, tolerance: float, path: str = "") -> list[str]:
    """Where two results differ, in words; numbers by more than `tolerance` (absolute)."""
    if type(ours) is not type(theirs):
        return [f"{path}: {type(ours).__name__} is not {type(theirs).__name__}"]
    if isinstance(ours, dict | list):
        keys, others = (list(x) if isinstance(x, dict) else list(range(len(x))) for x in (ours, theirs))
        if keys != others:
            return [f"{path}: {keys} is not {others}"]
        return [line for key in keys for line in differences(ours[key], theirs[key], tolerance, f"{path}/{key}")]
    if isinstance(ours, np.ndarray) and (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        return [f"{path}: {ours.dtype} {ours.shape} is not {theirs.dtype} {theirs.shape}"]
    if isinstance(ours, np.ndarray | float):
        banned = np.isneginf(ours) & np.isneginf(theirs)
        error = float(np.abs(np.subtract(ours, theirs, where=~banned, out=np.zeros_like(ours, np.float64))).max())
        return [] if error <= tolerance else [f"{path}: differs by {error:.3g}"]
    return [] if ours == theirs else [f"{path}: {ours!r:.100} is not {theirs!r:.100}"]


@pytest.mark.parametrize("against", ["theirs", "theirs on what we saved", "ours on what they saved"])
@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("model", MODELS)
def test_both_libraries_give_the_same(answers, model, section, against):
    ours, theirs = answers["ours"][model][section], answers[against][model][section]
    assert not differences(ours, theirs, TOLERANCES.get(section, 0.0))


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_of_ours_gives_what_upstream_gives_for_each_by_itself(answers, model, tmp_path):
    job = jobs(tmp_path)[model]
    program = same_program.Program(s2t_np.hf, "np", {})
    network, processor = program.load(job["model"])
    batch = processor(job["audio"], sampling_rate=16000, padding=True, return_tensors="np")
    rows = network.generate(**batch)
    for row, alone in zip(rows, answers["theirs"][model]["generated"]["each by itself"], strict=True):
        assert row[: alone.shape[1]].tolist() == alone[0].tolist()
        assert (row[alone.shape[1] :] == network.config.pad_token_id).all()


def test_the_comparison_can_fail(answers):
    ours = answers["ours"]["digits"]
    changed = pickle.loads(pickle.dumps(ours))
    changed["generated"]["greedy"]["sequences"][0, 1] += 1
    changed["features"]["longest"]["input_features"][0][3, 3] += 1e-3
    assert len(differences(ours, changed, 2e-4)) == 2
