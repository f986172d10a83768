"""A trace: the same transcript, every number by its name, who made it, and the search as a tree."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

import s2t_np
from s2t_np import audio, features, ops
from s2t_np.errors import OptionError
from s2t_np.inspect.golden import write_pack
from s2t_np.inspect.trace import LIMIT, estimate, plan, trace
from tests.support.paths import DIGITS, ROOT
from tests.support.small_models import SHAPES
from tools.random_checkpoint import variant_config, write_checkpoint
from tools.signals import harmonics

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE = RECORDINGS / "five-five.flac"
SEARCHES = [
    {},
    {"num_beams": 1},
    {"num_beams": 3, "num_return_sequences": 3, "repetition_penalty": 1.3, "max_new_tokens": 4, "prefix": [5]},
    {"do_sample": True, "num_return_sequences": 4, "seed": 3, "temperature": 3.0},
    {"early_stopping": False, "length_penalty": -1.0, "max_length": 3},
]


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def seen(model):
    return trace(model, FIVE)


@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_tracing_changes_no_result(model, options):
    assert trace(model, FIVE, ["tokens"], **options).transcript == model.transcribe(FIVE, **options)


@pytest.mark.parametrize("beams", [1, 3])
def test_what_the_search_writes_into_logits_is_not_recorded(model, beams):
    found = trace(model, FIVE, ["steps.*"], num_beams=beams, suppress_tokens=[5, 6], min_length=4)
    seen = [found[name] for name in found if name.endswith(("lm_head", "log_probs"))]
    assert len(seen) >= 6
    assert all(np.isfinite(array).all() for array in seen)
    assert all(np.isfinite(candidate.log_prob) for candidate in found.tree.candidates)


def test_double_precision_too():
    model = s2t_np.load("digits", backend="numpy", dtype="float64")
    found = trace(model, FIVE, ["memory", "tokens"])
    assert found.transcript == model.transcribe(FIVE)
    assert found["memory"].dtype == np.float64


def test_the_model_does_not_know_of_it(model, seen):
    """Nothing is left behind in the model, and who does not trace does not even import it."""
    assert model.backend.ops is ops.numpy_ops
    code = "import s2t_np, sys; s2t_np.load('digits').transcribe(sys.argv[1]); print('s2t_np.inspect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, FIVE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_table_is_what_was_seen(model, seen):
    """Names, order, shapes and types, to the last."""
    steps = sum(name.endswith(".parents") for name in seen)
    table = plan.stages(model, plan.Size(len(seen["samples"]), len(seen["tokens"]) - 1, 5, steps))
    assert [(s.name, s.shape, s.dtype) for s in table] == [(n, a.shape, a.dtype) for n, a in seen.items()]
    assert estimate(model, len(seen["samples"])) > sum(array.nbytes for array in seen.values())


@pytest.mark.parametrize("shape", SHAPES)
def test_models_of_every_shape(shape, tmp_path):
    """One convolution or three, odd widths, no layers at all: the table holds, and so does the transcript."""
    folder = write_checkpoint(tmp_path / "model", variant_config(shape))
    model, sound = s2t_np.load(folder, backend="numpy"), harmonics(0, 1.0)
    options = {"num_beams": 3, "max_length": 6}
    seen = trace(model, sound, sampling_rate=16000, **options)
    assert seen.transcript == model.transcribe(sound, 16000, **options)
    steps = sum(name.endswith(".parents") for name in seen)
    table = plan.stages(model, plan.Size(len(sound), len(seen["tokens"]) - 1, 3, steps))
    assert [(s.name, s.shape) for s in table] == [(n, a.shape) for n, a in seen.items()]
    manifest = write_pack(model, sound, tmp_path / "pack", sampling_rate=16000)
    assert len(manifest["stages"]) == len([s for s in table if not s.name.startswith("steps.")])


def test_the_numbers_are_the_models(model, seen):
    x = model.features(FIVE)
    memory = model.encode(x)
    np.testing.assert_array_equal(seen["features.cmvn"], x)
    np.testing.assert_array_equal(seen["memory"], memory)
    np.testing.assert_array_equal(seen["logits"], model.logits(memory, seen["tokens"][:-1]))
    np.testing.assert_array_equal(features.cmvn(seen["features.log_mel"]), x)
    np.testing.assert_allclose(np.log(seen["features.mel"]), seen["features.log_mel"], atol=1e-5)


@pytest.mark.parametrize("stack, layer", [("encoder", 2), ("decoder", 1), ("steps.002.decoder", 1)])
def test_stages_follow_from_each_other(model, seen, stack, layer):
    """Attention from its projections, sums from their terms: each stage is what its name says."""
    name = f"{stack}.layers.{layer}"
    before, x = seen[f"{stack}.layers.{layer - 1}.output"], seen[f"{name}.self_attn_residual"]
    np.testing.assert_allclose(before + seen[f"{name}.self_attn.out_proj"], x, atol=1e-4)
    if stack != "encoder":
        x = seen[f"{name}.encoder_attn_residual"]
    np.testing.assert_allclose(x + seen[f"{name}.fc2"], seen[f"{name}.output"], atol=1e-4)
    np.testing.assert_array_equal(np.maximum(seen[f"{name}.fc1"], 0), seen[f"{name}.activation_fn"])
    for weights in (n for n in seen if n.startswith(name) and n.endswith("attn_weights")):
        np.testing.assert_allclose(seen[weights].sum(-1), 1, atol=1e-5)


def test_attention_weights_give_the_context(seen):
    name = "decoder.layers.0.encoder_attn"
    values = ops.split_heads(seen[f"{name}.v_proj"], 4)
    np.testing.assert_allclose(
        ops.merge_heads(seen[f"{name}.attn_weights"] @ values), seen[f"{name}.context"], atol=1e-5
    )
    step = seen["steps.001.decoder.layers.0.encoder_attn.attn_weights"]  # (K, H, S)
    mixed = np.einsum("khs,hsd->khd", step, values).reshape(len(step), -1)
    np.testing.assert_allclose(mixed, seen["steps.001.decoder.layers.0.encoder_attn.context"], atol=1e-5)
    future = np.triu(np.ones((3, 3), bool), 1)
    assert (seen["decoder.layers.0.self_attn.attn_weights"][:, future] == 0).all()


def test_the_tree_is_that_of_the_recorded_steps(model):
    """What runs on in the tree is what the next step got: tokens, and whom each beam continues."""
    seen = trace(model, RECORDINGS / "two-nine-three-four-zero.flac", ["steps.*", "tokens"])
    steps = sum(name.endswith(".parents") for name in seen)
    assert steps > 5
    for step in range(steps - 1):
        ran_on = sorted(
            (c.beam, c.token, c.parent) for c in seen.tree.candidates if c.step == step and c.beam is not None
        )
        assert [token for _, token, _ in ran_on] == seen[f"steps.{step + 1:03d}.decoder.input_ids"].tolist()
        assert [parent for *_, parent in ran_on] == seen[f"steps.{step + 1:03d}.parents"].tolist()
    assert len({c.parent for c in seen.tree.candidates if c.outcome == "runs on"}) > 1


def test_embeddings_are_the_sum_of_their_terms(seen):
    for stack in ("encoder", "decoder", "steps.001.decoder"):
        total = seen[f"{stack}.embed_scale"] + seen[f"{stack}.embed_positions"]
        np.testing.assert_array_equal(total, seen[f"{stack}.embeddings"])
    np.testing.assert_allclose(seen["decoder.embed_tokens"] * 128**0.5, seen["decoder.embed_scale"], rtol=1e-6)
    last = max(n for n in seen if n.startswith("encoder.conv") and n.endswith("glu"))
    np.testing.assert_allclose(seen[last] * 128**0.5, seen["encoder.embed_scale"], rtol=1e-6)


def test_entries_tell_who_made_what(seen):
    for name, entry in seen.entries.items():
        source = (ROOT / entry.made_by.file).read_text().splitlines()
        assert source[entry.made_by.line - 1].lstrip().startswith(("def ", "@")), name
        assert entry.called_from.file.startswith("s2t_np/"), name
        assert (entry.shape, entry.dtype) == (seen[name].shape, seen[name].dtype.name)
    ours = {name for name, entry in seen.entries.items() if "/trace/" in entry.called_from.file}
    assert ours == {
        "tokens",
        "decoder.input_ids",
        "decoder.embed_tokens",
        "decoder.embed_scale",
        "decoder.embed_positions",
        "log_probs",
    }
    entry = seen.entries["encoder.layers.3.fc1"]
    assert entry.made_by.line == inspect.getsourcelines(ops.linear)[1]
    assert entry.called_from.function == "s2t_np.layers.feed_forward"
    assert entry.mean == pytest.approx(seen["encoder.layers.3.fc1"].mean(dtype=np.float64))
    assert entry.not_finite == 0


@pytest.mark.parametrize("patterns, expected", [
    (["memory"], ["encoder.layer_norm"]),
    (["encoder.conv"], ["encoder.conv.conv_layers.0", "encoder.conv.conv_layers.0.glu",
                        "encoder.conv.conv_layers.1", "encoder.conv.conv_layers.1.glu"]),
    (["steps.*.parents", "features.mel"], ["features.mel", *(f"steps.{i:03d}.parents" for i in range(3))]),
    ("tokens", ["tokens"]),
])  # fmt: skip
def test_stages_select(model, patterns, expected):
    assert list(trace(model, FIVE, patterns)) == expected


def test_a_pattern_without_a_stage_is_refused(model):
    with pytest.raises(OptionError, match=r"'encoder\.layer\.0' match nothing"):
        trace(model, FIVE, ["encoder.layer.0"])


def test_a_trace_beyond_the_limit_is_refused(model):
    with pytest.raises(OptionError, match=r"about 9\.5 MB, more than the limit of 5\.0 MB"):
        trace(model, FIVE, limit=5_000_000)
    assert list(trace(model, FIVE, ["memory"], limit=50_000))
    assert estimate(model, 16000 * 3600) > LIMIT


def test_more_than_one_utterance_is_refused(model):
    """`transcribe` would cut it, so a trace of the whole would show what nobody computes."""
    longest = model.utterance_config.longest_utterance
    samples = np.resize(audio.read(FIVE, 16000), round(16000 * (longest + 0.1)))
    with pytest.raises(OptionError, match=r"is 6\.1 s long, and a trace follows one utterance, .* at most 6 s; choose"):
        trace(model, samples, sampling_rate=16000)
    assert trace(model, samples[: round(16000 * longest)], ["tokens"], sampling_rate=16000).transcript.text


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_saved_and_read_again(model, kind, tmp_path):
    from s2t_np.checkpoint import safetensors

    found = trace(model, FIVE, ["features.cmvn", "tokens", "steps.000.lm_head"], prefix=np.array([5]), num_beams=2)
    found.save(tmp_path / "new" / "folder", kind)
    path = tmp_path / "new" / "folder" / f"trace.{kind}"
    arrays = dict(np.load(path)) if kind == "npz" else safetensors.read(path)
    assert arrays.keys() == found.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, found[name])
    manifest = json.loads((path.parent / "manifest.json").read_text())
    assert manifest["about"]["options"] == {"prefix": "[5]", "num_beams": 2}
    assert [stage["stage"] for stage in manifest["stages"]] == list(found)
    assert manifest["arrays"] == path.name
    assert manifest["about"]["text"] == "five five"
    assert manifest["search"]["hypotheses"][0]["tokens"] == found["tokens"].tolist()
