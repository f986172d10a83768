"""The parts of the recipe: learning rate, Adam, clipping, masks, batches, features on the disk, first weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import s2t_np
from s2t_np import audio
from s2t_np.config import FeatureConfig, ModelConfig
from s2t_np.errors import AudioError, IncompleteAudioError, OptionError
from s2t_np.evaluation import Utterance
from s2t_np.features import features
from s2t_np.system.atomic_files import temporary_file
from s2t_np.tokenizer import Tokenizer
from s2t_np.training import store as store_module
from s2t_np.training.data import Limits, Writing, batches, cut, example_of, read_examples
from s2t_np.training.derivatives.dropout import Rates
from s2t_np.training.derivatives.network import make_batch
from s2t_np.training.initial import initial_weights
from s2t_np.training.learner import CTC_WEIGHT, Learner, trained_names
from s2t_np.training.optimizer import Adam, clip, inverse_square_root
from s2t_np.training.recipe import FROM_NOTHING, Recipe, randomness
from s2t_np.training.specaugment import POLICIES, spec_augment
from s2t_np.training.store import FeatureStore, at_speed
from s2t_np.training.vocabulary import write_vocabulary
from s2t_np.weights import expected_shapes
from tests.support.paths import SHARED, needs_shared
from tests.support.small_models import noise, small_model
from tests.training.small_corpus import RATE, write_corpus
from tools.signals import harmonics


def test_the_rate_rises_and_falls():
    rates = [inverse_square_root(update, 2e-3, 100) for update in (1, 50, 100, 400, 10000)]
    assert rates == pytest.approx([2e-5, 1e-3, 2e-3, 1e-3, 2e-4])


def test_the_rate_falls_to_zero_where_the_end_is_known():
    recipe = Recipe(lr=2e-3, warmup_updates=100, lr_scheduler="polynomial_decay", max_update=299)
    assert [recipe.rate(u) for u in (1, 50, 100, 200, 299, 300, 400)] == pytest.approx(
        [2e-5, 1e-3, 2e-3, 1e-3, 1e-5, 0, 0], abs=1e-12
    )
    assert Recipe(lr=2e-3, warmup_updates=100).rate(400) == pytest.approx(1e-3)
    with pytest.raises(OptionError, match="polynomial_decay ends at max_update, which is 100; expected more than"):
        Recipe(warmup_updates=100, lr_scheduler="polynomial_decay", max_update=100)
    with pytest.raises(OptionError, match="inverse_sqrt or polynomial_decay"):
        Recipe(lr_scheduler="cosine")


def test_adam_against_its_formula():
    """Two steps written out (Kingma and Ba, algorithm 1)."""
    w, gradients = np.array([1.0, -2.0]), [np.array([0.5, 1e-3]), np.array([-0.25, 2e-3])]
    parameters = {"w": w.copy()}
    optimizer, m, v = Adam.start(parameters, ["w"]), np.zeros(2), np.zeros(2)
    for t, g in enumerate(gradients, 1):
        optimizer.step(parameters, {"w": g}, 0.1)
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g * g
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.98**t)) + 1e-8)
    np.testing.assert_allclose(parameters["w"], w, rtol=1e-9)


def test_a_long_gradient_is_shortened_and_a_short_one_is_not():
    gradients = {"a": np.array([3.0]), "b": np.array([[0.0, 4.0]])}
    assert clip(gradients, 1.0) == 5.0
    np.testing.assert_allclose([gradients["a"][0], gradients["b"][0, 1]], [0.6, 0.8], rtol=1e-6)
    assert clip(gradients, 2.0) == pytest.approx(1.0) and gradients["a"][0] == pytest.approx(0.6, rel=1e-6)
    assert clip(gradients, 0) == pytest.approx(1.0) and gradients["a"][0] == pytest.approx(0.6, rel=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 50, 300])
def test_masks_stay_within_their_limits(frames):
    x = noise(frames, 80, seed=1)
    for seed in range(20):
        masked = spec_augment(x, POLICIES["ld"], np.random.default_rng(seed))
        hidden = masked != x
        assert masked.shape == x.shape and hidden.all(axis=0).sum() <= 2 * 26
        assert hidden.all(axis=1).sum() <= 2 * min(99, max(0, frames - 1))
        assert np.unique(masked[hidden]).size <= 1
    assert (spec_augment(x, POLICIES["none"], np.random.default_rng(1)) == x).all()
    assert spec_augment(x[:0], POLICIES["ld"], np.random.default_rng(1)).shape == (0, 80)


def test_batches():
    """Every utterance once, similar lengths together, no batch too large, another order in each epoch."""
    frames = np.random.default_rng(0).integers(20, 400, 500).tolist()
    first, second = (batches(frames, 2000, 1, epoch) for epoch in (0, 1))
    for found in (first, second):
        assert sorted(i for batch in found for i in batch) == list(range(500))
        assert all(sum(frames[i] for i in batch) <= 2000 for batch in found)
        spread = [max(frames[i] for i in b) - min(frames[i] for i in b) for b in found]
        assert np.mean(spread) < 60
    assert first != second and first == batches(frames, 2000, 1, 0) != batches(frames, 2000, 2, 0)
    lengths = [frames[i] for batch in batches(frames, 2000, 1, 0, curriculum=1) for i in batch]
    assert lengths == sorted(lengths)
    assert list(cut([0, 1, 2], [50, 500, 30], 100)) == [[0], [1], [2]]


def test_randomness_depends_on_seed_and_purpose_alone():
    draws = [randomness(*key).random() for key in ((1, 0, 5), (1, 0, 6), (1, 1, 5), (2, 0, 5))]
    assert len(set(draws)) == 4 and randomness(1, 0, 5).random() == draws[0]


def test_features_are_kept_by_content(tmp_path, monkeypatch):
    write_corpus(tmp_path, 2)
    config = FeatureConfig(num_mel_bins=10, feature_size=10)
    store = FeatureStore(config, tmp_path / "kept")
    found = store.get(tmp_path / "0.wav")
    np.testing.assert_array_equal(found, features(audio.read(tmp_path / "0.wav", RATE), config))
    monkeypatch.setattr(store_module, "features", None)  # computing would fail
    (tmp_path / "0.wav").rename(tmp_path / "moved.wav")
    np.testing.assert_array_equal(FeatureStore(config, tmp_path / "kept").get(tmp_path / "moved.wav"), found)
    monkeypatch.undo()
    soundfile.write(tmp_path / "moved.wav", harmonics(9, 0.5), RATE)
    assert len(FeatureStore(config, tmp_path / "kept").get(tmp_path / "moved.wav")) != len(found)
    other = FeatureStore(FeatureConfig(num_mel_bins=12, feature_size=12), tmp_path / "kept")
    assert other.get(tmp_path / "1.wav").shape[1] == 12
    assert len(list((tmp_path / "kept").rglob("*.npy"))) == 3
    for path in (tmp_path / "kept").rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:50])  # damaged: made anew
    damaged = store.file_of(tmp_path / "1.wav", 1)
    store.get(tmp_path / "1.wav")
    damaged.write_bytes(damaged.read_bytes().replace(b"<f4", b",f4"))  # numpy raises SyntaxError
    np.testing.assert_array_equal(store.get(tmp_path / "1.wav"), features(audio.read(tmp_path / "1.wav", RATE), config))
    with pytest.raises(AudioError, match=r"no\.wav: cannot be read"):
        store.get(tmp_path / "no.wav")


def test_a_recording_that_is_cut_short_gives_no_features(tmp_path):
    """Its text is that of the whole recording, so it would teach something wrong; and it would be kept."""
    write_corpus(tmp_path, 1)
    path = tmp_path / "0.wav"
    path.write_bytes(path.read_bytes()[:-2000])
    store = FeatureStore(FeatureConfig(num_mel_bins=10, feature_size=10), tmp_path / "kept")
    with pytest.raises(IncompleteAudioError, match=r"0\.wav: is cut short"):
        store.get(path)
    assert list((tmp_path / "kept").rglob("*.npy")) == []


def test_what_killed_runs_have_left_among_kept_features_is_removed_and_what_is_written_now_is_not(tmp_path):
    place = tmp_path / "kept" / "ab"
    place.mkdir(parents=True)
    (place / ".s2t-np-0123456789abcdef.tmp").write_bytes(b"half")
    with temporary_file(place) as file:
        FeatureStore(FeatureConfig(), tmp_path / "kept")
        assert [path.name for path in place.iterdir()] == [Path(file.name).name]


def test_speed():
    x = harmonics(1, 1.0)
    assert at_speed(x, 1.0) is x
    assert len(at_speed(x, 1.25)) == pytest.approx(len(x) / 1.25, abs=1)
    assert len(at_speed(x, 0.9)) == pytest.approx(len(x) / 0.9, abs=1)


def vocabulary(folder, texts=("ba de", "gi ko", "mu mu"), size=20):
    folder.mkdir(exist_ok=True)
    count = write_vocabulary(texts, size, folder)
    return Tokenizer.from_folder(folder), count


def test_a_vocabulary_of_ones_own(tmp_path):
    tokenizer, count = vocabulary(tmp_path / "new")
    assert len(tokenizer) == count <= 20
    assert [tokenizer.vocab[p] for p in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]
    assert tokenizer.decode(tokenizer.encode("de mu ba")) == "de mu ba"
    assert (tmp_path / "new" / "vocab.json").exists() and json.loads((tmp_path / "new" / "vocab.json").read_text())
    with pytest.raises(OptionError, match="vocab_size 5: SentencePiece cannot"):
        vocabulary(tmp_path / "new", size=5)


def test_rows_that_cannot_be_used_are_named(tmp_path):
    table = write_corpus(tmp_path / "c", 8)
    tokenizer, _ = vocabulary(tmp_path / "v")
    store = FeatureStore(FeatureConfig(num_mel_bins=10, feature_size=10))
    good, bad = read_examples(table, store, Writing(tokenizer), Limits(30))
    assert (len(good), bad) == (8, []) and good[3].text == "ko ko" and good[3].labels[-1] == 2
    assert good[0].frames == len(store.get(good[0].audio))
    rows = table.read_text() + "x\t0.wav\tßß\ny\t1.wav\tba ba ba ba ba ba ba ba\nz\tnone.wav\tba\nw\tcorpus.tsv\tba\n"
    table.write_text(rows)
    good, bad = read_examples(table, store, Writing(tokenizer), Limits(12, 70, bad_rows=0.9))
    reasons = {failure.path.split("/")[-1]: failure.reason for failure in bad}
    assert "cannot spell 'ßß'" in reasons["x"] and "expected at most 12" in reasons["y"]
    assert reasons["none.wav"] == "no such file" and "corpus.tsv" in reasons["w"]
    assert "frames (10 ms each), expected at most 70" in reasons["7"]
    with pytest.raises(OptionError, match=r"4 of 12 rows cannot be used, expected at most 5 % \(--max-bad-rows\)"):
        read_examples(table, store, Writing(tokenizer), Limits(12))


def test_initial_weights_have_fairseqs_sizes():
    config = ModelConfig()
    tensors = initial_weights(config, 1)
    assert {n: t.shape for n, t in tensors.items()} == expected_shapes(config)
    assert all(t.dtype == np.float32 for t in tensors.values())
    d, f = config.d_model, config.encoder_ffn_dim
    largest = {name: np.abs(tensors[f"model.{name}.weight"]).max() for name in ("encoder.layers.0.fc1",)}
    assert largest["encoder.layers.0.fc1"] == pytest.approx((6 / (d + f)) ** 0.5, rel=0.01)
    q = tensors["model.decoder.layers.5.encoder_attn.q_proj.weight"]
    assert np.abs(q).max() == pytest.approx((3 / (2 * d)) ** 0.5, rel=0.01)
    conv = tensors["model.encoder.conv.conv_layers.0.weight"]
    assert np.abs(conv).max() == pytest.approx((80 * 5) ** -0.5, rel=0.01)
    table = tensors["model.decoder.embed_tokens.weight"]
    assert table.std() == pytest.approx(d**-0.5, rel=0.01) and not table[config.pad_token_id].any()
    np.testing.assert_array_equal(initial_weights(config, 1)["model.encoder.layer_norm.weight"], 1)
    assert (initial_weights(config, 2)["model.encoder.layers.0.fc1.weight"] != 0).all()


def learner(shape="tied", **changes):
    model = small_model(shape, dtype=np.float32)
    recipe = FROM_NOTHING.replace(lr=1e-2, warmup_updates=1, **changes)
    return Learner.start(model.weights, model.config, Rates(), recipe)


def one_batch(config, seed=0):
    pairs = [(noise(n, 6, seed=n + seed, dtype=np.float32), [5, 7 + u, 2]) for u, n in enumerate((20, 33))]
    return make_batch(pairs, config)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.5])
def test_an_update_learns(ctc_weight):
    found = learner(ctc_weight=ctc_weight)
    batch = one_batch(found.config)
    before = found.loss(batch).nll
    updates = [found.update([(batch, np.random.default_rng(i))]) for i in range(8)]
    assert found.loss(batch).nll < 0.5 * before
    assert updates[-1].loss < updates[0].loss and found.optimizer.count == 8
    assert updates[0].nll == pytest.approx(before / 6, rel=1e-5) and updates[0].tokens == 6
    assert (CTC_WEIGHT in found.parameters) == bool(ctc_weight)


def test_batches_of_one_update_add_up():
    """Two batches give the step that one batch of both gives."""
    together, apart = learner(), learner()
    pairs = [(noise(n, 6, seed=n, dtype=np.float32), [5, 9, 2]) for n in (20, 33)]
    rng = np.random.default_rng(0)
    together.update([(make_batch(pairs, together.config), rng)])
    apart.update([(make_batch([pair], apart.config), rng) for pair in pairs])
    for name, array in together.parameters.items():
        if not name.endswith("k_proj.bias"):  # its gradient is zero but for rounding, of which Adam makes a step
            np.testing.assert_allclose(apart.parameters[name], array, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("part", ["encoder", "decoder.layers.0", "decoder.embed_tokens"])
def test_frozen_parts_stay(part):
    found = learner(freeze=(part,))
    before = {name: array.copy() for name, array in found.parameters.items()}
    found.update([(one_batch(found.config), np.random.default_rng(0))])
    for name, array in found.parameters.items():
        frozen = name.startswith(f"model.{part}.")
        assert (array == before[name]).all() == frozen or name.endswith("bias"), name


def test_parts_that_there_are_not_are_refused():
    with pytest.raises(OptionError, match="there is no part 'encodr'"):
        learner(freeze=("encodr",))
    with pytest.raises(OptionError, match="nothing is left to train"):
        trained_names(["model.encoder.x", "model.decoder.y"], ("encoder", "decoder"))


@pytest.mark.parametrize(
    "wrong", [{"lr": -1}, {"warmup_updates": 0}, {"specaugment": "xx"}, {"speed": ()}, {"speed": (9.0,)}, {"seed": 1.5}]
)
def test_wrong_options_are_refused_by_name(wrong):
    with pytest.raises(OptionError, match=f"training options: {next(iter(wrong))} is"):
        Recipe(**wrong)


def test_texts_are_written_as_the_vocabulary_can(tmp_path):
    """Lower case, unless the vocabulary has upper case; what is asked for is done in any case."""
    lower, both = vocabulary(tmp_path / "a")[0], vocabulary(tmp_path / "b", ["Ba, de.", "gi Ko"], 30)[0]
    assert Writing(lower).normalize(" Ba,  DE. ") == "ba, de." and Writing(both).normalize(" Ba,  DE. ") == "Ba, DE."
    assert Writing(both, "words").normalize("Ba, DE.") == "ba de" and Writing(lower, "none").normalize("BA") == "BA"


@needs_shared
def test_the_language_of_the_labels():
    """fairseq's own multilingual model: the labels begin with the piece of the language that is asked for."""
    tokenizer = s2t_np.load(SHARED / "reference" / "fairseq" / "lang" / "model.pt", backend="numpy").tokenizer
    languages = list(tokenizer.languages)
    assert len(languages) > 1
    store = FeatureStore(FeatureConfig())
    for lang in languages:
        recording = next((SHARED / "audio" / "digits-test").glob("*.flac"))
        row = Utterance("a", recording, "five")
        found = example_of(row, store, Writing(tokenizer, lang=lang), Limits(100))
        assert found.labels[0] == tokenizer.languages[lang], found
