"""Every layout in which fairseq has saved S2T gives the weights and the settings that were put in."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import s2t_np
from s2t_np.checkpoint.fairseq import find
from s2t_np.checkpoint.fairseq.checkpoint import read
from s2t_np.config import ModelConfig
from s2t_np.errors import ModelError
from s2t_np.hf.convert import convert
from tests.support.fairseq_checkpoints import CONFIG_YAML, LAYOUTS, example, old_name
from tests.support.paths import DIGITS, ROOT
from tests.support.small_tokenizers import LANGUAGES

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
SHAPE_FIELDS = [f.name for f in dataclasses.fields(ModelConfig) if f.name not in ("model_type", "bos_token_id")]


@pytest.mark.parametrize("legacy", (False, True), ids=("zip", "stream"))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_and_settings_are_those_put_in(tmp_path, layout, legacy):
    checkpoint = example()
    checkpoint.layout, checkpoint.legacy = layout, legacy
    found = read(checkpoint.write(tmp_path))
    config = ModelConfig.from_dict(found.config)
    assert {name: getattr(config, name) for name in SHAPE_FIELDS} == {
        name: getattr(checkpoint.config, name) for name in SHAPE_FIELDS
    }
    for name, array in found.tensors.items():
        np.testing.assert_array_equal(array, checkpoint.tensors[old_name(name)])


@pytest.mark.parametrize(
    "shape",
    (
        {"tie_word_embeddings": False},
        {"scale_embedding": False},
        {"conv_kernel_sizes": [5, 3, 5], "num_conv_layers": 3},
        {"encoder_layers": 4, "decoder_layers": 1},
        {"encoder_layers": 1, "encoder_ffn_dim": 24, "decoder_ffn_dim": 20},
    ),
    ids=str,
)
def test_other_shapes(tmp_path, shape):
    checkpoint = example(**shape)
    model = s2t_np.load(checkpoint.write(tmp_path).parent, backend="numpy")
    assert model.config == dataclasses.replace(checkpoint.config, max_source_positions=6000, max_target_positions=1024)
    assert model.transcribe(FIVE, num_beams=1, max_length=8).duration > 1


@pytest.mark.parametrize("dtype", (np.float16, np.float64))
def test_other_precisions(tmp_path, dtype):
    checkpoint = example(dtype=dtype)
    model = s2t_np.load(checkpoint.write(tmp_path), backend="numpy")
    expected = checkpoint.tensors["encoder.transformer_layers.0.fc1.weight"].astype(np.float32)
    np.testing.assert_array_equal(model.weights.encoder.layers[0].fc1.weight, expected)


def test_the_converted_folder_computes_the_same(tmp_path):
    path = example().write(tmp_path / "fairseq")
    convert(path.parent, tmp_path / "converted")
    samples = np.random.default_rng(0).standard_normal(8000).astype(np.float32) / 10
    before, after = (s2t_np.load(place, backend="numpy") for place in (path, tmp_path / "converted"))
    features = before.features(samples, 16000)
    np.testing.assert_array_equal(before.encode(features), after.encode(features))
    assert before.generate(features) == after.generate(features)
    assert before.tokenizer.vocab == after.tokenizer.vocab


def test_training_state_is_not_looked_at(tmp_path):
    checkpoint = example()
    checkpoint.optimizer = {"moment": np.full((3, 3), np.nan, np.float32)}
    checkpoint.more = {"optimizer_history": [{"num_updates": 7}], "ema": {"decay": 0.999}}
    assert "moment" not in read(checkpoint.write(tmp_path)).tensors


BIG = """
import resource, sys
import s2t_np
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
s2t_np.load(sys.argv[1], backend="numpy")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss and sparse files of Linux")
def test_a_gigabyte_of_training_state_costs_no_memory(tmp_path):
    """The stream format puts the optimiser's storages after the network's: here they are a hole in the file."""
    checkpoint = example()
    checkpoint.legacy = True
    checkpoint.optimizer = {"moments": np.zeros(4, np.float32)}
    content = checkpoint.file()
    count = 2**28  # numbers: 1 GB
    small, large = view_count(4), view_count(count)
    assert content.count(small) == 1
    head = content.replace(small, large)[: -(8 + 16)]
    path = checkpoint.write(tmp_path)
    path.unlink()
    with open(path, "wb") as file:
        file.write(head + count.to_bytes(8, "little"))
        file.truncate(file.tell() + 4 * count)
    done = subprocess.run([sys.executable, "-c", BIG, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50


def view_count(count: int) -> bytes:
    """The end of the persistent id of the optimiser's storage, its shape and stride: one axis of `count` numbers."""
    from tests.support.checkpoints import number, numbers, text, tup

    return (
        b"".join((text("cpu"), number(count), b"N", b"t", b"Q", number(0), numbers([count]), numbers([1]))) + tup()[:0]
    )


def test_languages(tmp_path):
    checkpoint = example("multilingual")
    checkpoint.yaml += "prepend_tgt_lang_tag: true\n"
    model = s2t_np.load(checkpoint.write(tmp_path), backend="numpy")
    assert set(model.tokenizer.languages) == set(LANGUAGES)
    german = model.tokenizer.language_id("de")
    assert model.tokenizer.id_to_piece[german] == "<lang:de>"
    features = model.features(FIVE)
    assert model.generate(features, forced_bos_token_id=german, max_length=6)[0].tokens[1] == german


def test_statistics_of_a_training_set(tmp_path):
    checkpoint = example()
    checkpoint.yaml = (
        CONFIG_YAML.replace("utterance_cmvn", "global_cmvn") + "global_cmvn:\n  stats_npz_path: /data/g.npz\n"
    )
    path = checkpoint.write(tmp_path)
    mean, std = np.linspace(1, 5, 80), np.linspace(0.5, 2, 80)
    np.savez(tmp_path / "g.npz", mean=mean.astype(np.float32), std=std.astype(np.float32))
    model = s2t_np.load(path, backend="numpy")
    plain = dataclasses.replace(model.feature_config, global_mean=None, global_std=None)
    raw = dataclasses.replace(model, feature_config=plain).features(FIVE)
    np.testing.assert_allclose(model.features(FIVE), (raw - mean) / std, atol=1e-5)
    with pytest.raises(ModelError, match="global CMVN"):
        convert(path, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_which_checkpoint_of_a_folder(tmp_path):
    checkpoint = example()
    best = checkpoint.write(tmp_path)
    assert find(tmp_path) == best
    checkpoint.write(tmp_path, "checkpoint_last.pt")
    assert find(tmp_path) == best
    assert find(tmp_path / "checkpoint_last.pt").name == "checkpoint_last.pt"
    best.rename(tmp_path / "checkpoint7.pt")
    with pytest.raises(ModelError, match=r"holds 2 checkpoints .*NAME\.pt"):
        find(tmp_path)
    assert find(DIGITS) is None


def test_the_command_takes_it(tmp_path, run):
    path = example().write(tmp_path)
    assert run("transcribe", "--model", path, "--backend", "numpy", "--max-length", 6, FIVE)[0] == 0
    code, out, _ = run("info", "--model", path.parent, "--backend", "numpy")
    assert code == 0 and "checkpoint_best.pt" in out
    code, _, _ = run("convert", path, tmp_path / "out")
    assert code == 0 and (tmp_path / "out" / "model.safetensors").exists()
