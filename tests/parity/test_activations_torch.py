"""Every activation function that config.json may name, and converted checkpoints of fairseq's, against transformers."""

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
from s2t_np.activations import ACTIVATIONS
from s2t_np.hf.convert import convert
from tests.support.fairseq_checkpoints import example
from tools.random_checkpoint import shape_config, write_checkpoint

FAIRSEQ = ("gelu", "gelu_fast", "relu_squared", "tanh", "linear", "swish")
TOKENS = [2, 5, 17, 40, 9]

# Runs without the repository on sys.path: transformers takes a package named `kernels` for one of its own.
ANSWERS = """
import json, sys
import numpy as np, torch
from transformers import Speech2TextForConditionalGeneration
found = {}
for folder in sys.argv[2:]:
    model = Speech2TextForConditionalGeneration.from_pretrained(folder).eval()
    x = torch.from_numpy(np.load(folder + ".npy"))[None]
    with torch.no_grad():
        logits = model(input_features=x, decoder_input_ids=torch.tensor([[2, 5, 17, 40, 9]])).logits
        ids = model.generate(x, num_beams=3, max_length=12)
    found[folder + "/logits"], found[folder + "/ids"] = logits[0].numpy(), ids[0].numpy()
np.savez(sys.argv[1], **found)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A folder for each activation of transformers', and for each that fairseq has, converted."""
    root, made = tmp_path_factory.mktemp("activations"), {}
    for name in ACTIVATIONS:
        made[name] = write_checkpoint(root / name, shape_config("tiny", activation_function=name))
    for name in FAIRSEQ:
        checkpoint = example()
        checkpoint.settings["activation_fn"] = name
        made[f"fairseq {name}"] = root / f"fairseq-{name}"
        convert(checkpoint.write(root / f"pt-{name}"), made[f"fairseq {name}"])
    for folder in made.values():
        np.save(f"{folder}.npy", np.random.default_rng(1).standard_normal((60, 80)).astype(np.float32))
    return made


@pytest.fixture(scope="module")
def answers(folders, tmp_path_factory) -> dict[str, np.ndarray]:
    """What transformers computes for all of them, from one process."""
    out = tmp_path_factory.mktemp("answers") / "answers.npz"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-P", "-c", ANSWERS, str(out), *map(str, folders.values())]
    done = subprocess.run(command, cwd=out.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(out) as arrays:
        return {name: arrays[name] for name in arrays}


@pytest.mark.parametrize("name", (*ACTIVATIONS, *(f"fairseq {name}" for name in FAIRSEQ)))
def test_logits_and_texts(name, folders, answers):
    folder = folders[name]
    model, x = s2t_np.load(folder, backend="auto"), np.load(f"{folder}.npy")
    logits = model.logits(model.encode(x), TOKENS)
    np.testing.assert_allclose(logits, answers[f"{folder}/logits"], atol=5e-5)
    ids = answers[f"{folder}/ids"].tolist()
    assert list(model.generate(x, num_beams=3, max_length=12)[0].tokens) == ids[: len(ids)]


def test_the_activation_is_one_that_transformers_has(folders):
    for name in FAIRSEQ:
        named = json.loads((folders[f"fairseq {name}"] / "config.json").read_text())
        assert named["activation_function"] in ACTIVATIONS
        assert "architecture" not in named and "decoder_learned_pos" not in named
