"""The whole model without torch: against golden files that torch made, and against what must hold of any model.

tests/golden/manifest.json says how the files were made (tools/make_golden.py). The same models and sounds are made
again here from their seeds; checksums tell a changed seed or generator from a changed model.
"""

import json
from importlib.util import find_spec

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import ModelError, OptionError
from s2t_np.ops import log_softmax
from tests.support.paths import ROOT
from tools import make_golden
from tools.make_golden import MODELS, SEARCHED, forced_tokens, model_json, model_seed, sampled
from tools.parity import model_stages
from tools.random_checkpoint import sentencepiece_model, vocabulary, write_checkpoint, write_json

GOLDEN = ROOT / "tests" / "golden"
MANIFEST = json.loads((GOLDEN / "manifest.json").read_text())
SEARCHES = json.loads((GOLDEN / "searches.json").read_text())
COMPILED = pytest.param("numba", marks=pytest.mark.skipif(find_spec("numba") is None, reason="needs numba"))
each_backend = pytest.mark.parametrize("backend", ["numpy", COMPILED])


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    """Writes the checkpoint folder of a golden model, once."""
    scratch = tmp_path_factory.mktemp("golden")

    def folder(name):
        path = scratch / name
        return path if path.exists() else write_checkpoint(path, model_json(name), model_seed(name))

    return folder


@pytest.fixture(scope="session")
def golden_features():
    """Upstream's normalised features of the golden sounds: two of (T, M)."""
    with np.load(GOLDEN / "features.npz") as file:
        return [file["cmvn.0"], file["cmvn.1"]]


def assert_near(found, expected, what):
    """Within a few roundings of float32, for numbers of the size these have."""
    size = np.sqrt(np.mean(np.square(expected, dtype=np.float64)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * size, err_msg=what)


def test_the_sounds_are_those_of_the_golden_files():
    assert make_golden.checksum(make_golden.sounds()) == MANIFEST["sounds"]


@pytest.mark.parametrize("name", [*MODELS, "small"])
def test_the_weights_are_those_of_the_golden_files(name):
    assert make_golden.weights_checksum(name) == MANIFEST["weights"][name]


@each_backend
def test_features_are_upstreams(backend, folder_of, golden_features):
    model = s2t_np.load(folder_of("tied"), backend=backend)
    with np.load(GOLDEN / "features.npz") as file:
        for i, samples in enumerate(make_golden.sounds()):
            fbank = model.backend.fbank(samples, 16000, 80, np.float32)
            np.testing.assert_allclose(fbank, file[f"fbank.{i}"], rtol=0, atol=1e-3)
            assert_near(model.features(samples, 16000), golden_features[i], f"sound {i}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*MODELS, "small"])
def test_every_stage_is_upstreams(name, dtype, folder_of, golden_features):
    """Each sound alone, and the shorter one as it is in the padded batch of both."""
    model = s2t_np.load(folder_of(name), backend="numpy", dtype=dtype)
    tokens = forced_tokens(model.config.vocab_size)
    longest = max(map(len, golden_features))
    with np.load(GOLDEN / f"stages-{name}.npz") as golden:
        for key, i, length in (("0", 0, None), ("1", 1, None), ("padded 1", 1, longest)):
            stages = model_stages(model, golden_features[i], tokens, length)
            assert {f"{key}/{stage}" for stage in stages if stage != "logits (steps)"} <= set(golden)
            for stage, found in stages.items():
                kept = sampled(found) if name == "small" else found
                assert_near(kept, golden[f"{key}/{stage.split()[0]}"], f"{key}/{stage}")


@each_backend
@pytest.mark.parametrize("name", [*MODELS, "small"])
def test_memory_and_logits_are_upstreams(name, backend, folder_of, golden_features):
    """As the model computes them, the decoder by itself and step by step."""
    model = s2t_np.load(folder_of(name), backend=backend)
    tokens = forced_tokens(model.config.vocab_size)
    with np.load(GOLDEN / f"stages-{name}.npz") as golden:
        for i, features in enumerate(golden_features):
            memory = model.encode(features)
            found = {"memory": memory, "logits": model.logits(memory, tokens)}
            decoder = model.decoder(memory)
            cache = decoder.start(1)
            steps = np.concatenate([decoder.step(np.array([token]), cache).logits for token in tokens])
            for stage, array in (*found.items(), ("logits", steps)):
                kept = sampled(array) if name == "small" else array
                assert_near(kept, golden[f"{i}/{stage}"], f"{i}/{stage}")


@each_backend
@pytest.mark.parametrize("name", [*MODELS, "small"])
def test_cross_entropy_is_upstreams(name, backend, folder_of, golden_features):
    model = s2t_np.load(folder_of(name), backend=backend)
    tokens = forced_tokens(model.config.vocab_size)
    labels = [*tokens[1:], 2]
    with np.load(GOLDEN / f"stages-{name}.npz") as golden:
        for features, loss in zip(golden_features, golden["loss"], strict=True):
            log_probs = log_softmax(model.logits(model.encode(features), tokens))
            assert -log_probs[np.arange(len(labels)), labels].mean() == pytest.approx(loss, abs=1e-5)


@each_backend
@pytest.mark.parametrize("name", SEARCHED)
@pytest.mark.parametrize("beams", [1, 4, 5])
def test_searches_are_upstreams(name, beams, backend, folder_of, golden_features):
    """Every option set: the same tokens, and with beams the same scores."""
    model = s2t_np.load(folder_of(name), backend=backend)
    runs = [run for run in SEARCHES[name] if run["options"]["num_beams"] == beams]
    assert len(runs) > 25
    for run in runs:
        found = model.generate(golden_features[0], prefix=run["prefix"], **run["options"])
        expected = [row[: row.index(2, 1) + 1] if 2 in row[1:] else row for row in run["tokens"]]
        assert [list(h.tokens) for h in found] == expected, run["name"]
        if run["scores"]:
            assert [h.score for h in found] == pytest.approx(run["scores"], rel=1e-5, abs=2e-5), run["name"]


@pytest.mark.parametrize("name", ["tied", "odd"])
@pytest.mark.parametrize("padded_length", [None, 200])
def test_stages_lead_where_the_model_goes(name, padded_length, folder_of, golden_features):
    """What is seen on the way ends in the bits that the model gives by itself."""
    model, features = s2t_np.load(folder_of(name), backend="numpy"), golden_features[1]
    tokens = forced_tokens(model.config.vocab_size)
    stages = model_stages(model, features, tokens, padded_length)
    memory = model.encode(features, padded_length)
    np.testing.assert_array_equal(stages["memory"], memory)
    np.testing.assert_array_equal(stages["logits"], model.logits(memory, tokens))
    last_convolution = f"conv.{model.config.num_conv_layers - 1}"
    assert len(stages[last_convolution]) == len(memory)


def test_a_result_does_not_depend_on_what_came_before(folder_of, golden_features):
    model = s2t_np.load(folder_of("untied"))
    first = model.generate(golden_features[0], max_length=9)
    model.generate(golden_features[1], max_length=9, num_beams=2)
    assert model.generate(golden_features[0], max_length=9) == first


def test_float64_all_the_way(folder_of, golden_features):
    model = s2t_np.load(folder_of("tied"), dtype="float64")
    assert model.features(make_golden.sounds()[0], 16000).dtype == np.float64
    memory = model.encode(golden_features[0])
    assert memory.dtype == np.float64
    assert model.logits(memory, [2, 5]).dtype == np.float64


def test_transcribe_is_its_parts(folder_of):
    model, samples = s2t_np.load(folder_of("untied")), make_golden.sounds()[0]
    transcript = model.transcribe(samples, 16000, num_beams=3, num_return_sequences=2, max_length=9)
    hypotheses = model.generate(model.features(samples, 16000), num_beams=3, num_return_sequences=2, max_length=9)
    assert transcript.hypotheses == hypotheses
    assert transcript.texts == [model.tokenizer.decode(h.tokens) for h in hypotheses]
    assert transcript.text == transcript.texts[0]
    assert transcript.duration == pytest.approx(0.9)
    assert transcript.source is None


def test_score_is_what_the_search_says_of_its_own_text():
    """Scoring the digits that the bundled model hears gives the log-probability that its search gave."""
    model = s2t_np.load("digits")
    recording = next((ROOT / "s2t_np" / "recordings").glob("five-five.*"))
    best = model.transcribe(recording, num_beams=5).hypotheses[0]
    score = model.score(recording, model.tokenizer.decode(best.tokens))
    assert tuple(score.tokens) == best.generated
    assert score.log_prob == pytest.approx(best.log_prob, abs=1e-4)
    np.testing.assert_allclose(score.token_log_probs, best.token_log_probs, atol=1e-5)
    assert score.cross_entropy == pytest.approx(-score.log_prob / len(score.tokens))


@pytest.mark.parametrize("shape", [(0, 80), (80,), (5, 79), (1, 5, 80)])
def test_features_of_a_wrong_shape(shape, folder_of):
    with pytest.raises(OptionError, match=r"features of shape .* expected \(frames, 80\)"):
        s2t_np.load(folder_of("tied")).encode(np.zeros(shape, np.float32))


def test_padded_length_below_the_features(folder_of, golden_features):
    with pytest.raises(OptionError, match="padded_length is 3"):
        s2t_np.load(folder_of("tied")).encode(golden_features[0], 3)


@pytest.mark.parametrize("tokens", [[], [64], [-1], [[2, 3]]])
def test_tokens_that_are_none(tokens, folder_of, golden_features):
    model = s2t_np.load(folder_of("tied"))
    with pytest.raises(OptionError, match="ids below 64"):
        model.logits(model.encode(golden_features[0]), tokens)


@pytest.mark.parametrize("shape", [(5,), (0, 16), (5, 15), (5, 16, 1)])
def test_a_memory_of_another_shape(folder_of, shape):
    with pytest.raises(OptionError, match="memory of shape"):
        s2t_np.load(folder_of("tied")).logits(np.zeros(shape), [2, 5])


def test_unknown_precision():
    with pytest.raises(OptionError, match=r"'float8'.*float32, float64"):
        s2t_np.load("digits", dtype="float8")


def test_a_preprocessor_of_another_model_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "model", model_json("tied"))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    write_json(folder / "preprocessor_config.json", settings | {"num_mel_bins": 40, "feature_size": 40})
    with pytest.raises(ModelError, match=r"num_mel_bins is 40.*expects 80"):
        s2t_np.load(folder)


def test_a_vocabulary_of_another_model_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "model", model_json("tied"))
    pieces = vocabulary(65)
    write_json(folder / "vocab.json", {piece: i for i, piece in enumerate(pieces)})
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model(pieces))
    with pytest.raises(ModelError, match=r"65 pieces.*vocab_size of 64"):
        s2t_np.load(folder)


def test_generation_settings_of_older_checkpoints(tmp_path):
    """Before generation_config.json there was only config.json."""
    settings = {"num_beams": 3, "max_length": 17, "early_stopping": True}
    folder = write_checkpoint(tmp_path / "model", model_json("tied") | settings)
    assert s2t_np.load(folder).generation_config.max_length == 200
    (folder / "generation_config.json").unlink()
    found = s2t_np.load(folder).generation_config
    assert (found.num_beams, found.max_length, found.early_stopping) == (3, 17, True)
