"""Every architecture and option of fairseq's S2T models, against the answers of tools/make_fairseq_answers.py."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

import s2t_np
from tests.support import fairseq_answers as cases
from tests.support.fairseq_checkpoints import CONFIG_YAML, Checkpoint

YAML = CONFIG_YAML.replace("channel: 80", f"channel: {cases.BINS}")


@functools.cache
def answers() -> dict:
    """The arrays by their names, and what is JSON decoded."""
    with np.load(Path(__file__).with_name("answers.npz")) as arrays:
        found = {name: arrays[name] for name in arrays}
    return found | {name: json.loads(found[name].tobytes()) for name in ("shapes", "hypotheses")}


@functools.cache
def place(case: str, seed: int, folder: Path) -> Path:
    """The checkpoint of a case, as fairseq would have written it."""
    state = cases.state(case, answers()["shapes"][case], seed)
    settings = {name: value for name, value in cases.settings(case).items() if name != "input_feat_per_channel"}
    checkpoint = Checkpoint(None, settings, state, yaml=YAML)
    return checkpoint.write(folder / f"{case.replace(' ', '-')}-{seed}", "model.pt")


@functools.cache
def load(case: str, folder: Path, backend: str = "numpy"):
    return s2t_np.load(place(case, 0, folder), backend=backend)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fairseq")


def check_hypotheses(model, expected: dict[str, list]) -> None:
    for search, hypotheses in expected.items():
        beams = cases.BEAMS[search]
        options = {"num_beams": beams, "num_return_sequences": beams, "max_length": cases.MOST_TOKENS}
        found = model.generate(cases.features(), search="fairseq", **options)
        assert [list(h.tokens[1:]) for h in found] == [tokens for tokens, _, _ in hypotheses]
        np.testing.assert_allclose([h.score for h in found], [score for _, score, _ in hypotheses], atol=1e-5)
        last = [h.token_log_probs[-1] for h in found]
        np.testing.assert_allclose(last, [log_prob for _, _, log_prob in hypotheses], atol=3e-5)


@pytest.mark.parametrize("backend", ("numpy", "numba"))
@pytest.mark.parametrize("case", cases.CASES)
def test_encoder_and_logits(case, folder, backend):
    model = load(case, folder, backend)
    memory = model.encode(cases.features())
    np.testing.assert_allclose(memory, answers()[f"{case}/encoder_out"], atol=2e-5)
    logits = model.logits(memory, [2, *cases.TARGET[:-1]])
    np.testing.assert_allclose(logits[:, :: cases.KEPT], answers()[f"{case}/logits"], atol=2e-5)


@pytest.mark.parametrize("backend", ("numpy", "numba"))
@pytest.mark.parametrize("case", cases.CASES)
def test_hypotheses_and_scores(case, folder, backend):
    check_hypotheses(load(case, folder, backend), answers()["hypotheses"][case])
