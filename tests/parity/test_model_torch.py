"""Every stage against torch, and both against float64: the model rooms owe torch nothing in accuracy.

All recordings are pooled. Of each stage two things must hold: the root-mean-square error against float64 is at most 1.5
times torch's, and so is the error that one number in a hundred exceeds. (Few activations of the trained model are a
hundred times the others, and so are their errors: the largest of all is the luck of a few roundings.)
"""

import importlib.util

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from s2t_np import audio, features
from s2t_np.config import FeatureConfig
from tests.parity.pairs import RATE, SOURCE, pair, speech, upstream
from tests.support.paths import LIBRISPEECH, needs_shared
from tools.parity import HEADER, compare_features, compare_model, errors_of
from tools.random_checkpoint import EOS

GOLDEN_ROW = (  # from transformers' own tests: first frame of 1272-128104-0000, 24 mel bins, CMVN on
    "-1.5745 -1.7713 -1.7020 -1.6069 -1.2250 -1.1105 -0.9072 -0.8241 -1.2310 -0.8098 -0.3320 -0.4101 "
    "-0.7985 -0.4996 -0.8213 -0.9128 -1.0420 -1.1286 -1.0440 -0.7999 -0.8405 -1.2275 -1.5443 -1.4625"
)


def judge(what, errors):
    """Print the table; every stage must keep its tolerances."""
    print(f"\n{what} ({SOURCE})", HEADER, *(e.line() for e in errors), sep="\n")
    assert [e.line() for e in errors if not e.within] == []


@needs_shared
def test_the_golden_row():
    samples = audio.load(LIBRISPEECH / "dev-clean" / "1272" / "128104" / "1272-128104-0000.flac", RATE)
    found = features.features(samples, FeatureConfig(num_mel_bins=24, feature_size=24))
    assert found.shape == (584, 24)
    np.testing.assert_allclose(found[0], np.array(GOLDEN_ROW.split(), float), atol=1e-4)


def test_features():
    """fbank within 1e-3 of transformers on speech, and CMVN no further from float64 than upstream's."""
    recordings = speech()[::3]
    judge(f"features of {len(recordings)} recordings", errors_of(compare_features(pair("digits"), recordings)))


def chosen(name):
    """Features of some recordings, long and short, and 24 tokens for each (`digits` would write none for most)."""
    model, count = pair(name).model, {"small": 3, "digits": 12}[name]
    heard = [model.features_of_samples(samples) for samples in speech()[:: 60 // count]]
    draws = np.random.default_rng(0)
    return heard, [(EOS, *draws.integers(4, model.config.vocab_size, 23).tolist()) for _ in heard]


def backends():
    """Both; the compiled one where Numba is installed."""
    skip = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="needs numba")
    return pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=skip)])


@backends()
@pytest.mark.parametrize("padded", [False, True], ids=["alone", "padded"])
@pytest.mark.parametrize("name", ["small", "digits"])
def test_every_stage(name, padded, backend):
    """From the first convolution to the logits, teacher-forced and cached; logits within 2e-4 of torch."""
    heard, tokens = chosen(name)
    if padded:
        heard, tokens = heard[:4], tokens[:4]
    what = f"{name}, {len(heard)} recordings{' in one padded batch' if padded else ''}"
    judge(f"{what}, {backend}", errors_of(compare_model(pair(name, backend), heard, tokens, padded)))


@backends()
def test_half_a_minute_and_more(backend):
    """Beyond the 1500 positions that the bundled model's table has room for upstream."""
    samples = np.concatenate(speech())[: 65 * RATE]
    heard = pair("digits").model.features_of_samples(samples)
    tokens = [EOS, *(4 + np.arange(60) % 26)]
    judge(
        f"digits, 65 s, 61 tokens, {backend}",
        errors_of(compare_model(pair("digits", backend), [heard], [tokens], False)),
    )


def test_padding_among_the_tokens():
    """Upstream gives padding no position and does not count it, in a pass over all tokens."""
    model, heard = pair("digits").model, pair("digits").model.features_of_samples(speech()[0])
    tokens = np.array([2, 9, 1, 8, 1, 1, 7, 29])
    theirs = upstream()("stages", {"features.0": heard, "tokens": tokens[None]}, folder=pair("digits").folder)[1]
    np.testing.assert_allclose(model.logits(model.encode(heard), tokens), theirs["logits"][0], atol=2e-4)


@pytest.mark.parametrize("name, text", [("digits", "one seven four"), ("digits", "oh"), ("small", "badego mistelo")])
def test_score_is_the_loss_of_labels(name, text):
    """Each side from the sound on."""
    model, samples = pair(name).model, speech()[3]
    score = model.score(samples, text, RATE)
    labels = np.array(model.tokenizer.encode(text))
    loss = upstream()("loss", {"audio.0": samples, "labels": labels}, folder=pair(name).folder)[0]
    assert score.cross_entropy == pytest.approx(loss, abs=1e-4)
    assert score.log_prob == pytest.approx(-loss * len(labels), abs=1e-3)
