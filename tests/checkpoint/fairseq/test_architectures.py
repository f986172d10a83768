"""Every architecture and option of fairseq's S2T models, against the answers of tools/make_fairseq_answers.py."""

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import BackendError, ModelError, OptionError
from s2t_np.hf.convert import convert
from s2t_np.inspect.trace import recorder_of
from s2t_np.inspect.trace.record import Recorder
from s2t_np.longform.word_times import cross_attention
from s2t_np.ops import log_softmax
from s2t_np.serve.explorer import Explorer
from tests.support import fairseq_answers as cases
from tests.support.fairseq_checkpoints import CONFIG_YAML, Checkpoint

YAML = CONFIG_YAML.replace("channel: 80", f"channel: {cases.BINS}")


@functools.cache
def answers() -> dict:
    """The arrays by their names, and what is JSON decoded."""
    with np.load(Path(__file__).with_name("answers.npz")) as arrays:
        found = {name: arrays[name] for name in arrays}
    return found | {name: json.loads(found[name].tobytes()) for name in ("shapes", "hypotheses")}


def network_settings(case: str) -> dict:
    """The settings of a case, without the one that fairseq takes from config.yaml."""
    return {name: value for name, value in cases.settings(case).items() if name != "input_feat_per_channel"}


@functools.cache
def place(case: str, seed: int, folder: Path) -> Path:
    """The checkpoint of a case, as fairseq would have written it."""
    state = cases.state(case, answers()["shapes"][case], seed)
    checkpoint = Checkpoint(None, network_settings(case), state, yaml=YAML)
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


def ensemble(name: str, folder: Path, backend: str):
    places = [str(place(case, seed, folder)) for seed, case in enumerate(cases.ENSEMBLES[name])]
    return s2t_np.load(os.pathsep.join(places), backend=backend)


@pytest.mark.parametrize("backend", ("numpy", "numba"))
@pytest.mark.parametrize("name", cases.ENSEMBLES)
def test_ensembles(name, folder, backend):
    check_hypotheses(ensemble(name, folder, backend), answers()["hypotheses"][name])


def test_an_ensemble_is_a_model(folder):
    """Transcripts, scores and word times of one; its logits are logarithms of probabilities."""
    model = ensemble("two", folder, "numpy")
    memory = model.encode(cases.features())
    logits = model.logits(memory, [2, 5, 17])
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, rtol=1e-5)
    single = [np.exp(log_softmax(m.logits(m.encode(cases.features()), [2, 5, 17]))) for m in model.members]
    np.testing.assert_allclose(np.exp(logits), sum(single) / 2, rtol=1e-5)
    together = list(model.generate_batch([cases.features(), cases.features(1)], num_beams=3, max_length=9))
    assert together == [model.generate(cases.features(i), num_beams=3, max_length=9) for i in (0, 1)]
    assert cross_attention(model, memory, [2, 5, 17]).shape == (2, 4, 2, 10)
    transcript = model.transcribe(np.sin(np.arange(8000) / 9).astype(np.float32) / 4, 16000, num_beams=2, max_length=5)
    assert len(transcript.hypotheses) <= 1
    with pytest.raises(OptionError, match="tuple"):
        model.logits(memory[0], [2])
    with pytest.raises(OptionError, match="ensemble"):
        recorder_of(model, Recorder(lambda stage: True))
    with pytest.raises(OptionError, match="ensemble"):
        Explorer(model).model()


def test_a_trace_of_other_layers_is_refused(folder):
    with pytest.raises(OptionError, match="this network has encoder_normalize_before=False, decoder_normalize_before"):
        recorder_of(load("post-norm", folder), Recorder(lambda stage: True))


def test_models_of_an_ensemble_must_fit(folder, tmp_path):
    first, state = place("untied", 0, folder), cases.state("untied", answers()["shapes"]["untied"], 1)
    others = {
        "features": {"yaml": YAML + "sample_rate: 8000\n"},
        "dictionaries": {"kind": "bpe", "yaml": YAML},
    }
    for name, changed in others.items():
        other = Checkpoint(None, network_settings("untied"), state, **changed).write(tmp_path / name, "model.pt")
        with pytest.raises(ModelError, match=f"cannot be an ensemble: their {name} differ") as error:
            s2t_np.load(f"{first}{os.pathsep}{other}", backend="numpy")
        assert str(first) in str(error.value) and str(other) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(OptionError, match="empty part"):
        s2t_np.load(f"{first}{os.pathsep}", backend="numpy")


@pytest.mark.parametrize("case", ("post-norm", "convtransformer", "conformer rope", "gelu"))
def test_it_is_said_what_computes(case, folder, run):
    code, out, _ = run("info", "--model", place(case, 0, folder), "--backend", "numba")
    unlike = load(case, folder).config.unlike_released()
    assert code == 0 and f"computed by: numpy; the compiled kernels do not compute {unlike}" in out
    with pytest.raises(BackendError, match="float32"):
        s2t_np.load(place(case, 0, folder), backend="numba", dtype="int8")


@pytest.mark.parametrize("case", ("post-norm", "convtransformer", "conformer", "learned positions", "narrow decoder"))
def test_transformers_has_no_words_for_it(case, folder, tmp_path):
    with pytest.raises(ModelError, match="which transformers does not know") as error:
        convert(place(case, 0, folder), tmp_path / "out")
    assert str(load(case, folder).config.unknown_to_transformers()) in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_text_longer_than_the_positions_learned(folder):
    model = load("learned positions", folder)
    with pytest.raises(OptionError, match="learned 60 positions"):
        model.generate(cases.features(), num_beams=1, max_length=100, min_length=99)
