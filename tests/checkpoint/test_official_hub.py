"""Every released id, loaded by its name from a stand-in for the hub that has a folder in its shape."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from s2t_np.checkpoint.official import official
from tests.support.loopback_hub import LoopbackHub, Repository
from tests.support.paths import CHECKPOINT_CONFIGS, ROOT, needs_shared
from tools.official_folders import config_json, preprocessor_json, tokenizer_json, write_official

CLIENT = importlib.util.find_spec("huggingface_hub")
VOCABULARIES = {"librispeech": 10000, "mustc-en": 8000, "multilingual": 10000}
PROGRAM = """
import json, sys, s2t_np
from s2t_np.checkpoint.official import recognised
for name in sys.argv[1:]:
    model = s2t_np.load(name, backend="numpy")
    facts = {"task": recognised(model.folder).task, "rate": model.feature_config.sampling_rate}
    facts |= {"tied": model.config.tie_word_embeddings, "vocabulary": model.config.vocab_size}
    facts |= {"granularity": model.tokenizer.granularity, "languages": model.tokenizer.languages}
    facts["beams"] = model.generation_config.num_beams
    print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> dict[str, dict]:
    """What `s2t_np.load(id)` builds from each repository, in a process that knows only the stand-in."""
    base = tmp_path_factory.mktemp("hub")
    folders = {name: write_official(base / name.replace("/", "--"), name, narrow=True) for name in official()}
    files = {name: {f.name: f.read_bytes() for f in folder.iterdir()} for name, folder in folders.items()}
    with LoopbackHub() as hub:
        hub.repositories = {name: Repository(content) for name, content in files.items()}
        return dict(zip(official(), ask(hub.url, base), strict=True))


def ask(url: str, base: Path) -> list[dict]:
    """The facts of all models, one line of JSON each."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and not k.lower().endswith("_proxy")}
    environment = kept | {"HF_ENDPOINT": url, "HF_HOME": str(base / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, *official()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(CLIENT is None, reason="needs huggingface_hub, the real client")
def test_each_id_builds_the_right_model(loaded):
    for name, facts in loaded.items():
        one, covost = official()[name], "covost2" in name
        assert facts["task"] == one.task and facts["beams"] == 5
        assert facts["rate"] == (48000 if covost else 16000)
        assert facts["tied"] == name.endswith("-asr")
        assert facts["granularity"] == (4 if covost else 1)
        assert set(facts["languages"]) == (set(one.targets) if "multilingual" in name else set())
        expected = [size for text, size in VOCABULARIES.items() if text in name]
        assert covost or facts["vocabulary"] == expected[0]
    languages = loaded["facebook/s2t-medium-mustc-multilingual-st"]["languages"]
    assert languages == {"pt": 4, "fr": 5, "ru": 6, "nl": 7, "ro": 8, "it": 9, "es": 10, "de": 11}


@needs_shared
@pytest.mark.parametrize("name", sorted(path.name for path in CHECKPOINT_CONFIGS.glob("*")))
def test_the_settings_are_those_of_the_real_files(name):
    one = official()[f"facebook/{name}"]
    for file, ours in (
        ("config.json", config_json(one)),
        ("preprocessor_config.json", preprocessor_json(one)),
        ("tokenizer_config.json", tokenizer_json(one)),
    ):
        real = json.loads((CHECKPOINT_CONFIGS / name / file).read_text())
        assert {k: v for k, v in ours.items() if k != "tokenizer_file"} == {
            k: v for k, v in real.items() if k != "tokenizer_file"
        }
