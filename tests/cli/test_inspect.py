"""The sub-commands `info`, `features` and `score`, in process: what they print, write and refuse."""

import json
import os
import re
import shutil

import numpy as np
import pytest

import s2t_np
from s2t_np.backend import choose
from s2t_np.checkpoint import hub
from s2t_np.cli import model_arguments
from tests.support.paths import DIGITS

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"


@pytest.fixture
def no_load(monkeypatch):
    """Loading a model fails the test: the answer must have come before."""
    monkeypatch.setattr(model_arguments, "load", lambda *a, **k: pytest.fail("the model was loaded"))


def test_info_needs_no_model(run, no_load, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    code, out, err = run("info")
    assert (code, err) == (0, "")
    assert f"s2t-np: {s2t_np.__version__}\n" in out
    assert f"backend: {choose('auto').name}\n" in out
    assert f"\nthreads: {s2t_np.get_threads()}\n" in out
    assert "\nthreads of numpy's BLAS: " in out
    assert f"{s2t_np.DEFAULT_MODEL}: not in the local cache" in out


def test_info_tells_of_the_kernels(run, tmp_path):
    pytest.importorskip("numba")
    record = json.loads(run("info", "--backend", "numba", "--format", "json")[1])
    assert record["backend"] == "numba"
    assert re.match(r"\d+ loaded, \d+ compiled, in \d+\.\d s|not compiled", record["kernels"])
    assert os.path.isfile(record["kernel cache"]) or record["kernels"].startswith("not compiled")
    assert record["instructions"]
    assert "kernels" not in json.loads(run("info", "--backend", "numpy", "--format", "json")[1])


def test_info_describes_a_model(run):
    record = json.loads(run("info", "--model", "digits", "--format", "json")[1])
    assert record["parameters"] == 2_254_464
    assert (record["encoder_layers"], record["d_model"], record["sampling_rate"]) == (6, 128, 16000)
    assert record["generation"]["num_beams"] == 5
    assert record["folder"] == str(hub.MODELS / "digits")
    assert "parameters: 2254464\n" in run("info", "--model", "digits")[1]


def test_info_says_what_a_model_does(run, tmp_path):
    assert "task: transcription of spoken English digits\n" in run("info", "--model", "digits")[1]
    for name, says in (
        ("s2t-small-mustc-en-de-st", "task: translation of English speech into German text\npublished: BLEU 22.7\n"),
        ("mine", "task: what it was trained for; its files do not say\n"),
    ):
        shutil.copytree(hub.MODELS / "digits", tmp_path / name)
        assert says in run("info", "--model", tmp_path / name)[1]


def test_features_are_those_of_the_model(run, tmp_path):
    code, out, err = run("features", "--model", "digits", FIVE, "-o", tmp_path / "x.npy")
    written = np.load(tmp_path / "x.npy")
    assert (code, out) == (0, "")
    assert f"{written.shape[0]} frames of 10 ms x 80 mel bins, float32" in err
    assert np.array_equal(written, s2t_np.load("digits").features(FIVE))
    assert os.listdir(tmp_path) == ["x.npy"]
    assert run("features", "--model", "digits", tmp_path / "gone.wav", "-o", tmp_path / "y.npy")[0] == 1
    np.save(tmp_path / "no.wav", np.zeros(3))
    code, _, err = run("score", "--model", "digits", tmp_path / "no.wav.npy", "--text", "five")
    assert (code, len(err.splitlines()), err.count("no.wav")) == (1, 1, 1)
    os.remove(tmp_path / "no.wav.npy")
    assert run("features", "--model", "digits", FIVE, "-o", tmp_path)[0] == 2
    assert os.listdir(tmp_path) == ["x.npy"]


def test_score_of_a_transcript(run, tmp_path):
    right = json.loads(run("score", "--model", "digits", FIVE, "--text", "five five", "--format", "json")[1])
    assert right["pieces"] == ["▁five", "▁five", "</s>"]
    assert right["log_prob"] == pytest.approx(sum(right["token_log_probs"]))
    assert right["cross_entropy"] == pytest.approx(-right["log_prob"] / 3)
    (tmp_path / "text").write_text("five\nnine\n")
    code, out, err = run("score", "--model", "digits", FIVE, "--text-file", tmp_path / "text")
    wrong = dict(line.split(": ") for line in out.splitlines())
    assert (code, err, wrong["tokens"]) == (0, "", "3")
    assert float(wrong["log_prob"]) < right["log_prob"]


def test_score_warns_of_a_text_in_another_case(run):
    code, _, err = run("score", "--model", "digits", FIVE, "--text", "FIVE FIVE")
    assert code == 0
    assert "not in the model's vocabulary" in err


@pytest.mark.parametrize("content", [None, b"caf\xe9"])
def test_score_refuses_a_text_file_it_cannot_read(run, tmp_path, content, no_load):
    if content:
        (tmp_path / "text").write_bytes(content)
    code, _, err = run("score", FIVE, "--text-file", tmp_path / "text")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--text-file" in err


def test_features_as_fairseq_normalises_them(run, tmp_path):
    found = {}
    for arithmetic in ("fairseq", "stable", None):
        path = tmp_path / f"{arithmetic}.npy"
        assert (
            run("features", "--model", "digits", FIVE, "-o", path, *(["--cmvn", arithmetic] if arithmetic else []))[0]
            == 0
        )
        found[arithmetic] = np.load(path)
    fbank = s2t_np.features.fbank(s2t_np.audio.load(FIVE, 16000), 16000)
    variance = np.square(fbank).sum(axis=0) / len(fbank) - np.square(fbank.mean(axis=0))
    expected = (fbank - fbank.mean(axis=0)) / np.sqrt(variance)
    np.testing.assert_allclose(found["fairseq"], expected, atol=5e-3)
    np.testing.assert_array_equal(found["stable"], found[None])
    assert (found["fairseq"] != found["stable"]).any()
