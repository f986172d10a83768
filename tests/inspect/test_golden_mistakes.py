"""The usual mistakes, planted one by one in the pipeline: each is found at the right stage and called by its name."""

import dataclasses
import math

import numpy as np
import pytest

import s2t_np
from s2t_np import audio, decoder, encoder, features, layers, ops
from s2t_np.checkpoint import safetensors
from s2t_np.inspect.golden import check, read_pack, write_pack
from s2t_np.inspect.golden.explain import explain
from s2t_np.inspect.golden.mistakes import Evidence
from s2t_np.inspect.golden.pack import forward
from s2t_np.ops import numpy_ops
from tests.support.paths import DIGITS
from tools.random_checkpoint import variant_config, write_checkpoint
from tools.signals import harmonics

RECORDINGS = DIGITS.parent.parent / "recordings"


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def samples():
    """Speech with a third of a second of digital silence after it, where the floors show."""
    return np.concatenate([audio.load(RECORDINGS / "five-five.flac", 16000), np.zeros(5000, np.float32)])


@pytest.fixture(scope="module")
def pack(model, samples, tmp_path_factory):
    """(folder, manifest)."""
    folder = tmp_path_factory.mktemp("packs") / "pack"
    return folder, write_pack(model, samples, folder, sampling_rate=16000)


def first_wrong(folder, arrays, tmp_path):
    """The first wrong finding of a dump."""
    np.savez(tmp_path / "dump.npz", **arrays)
    return check(folder, tmp_path / "dump.npz").first


def phase(length, period):
    return np.arange(length) * (2 * np.pi / period)


def keep_first_sample(x):
    y = x - 0.97 * np.roll(x, 1, axis=1)
    y[:, 0] = x[:, 0]
    return y


def unbiased_cmvn(x, *_):
    return ((x - x.mean(axis=0)) / x.std(axis=0, ddof=1)).astype(x.dtype)


def gate_swapped(x):
    a, b = np.split(x, 2, axis=-1)
    return b / (1 + np.exp(-a))


def sinusoids(start, count, width, dtype=np.float32, first=0, divide=1, woven=False):
    half = width // 2
    angles = np.arange(start, start + count)[:, None] * np.exp(np.arange(half) * (-np.log(10000.0) / (half - divide)))
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1 if woven else -2)
    return waves.reshape(count, width).astype(dtype)


def causal(shift):
    def weights(q, k, first=None, right=ops.attention_weights):
        return right(q, k, None if first is None or shift is None else first + shift)

    return weights


def heads_woven(x, heads):
    *lead, rows, width = x.shape
    return np.moveaxis(x.reshape(*lead, rows, width // heads, heads), -1, -3)


def without_bias(x, w, right=ops.conv1d):
    return right(x, w._replace(bias=np.zeros_like(w.bias)))


def unscaled(table, w, x, heads):
    return table.linear(x, w.q_proj)


def log_of_one_more(x):
    return np.log1p(x)


def magnitude(x, fft_length):
    return np.abs(np.fft.rfft(x, fft_length)[:, :-1])


WINDOW, CONV, POSITIONS = "features.povey_window", "encoder.conv.conv_layers.0", "encoder.embed_positions"
WEIGHTS, CAUSAL = "encoder.layers.0.self_attn.attn_weights", "decoder.layers.0.self_attn.attn_weights"
# what to break, how, at which stage it must be found, and by which words
BROKEN = [
    (features, "povey_window", lambda n: 0.5 - 0.5 * np.cos(phase(n, n - 1)), WINDOW, "a Hann window"),
    (features, "povey_window", lambda n: 0.54 - 0.46 * np.cos(phase(n, n - 1)), WINDOW, "a Hamming window"),
    (features, "povey_window", lambda n: (0.5 - 0.5 * np.cos(phase(n, n))) ** 0.85, WINDOW, "periodic"),
    (features, "SAMPLE_SCALE", np.float64(1), "features.frames", "multiplied by 3.05176e-05 = 1 / (2^15)"),
    (features, "remove_dc", lambda x: x, "features.remove_dc", "these are the numbers of features.frames"),
    (features, "preemphasize", keep_first_sample, "features.preemphasize", "first sample of each frame is left as"),
    (features, "PREEMPHASIS", 0.95, "features.preemphasize", "0.95 instead of 0.97"),
    (features, "power_spectrum", magnitude, "features.power_spectrum", "the magnitude instead of its square"),
    (features, "LOWEST_FREQUENCY", 0.0, "features.mel_bank", "filters from 0 to 8000 Hz instead of 20"),
    (features, "LOG_FLOOR", 0.0, "features.log_mel", "the floor of 2^-23 before the logarithm is missing"),
    (features, "LOG_FLOOR", 1e-10, "features.log_mel", "a floor of 1e-10"),
    (features, "floored_log", lambda x: np.log10(np.maximum(x, 2**-23)), "features.log_mel", "log10 instead"),
    (features, "floored_log", log_of_one_more, "features.log_mel", "log(1 + x) instead of log(x)"),
    (features, "cmvn", unbiased_cmvn, "features.cmvn", "the unbiased variance, over T - 1"),
    (ops, "conv1d", without_bias, CONV, "the bias is missing"),
    (ops, "glu", gate_swapped, f"{CONV}.glu", "the halves of the gate are swapped"),
    (layers, "embedding_scale", lambda config: 1.0, "encoder.embed_scale", "not multiplied by sqrt(D)"),
    (layers, "sinusoids", lambda s, *a: sinusoids(0, *a), POSITIONS, "positions count from 0;"),
    (layers, "sinusoids", lambda s, *a: sinusoids(1, *a), POSITIONS, "positions count from 1;"),
    (layers, "sinusoids", lambda *a: sinusoids(*a, woven=True), POSITIONS, "sine and cosine are interleaved"),
    (layers, "sinusoids", lambda *a: sinusoids(*a, divide=0), POSITIONS, "frequencies divide by D/2;"),
    (layers, "queries", unscaled, WEIGHTS, "queries are not scaled by (D/H)^-0.5"),
    (decoder, "queries", unscaled, CAUSAL, "queries are not scaled by (D/H)^-0.5"),
    (ops, "split_heads", heads_woven, WEIGHTS, "heads are interleaved columns"),
    (ops, "attention_weights", causal(1), CAUSAL, "tokens see the next one"),
    (ops, "attention_weights", causal(None), CAUSAL, "the causal mask is missing"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a pipeline without floors divides by zero
@pytest.mark.parametrize("room, name, wrong, stage, words", BROKEN, ids=lambda x: x if isinstance(x, str) else "")
def test_a_broken_function(model, samples, pack, tmp_path, monkeypatch, room, name, wrong, stage, words):
    folder, manifest = pack
    monkeypatch.setattr(room, name, wrong)
    for table in (features.mel_bank, features.povey_window):
        getattr(table, "cache_clear", lambda: None)()
    arrays = forward(model, samples, np.array(manifest["tokens"])).arrays
    monkeypatch.undo()
    features.mel_bank.cache_clear()
    found = first_wrong(folder, arrays, tmp_path)
    assert (found.stage, words in found.says) == (stage, True), found


def post_norm(table, w, config, x):
    heads = config.encoder_attention_heads
    x = table.layer_norm(layers.self_attention(table, w.self_attn, heads, x, x), w.self_attn_layer_norm)
    return table.layer_norm(layers.feed_forward(table, w, x, x), w.final_layer_norm)


def test_post_norm(model, samples, pack, tmp_path, monkeypatch):
    folder, manifest = pack
    monkeypatch.setattr(encoder, "encoder_layer", post_norm)
    arrays = forward(model, samples, np.array(manifest["tokens"])).arrays
    del arrays["encoder.embeddings"]  # the watcher takes them where a pre-norm layer begins
    found = first_wrong(folder, arrays, tmp_path)
    assert found.stage == "encoder.layers.0.self_attn_layer_norm"
    assert "(post-norm)" in found.says


def norm_with(**changed):
    options = {"epsilon": 1e-5, "spare": 0, "gain": True, "mean": True} | changed

    def layer_norm(x, w):
        y = x - x.mean(-1, keepdims=True) * options["mean"]
        y = y / np.sqrt((y * y).sum(-1, keepdims=True) / (x.shape[-1] - options["spare"]) + options["epsilon"])
        return (y * w.weight + w.bias if options["gain"] else y).astype(x.dtype)

    return layer_norm


def without_residual(x, w, residual=None):
    return ops.linear(x, w)


def gelu(x, w):
    y = ops.linear(x, w)
    return (0.5 * y * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))).astype(y.dtype)


def gelu_by_tanh(x, w):
    y = ops.linear(x, w)
    return (0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))).astype(y.dtype)


IN_OPS = [
    ({"layer_norm": norm_with(spare=1)}, "encoder.layers.0.self_attn_layer_norm", "the unbiased variance, over D - 1"),
    ({"layer_norm": norm_with(gain=False)}, "encoder.layers.0.self_attn_layer_norm", "gain and offset are missing"),
    ({"layer_norm": norm_with(mean=False)}, "encoder.layers.0.self_attn_layer_norm", "RMS norm"),
    ({"layer_norm": norm_with(epsilon=1e-1)}, "encoder.layers.0.self_attn_layer_norm", "unexplained"),
    ({"linear": without_residual}, "encoder.layers.0.self_attn_residual", "the residual is missing"),
    ({"linear_activation": ops.linear}, "encoder.layers.0.activation_fn", "the ReLU is missing"),
    ({"linear_activation": gelu}, "encoder.layers.0.activation_fn", "GELU (exact, with erf)"),
    ({"linear_activation": gelu_by_tanh}, "encoder.layers.0.activation_fn", "GELU (its tanh approximation)"),
]


@pytest.mark.parametrize("changes, stage, words", IN_OPS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_broken_table(model, samples, pack, tmp_path, changes, stage, words):
    folder, manifest = pack
    broken = dataclasses.replace(model, backend=model.backend._replace(ops=numpy_ops._replace(**changes)))
    found = first_wrong(folder, forward(broken, samples, np.array(manifest["tokens"])).arrays, tmp_path)
    assert (found.stage, words in found.says) == (stage, True), found


def half_precision(x):
    return x.astype(np.float16).astype(np.float32)


def with_nan(x):
    x = x.copy()
    x[3, 1] = np.nan
    return x


def noisy_rows(x):
    x = x.copy()
    x[7:9] += np.random.default_rng(0).normal(size=x[7:9].shape)
    return x


CHANGED = [
    ("features.log_mel", lambda x: np.roll(x, 1, axis=0), "everything stands 1 row too late"),
    ("features.log_mel", lambda x: np.vstack([x[:1], x]), "1 row too many, and the rows agree when shifted by 1"),
    ("features.log_mel", lambda x: x[:-2], "2 rows too few, and the rows agree but for the end"),
    ("features.log_mel", lambda x: x[:, :40], "shape (185, 40), expected (185, 80)"),
    ("features.cmvn", lambda x: x + 0.25, "0.25 is added to everything"),
    ("features.cmvn", lambda x: 2 * x + 0.25, "multiplied by 2, then 0.25 is added"),
    ("features.cmvn", lambda x: x[:, ::-1], "its columns run backwards"),
    ("encoder.conv.conv_layers.0", lambda x: np.roll(x, 128, axis=1), "the two halves of its columns are swapped"),
    ("encoder.layers.2.self_attn.q_proj", lambda x: x * 32**-0.5, "(D/H)^-0.5 of the encoder"),
    ("encoder.layers.2.self_attn.attn_weights", lambda x: x.swapaxes(1, 2), "transposed"),
    ("encoder.layers.2.self_attn.attn_weights", lambda x: x.mean(0), "the mean over the heads"),
    ("encoder.layers.1.output", np.zeros_like, "all numbers are 0"),
    ("encoder.layers.1.output", half_precision, "computed or stored as float16"),
    ("encoder.layers.1.output", with_nan, "1 of 6016 numbers are NaN or infinite, the first at [3, 1]"),
    ("encoder.layers.1.output", noisy_rows, "in 2 of 47 rows (7 to 8)"),
    ("decoder.input_ids", lambda x: np.append(x[1:], 2), "everything stands 1 row too early"),
    ("log_probs", lambda x: x / np.log(2), "logarithms to base 2"),
    ("tokens", lambda x: x + 1, "1 is added to everything"),
]


@pytest.mark.parametrize("stage, change, words", CHANGED, ids=lambda x: x if isinstance(x, str) else "")
def test_a_changed_array(model, pack, tmp_path, stage, change, words):
    """One stage changed, all others right: what is dumped after it does not hide it."""
    folder, _ = pack
    arrays = dict(safetensors.read(folder / "float32.safetensors"))
    arrays[stage] = change(arrays[stage])
    found = first_wrong(folder, arrays, tmp_path)
    assert (found.stage, words in found.says) == (stage, True), found


def test_digital_silence_without_the_floor_of_the_variance(model, tmp_path, monkeypatch):
    silence = np.zeros(16000, np.float32)
    manifest = write_pack(model, silence, tmp_path / "pack", sampling_rate=16000)
    monkeypatch.setattr(features, "VARIANCE_FLOOR", 0.0)
    with np.errstate(invalid="ignore"):
        arrays = forward(model, silence, np.array(manifest["tokens"])).arrays
    monkeypatch.undo()
    found = first_wrong(tmp_path / "pack", arrays, tmp_path)
    assert found.stage == "features.cmvn"
    assert "the floor of 1e-10 under the variance is missing" in found.says


def test_a_mistake_in_a_stage_that_was_not_dumped(model, samples, pack, tmp_path, monkeypatch):
    """Only the last of the features is there; the mistake is in their window."""
    folder, manifest = pack
    monkeypatch.setattr(features, "povey_window", lambda n: 0.54 - 0.46 * np.cos(phase(n, n - 1)))
    arrays = forward(model, samples, np.array(manifest["tokens"])).arrays
    found = first_wrong(folder, {"features.cmvn": arrays["features.cmvn"]}, tmp_path)
    assert found.stage == "features.cmvn"
    assert "a Hamming window" in found.says
    assert "features.windowed, which the dump does not hold" in found.says


@pytest.mark.parametrize("shape", ["odd", "no-layers", "three-conv", "unscaled"])
def test_every_stage_of_every_shape_can_be_explained(shape, tmp_path):
    """Whatever the shape, whatever is there: a stage that holds noise is unexplained, and nothing breaks."""
    folder = write_checkpoint(tmp_path / "model", variant_config(shape))
    model = s2t_np.load(folder, backend="numpy")
    write_pack(model, harmonics(0, 0.5), tmp_path / "pack", sampling_rate=16000)
    pack, random = read_pack(tmp_path / "pack"), np.random.default_rng(0)
    for held in ({}, dict(pack.truth)):
        for stage, truth in pack.truth.items():
            says = explain(
                Evidence(pack, held), stage, truth + random.normal(size=truth.shape) * (1 + abs(truth).max())
            )
            assert says.startswith("unexplained") or truth.size < 30, (stage, says)
