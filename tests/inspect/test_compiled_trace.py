"""trace, golden and check with the compiled backend: its own stages, near the readable ones, the same transcript."""

import json

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import OptionError
from s2t_np.inspect.explorer import page
from s2t_np.inspect.golden import check, read_pack, write_pack
from s2t_np.inspect.trace import plan, trace
from tests.support.paths import DIGITS
from tests.support.small_models import SHAPES
from tools.random_checkpoint import variant_config, write_checkpoint
from tools.signals import harmonics

pytest.importorskip("numba")

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
LONGER = FIVE.with_name("two-nine-three-four-zero.flac")


@pytest.fixture(scope="module")
def compiled():
    return s2t_np.load("digits", backend="numba")


@pytest.fixture(scope="module")
def readable():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def pack(readable, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs") / "pack"
    write_pack(readable, FIVE, folder)
    return folder


@pytest.mark.parametrize(
    "options", [{}, {"num_beams": 1}, {"do_sample": True, "num_return_sequences": 3, "seed": 3}], ids=str
)
@pytest.mark.parametrize("dtype", ["float32", "int8", "float16"])
def test_tracing_changes_no_result(dtype, options):
    model = s2t_np.load("digits", backend="numba", dtype=dtype)
    assert trace(model, FIVE, **options).transcript == model.transcribe(FIVE, **options)


def test_stages_are_the_readable_ones_as_far_as_the_kernels_show_them(compiled, readable):
    found, expected = trace(compiled, LONGER), trace(readable, LONGER)
    assert found["tokens"].tolist() == expected["tokens"].tolist()
    layers = [f"encoder.layers.{i}.output" for i in range(6)] + [f"decoder.layers.{i}.output" for i in range(3)]
    layers += [f"decoder.layers.{i}.{block}_attn_residual" for i in range(3) for block in ("self", "encoder")]
    for name in [*layers, "encoder.conv.conv_layers.1.glu", "encoder.embeddings", "steps.001.parents", "memory"]:
        assert name in found or name == "memory", name
    order = [name for name in expected if name in found]
    assert list(found) == order and len(order) > 80
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], atol=2e-3, err_msg=name)
    assert (found.about["backend"], expected.about["backend"]) == ("numba", "numpy")
    assert found.entries["encoder.layers.3.output"].made_by.function.endswith("backend.encode")
    assert [c.token for c in found.tree.candidates] == [c.token for c in expected.tree.candidates]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_table_is_what_was_seen(shape, tmp_path):
    folder = write_checkpoint(tmp_path / "model", variant_config(shape))
    model, sound = s2t_np.load(folder, backend="numba"), harmonics(0, 1.0)
    seen = trace(model, sound, sampling_rate=16000, num_beams=3, max_length=6)
    steps = sum(name.endswith(".parents") for name in seen)
    table = plan.stages(model, plan.Size(len(sound), len(seen["tokens"]) - 1, 3, steps))
    assert [(s.name, s.shape, s.dtype) for s in table] == [(n, a.shape, a.dtype) for n, a in seen.items()]


def test_a_dump_of_the_compiled_backend_agrees_with_a_pack(compiled, pack, tmp_path):
    trace(compiled, FIVE).save(tmp_path)
    report = check(pack, tmp_path / "trace.npz")
    assert report.agrees and report.unknown == []
    assert {"features.log_mel", "encoder.layers.5.output", "lm_head", "tokens"} <= {f.stage for f in report.findings}
    assert "encoder.layers.0.fc1" in report.absent


def test_a_pack_of_the_compiled_backend(compiled, readable, tmp_path):
    """Its truth is that of float64 all the same; a readable trace agrees with it, and a mistake is still explained."""
    write_pack(compiled, FIVE, tmp_path / "pack")
    held, reference = read_pack(tmp_path / "pack"), s2t_np.load("digits", backend="numpy", dtype="float64")
    assert held.manifest["backend"] == "numba"
    np.testing.assert_array_equal(held.truth["encoder.layer_norm"], reference.encode(reference.features(FIVE)))
    seen = trace(readable, FIVE)
    seen.save(tmp_path)
    report = check(tmp_path / "pack", tmp_path / "trace.npz")
    assert report.agrees, report.first
    for stage, wrong, says in (
        ("features.cmvn", seen["features.log_mel"] - seen["features.log_mel"].mean(axis=0), "deviation not divided by"),
        ("encoder.embeddings", 2.5 * seen["encoder.embeddings"], "multiplied by 2.5"),
        ("decoder.layers.1.output", seen["decoder.layers.1.output"][::-1], "backwards"),
        ("encoder.layers.2.output", seen["encoder.layers.2.output"] + 1, "1 is added"),
    ):
        np.savez(tmp_path / "dump.npz", **{stage: wrong})
        assert says in check(tmp_path / "pack", tmp_path / "dump.npz").first.says, stage


def test_what_the_kernels_keep_to_themselves_is_refused(compiled):
    with pytest.raises(OptionError, match=r"'encoder\.layers\.0\.fc1'.*backend 'numba'.*backend \"numpy\""):
        trace(compiled, FIVE, ["encoder.layers.0.fc1"])
    with pytest.raises(OptionError, match="match nothing"):
        trace(compiled, FIVE, ["encoder.layer.0"])
    with pytest.raises(OptionError, match='load the model with backend "numpy"'):
        page(trace(compiled, FIVE), compiled)


def test_the_commands(run, tmp_path):
    assert run("golden", "digits", FIVE, "-o", tmp_path / "pack", "--backend", "numba")[0] == 0
    code, out, _ = run("trace", "--model", "digits", FIVE, "-o", tmp_path / "out", "--backend", "numba")
    assert (code, out) == (0, "five five\n")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["about"]["backend"] == "numba"
    code, out, _ = run("check", tmp_path / "pack", tmp_path / "out" / "trace.npz")
    assert code == 0 and "0 of the pack not in the dump" in out
    code, out, _ = run(
        "trace", "--model", "digits", FIVE, "--list", "--backend", "numba", "--stages", "encoder.layers.0"
    )
    marked = {line.split()[0] for line in out.splitlines() if line.endswith("(backend numpy only)")}
    assert code == 0 and "encoder.layers.0.fc1" in marked and "encoder.layers.0.output" not in marked


def test_a_page_needs_the_readable_backend(run, tmp_path):
    page = ("trace", "--model", "digits", FIVE, "--html", tmp_path / "page.html", "--backend")
    code, _, err = run(*page, "numba")
    assert code == 2 and "--backend numpy" in err and not (tmp_path / "page.html").exists()
    assert run(*page, "auto")[0] == 0
