"""Checkpoints that fairseq 0.12 trained and wrote, against fairseq's own numbers (../shared/reference/fairseq)."""

import dataclasses
import functools
import json

import numpy as np
import pytest

import s2t_np
from s2t_np.features import normalize
from tests.support.paths import SHARED, needs_shared

FOLDER = SHARED / "reference" / "fairseq"
ANSWERS = {"shared": "shared", "lang": "lang", "gcmvn": "gcmvn"}
ANSWERS |= dict.fromkeys(("shared_args_legacy", "shared_cfg_omegaconf"), "shared")
SEARCHES = {"beam5": {}, "beam5_lenpen0.3": {"length_penalty": 0.3}, "beam1": {"num_beams": 1}}

pytestmark = needs_shared
every_utterance = pytest.mark.parametrize("utterance", range(3))
every_model = pytest.mark.parametrize("name", ANSWERS)


@functools.cache
def load(name: str, backend: str = "numpy"):
    return s2t_np.load(FOLDER / name, backend=backend)


@functools.cache
def answers(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / ANSWERS[name] / "expected.npz") as arrays:
        return {key: arrays[key] for key in arrays}


@functools.cache
def texts(name: str) -> dict:
    return json.loads((FOLDER / ANSWERS[name] / "expected.json").read_text())


def features(name: str, utterance: int) -> np.ndarray:
    return answers(name)[f"utt{utterance}.features"].astype(np.float32)


@every_model
@every_utterance
def test_features_of_the_sound(name, utterance):
    """The fbank itself differs by up to 1e-3: fairseq's is computed in float32."""
    sound = texts(name)[f"utt{utterance}.id"].removesuffix("-de").removesuffix("-fr")
    found = load(name).features(SHARED / "audio" / "digits-test" / f"{sound}.flac")
    np.testing.assert_allclose(found, features(name, utterance), atol=2e-3)


@every_model
@every_utterance
def test_normalisation_of_the_same_fbank(name, utterance):
    fbank = answers(name)[f"utt{utterance}.fbank"].astype(np.float32)
    found = normalize(fbank, load(name).feature_config)
    np.testing.assert_allclose(found, features(name, utterance), atol=1e-5)
    stable = dataclasses.replace(load(name).feature_config, one_pass_variance=False)
    np.testing.assert_allclose(normalize(fbank, stable), features(name, utterance), atol=3e-3)


@pytest.mark.parametrize("backend", ("numpy", "numba"))
@every_model
@every_utterance
def test_encoder_and_logits(name, utterance, backend):
    model, expected = load(name, backend), answers(name)
    memory = model.encode(features(name, utterance))
    np.testing.assert_allclose(memory, expected[f"utt{utterance}.encoder_out"], atol=2e-5)
    target = expected[f"utt{utterance}.target"]
    logits = model.logits(memory, [2, *target[:-1]])
    np.testing.assert_allclose(logits, expected[f"utt{utterance}.logits"], atol=2e-5)


@pytest.mark.parametrize("backend", ("numpy", "numba"))
@pytest.mark.parametrize("search", SEARCHES)
@every_model
@every_utterance
def test_hypotheses_and_scores(name, utterance, search, backend):
    options, expected = SEARCHES[search], answers(name)
    count = options.get("num_beams", 5)
    prefix = expected[f"utt{utterance}.target"][:1].tolist() if name == "lang" else []
    model = load(name, backend)
    found = model.generate(
        features(name, utterance), prefix=prefix, search="fairseq", num_return_sequences=count, **options
    )
    for i, hypothesis in enumerate(found):
        key = f"utt{utterance}.{search}.{i}"
        assert hypothesis.tokens[1:] == tuple(expected[f"{key}.tokens"].tolist())
        assert hypothesis.score == pytest.approx(float(expected[f"{key}.score"]), abs=1e-5)
        np.testing.assert_allclose(hypothesis.token_log_probs, expected[f"{key}.positional_scores"], atol=1e-4)
    assert [model.tokenizer.decode(h.tokens) for h in found] == texts(name)[f"utt{utterance}.{search}"]
