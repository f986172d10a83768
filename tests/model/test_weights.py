"""The one table: what a checkpoint must hold, every refusal by name, every tensor in its place."""

import numpy as np
import pytest

from s2t_np.config import ModelConfig, read_json
from s2t_np.errors import ModelError
from s2t_np.weights import build, expected_shapes, parameter_count
from tests.support.paths import CHECKPOINT_CONFIGS, needs_shared
from tests.support.small_models import SHAPES, small_model
from tools.random_checkpoint import shape_config

NAME = "model.encoder.layers.1.self_attn.k_proj.weight"
BIAS = "model.decoder.layers.0.fc1.bias"


def refused(tensors, model, *words):
    """Building fails with one line that holds all the words."""
    with pytest.raises(ModelError) as error:
        build(tensors, model.config, "folder/model.safetensors")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("folder/model.safetensors: ")
    for word in words:
        assert word in message


def by_hand(d, f, v=10_000, tied=True):
    """Trainable parameters of width d and feed-forward width f, counted from the paper's description."""
    attention, feed_forward, norm = 4 * (d * d + d), 2 * d * f + d + f, 2 * d
    convolutions = 1024 * 80 * 5 + 1024 + 2 * d * 512 * 5 + 2 * d
    encoder = 12 * (attention + feed_forward + 2 * norm) + norm
    decoder = 6 * (2 * attention + feed_forward + 3 * norm) + norm
    return convolutions + encoder + decoder + v * d * (1 if tied else 2)


def test_parameter_counts():
    """The small model's is known; the others are counted twice."""
    shapes = {name: expected_shapes(ModelConfig.from_dict(shape_config(name))) for name in ("small", "medium", "large")}
    counts = {name: sum(int(np.prod(s)) for s in table.values()) for name, table in shapes.items()}
    assert counts == {"small": 29_536_256, "medium": by_hand(512, 2048), "large": by_hand(1024, 4096)}
    assert counts["small"] == by_hand(256, 2048)
    for name, count in counts.items():
        assert parameter_count(ModelConfig.from_dict(shape_config(name))) == count


def test_a_config_of_a_network_far_larger_than_the_file():
    model = small_model(encoder_layers=2)
    config = ModelConfig.from_dict(model.json | {"encoder_layers": 1000, "d_model": 4096})
    with pytest.raises(ModelError, match=r"describes a network of [\d,]{14,} parameters, the weights hold [\d,]{4,7};"):
        build(model.tensors, config, "folder")


@needs_shared
def test_every_real_config_has_a_table():
    folders = sorted(CHECKPOINT_CONFIGS.iterdir())
    assert len(folders) == 6
    for folder in folders:
        config = ModelConfig.from_dict(read_json(folder / "config.json"))
        shapes = expected_shapes(config)
        count = sum(int(np.prod(s)) for s in shapes.values())
        tied = config.tie_word_embeddings
        assert count == by_hand(config.d_model, config.encoder_ffn_dim, config.vocab_size, tied), folder
        assert ("lm_head.weight" in shapes) == (not tied)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_tensor_is_in_its_place(shape):
    """A name like a.b.3.c is the attribute path a.b[3].c, so following it must lead to that very tensor."""
    model = small_model(shape, dtype=np.float32)
    for name, tensor in model.tensors.items():
        place = model.weights
        for step in name.removeprefix("model.").split("."):
            place = place[int(step)] if step.isdigit() else getattr(place, step)
        assert np.shares_memory(place, tensor), name


def test_many_layers_stay_in_numerical_order():
    """Twelve layers: as words, 10 and 11 would come before 2."""
    model = small_model(encoder_layers=12, dtype=np.float32)
    for i, layer in enumerate(model.weights.encoder.layers):
        assert layer.fc1.weight is model.tensors[f"model.encoder.layers.{i}.fc1.weight"]


def test_tied_head_is_the_embedding_table():
    weights = small_model("tied").weights
    assert weights.lm_head.weight is weights.decoder.embed_tokens.weight
    assert weights.lm_head.bias is None


def test_untied_head_is_its_own():
    model = small_model("untied", dtype=np.float32)
    assert model.weights.lm_head.weight is model.tensors["lm_head.weight"]
    assert model.weights.lm_head.weight is not model.weights.decoder.embed_tokens.weight


def test_float32_is_not_copied_and_other_precisions_are_converted():
    model = small_model()
    half = {name: tensor.astype(np.float16) for name, tensor in model.tensors.items()}
    single, double = build(half, model.config, "x"), build(half, model.config, "x", np.float64)
    wanted = half[NAME]
    for weights, dtype in ((single, np.float32), (double, np.float64)):
        found = weights.encoder.layers[1].self_attn.k_proj.weight
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, wanted)
    kept = build(model.tensors, model.config, "x").encoder.layers[1].self_attn.k_proj.weight
    assert kept is model.tensors[NAME]


@pytest.mark.parametrize("name", [NAME, BIAS, "model.decoder.embed_tokens.weight", "model.encoder.layer_norm.bias"])
def test_missing(name):
    model = small_model()
    refused({k: v for k, v in model.tensors.items() if k != name}, model, name, "missing", "config.json")


def test_missing_head_of_an_untied_model():
    model = small_model("untied")
    refused({k: v for k, v in model.tensors.items() if k != "lm_head.weight"}, model, "lm_head.weight", "missing")


def test_nothing_at_all_is_missing_in_short():
    refused({}, small_model(), "model.encoder.conv.conv_layers.0.weight", "more missing")


@pytest.mark.parametrize(
    "name", ["model.encoder.layers.2.fc1.weight", "lm_head.bias", "encoder.layer_norm.weight", "model.decoder.version"]
)
def test_unknown(name):
    model = small_model()
    refused({**model.tensors, name: np.zeros(3, np.float32)}, model, name, "unknown", "config.json")


@pytest.mark.parametrize(
    "name, shape", [(NAME, (16, 15)), (NAME, (16,)), (NAME, (1, 16, 16)), (BIAS, (31,)), (BIAS, ())]
)
def test_misshaped(name, shape):
    model = small_model()
    expected = str(model.tensors[name].shape)
    refused({**model.tensors, name: np.zeros(shape, np.float32)}, model, name, str(shape), expected)


def test_transposed_is_misshaped():
    model, name = small_model(), "model.encoder.layers.0.fc1.weight"
    refused({**model.tensors, name: model.tensors[name].T}, model, name, "(16, 32)", "(32, 16)")


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.complex64])
def test_not_floating_point(dtype):
    model = small_model()
    tensors = {**model.tensors, NAME: model.tensors[NAME].astype(dtype)}
    refused(tensors, model, NAME, np.dtype(dtype).name, "floating-point")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_not_finite(value, dtype):
    model = small_model()
    damaged = model.tensors[NAME].astype(dtype)
    damaged[3, 4] = damaged[7, 0] = value
    refused({**model.tensors, NAME: damaged}, model, NAME, "2 values", "NaN or infinite")


@pytest.mark.parametrize("shape", ["tied", "untied"])
def test_computed_tables_may_be_there_and_are_not_read(shape):
    """Sinusoids, whatever they say, and in a tied model the head: real checkpoints hold them or not."""
    model = small_model(shape)
    extra = {f"model.{side}.embed_positions.weights": np.full((9, 16), np.nan) for side in ("encoder", "decoder")}
    if shape == "tied":
        extra["lm_head.weight"] = model.tensors["model.decoder.embed_tokens.weight"].copy()
    weights = build({**model.tensors, **extra}, model.config, "x")
    np.testing.assert_array_equal(weights.lm_head.weight, model.weights.lm_head.weight)
