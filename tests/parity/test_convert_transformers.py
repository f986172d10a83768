"""A converted folder is one that transformers loads, with the same weights and the same text."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import s2t_np
from s2t_np.hf.convert import convert
from tests.support.paths import DIGITS

RECORDING = DIGITS.parent.parent / "recordings" / "five-five.flac"

# Runs without the repository on sys.path: transformers takes a package named `kernels` for one of its own.
LOAD = """
import json, sys
import numpy as np, torch
from transformers import AutoProcessor, Speech2TextForConditionalGeneration
folder, samples, out = sys.argv[1:]
model, report = Speech2TextForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
processor = AutoProcessor.from_pretrained(folder)
features = processor(np.load(samples), sampling_rate=16000, return_tensors="pt").input_features
np.savez(out + ".npz", **{k: v.float().numpy() for k, v in model.state_dict().items()})
ids = model.float().generate(features)
says = {"missing": sorted(report["missing_keys"]), "unexpected": sorted(report["unexpected_keys"]),
        "dtype": str(model.config.dtype), "text": processor.batch_decode(ids, skip_special_tokens=True)[0]}
json.dump(says, open(out + ".json", "w"))
"""


def load_in_transformers(folder: Path, samples: Path, out: Path) -> tuple[dict, dict]:
    """What transformers reports and the weights it holds, from a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-P", "-c", LOAD, str(folder), str(samples), str(out)]
    done = subprocess.run(command, cwd=out.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(Path(f"{out}.json").read_text()), np.load(f"{out}.npz")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_transformers_loads_it_with_the_same_weights(tmp_path, dtype):
    convert(DIGITS, tmp_path / "model", dtype)
    samples = s2t_np.audio.load(RECORDING, 16000)
    np.save(tmp_path / "samples.npy", samples)
    says, theirs = load_in_transformers(tmp_path / "model", tmp_path / "samples.npy", tmp_path / "out")
    assert says["dtype"].endswith(dtype)
    assert not says["missing"]
    assert not says["unexpected"]
    ours = s2t_np.checkpoint.read_tensors(tmp_path / "model")
    for name, tensor in ours.items():
        assert np.array_equal(tensor.astype(np.float32), theirs[name]), name
    assert np.array_equal(theirs["lm_head.weight"], theirs["model.decoder.embed_tokens.weight"])
    assert says["text"] == s2t_np.load(tmp_path / "model").transcribe(RECORDING).text == "five five"
