"""Packs and dumps: what a pack holds, what a correct port may write and how, what is damaged."""

import dataclasses
import json
import shutil
import struct

import numpy as np
import pytest

import s2t_np
from s2t_np import audio, ops
from s2t_np.checkpoint import safetensors
from s2t_np.cli import main
from s2t_np.errors import ModelError, OptionError
from s2t_np.inspect.golden import LIMIT, check, read_pack, write_pack
from s2t_np.inspect.golden.pack import estimate, forward
from s2t_np.inspect.trace import trace
from tests.support.paths import DIGITS

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs") / "pack"
    write_pack(model, FIVE, folder)
    return folder


@pytest.fixture
def single(folder):
    return dict(safetensors.read(folder / "float32.safetensors"))


def dumped(arrays, path):
    np.savez(path, **arrays)
    return path


def test_a_pack_holds_the_model_numbers(model, folder):
    """The truth is the float64 model's own, in the order of the table; tolerances are neither 0 nor large."""
    pack = read_pack(folder)
    reference = s2t_np.load("digits", backend="numpy", dtype="float64")
    features = reference.features(FIVE)
    np.testing.assert_array_equal(pack.truth["features.cmvn"], features)
    np.testing.assert_array_equal(pack.truth["encoder.layer_norm"], reference.encode(features))
    np.testing.assert_array_equal(pack.truth["tokens"], model.transcribe(FIVE).hypotheses[0].tokens)
    assert (pack.manifest["text"], pack.manifest["model"]) == ("five five", "digits")
    assert list(pack.truth)[:2] == ["samples", "features.frames"]
    for stage, record in pack.records.items():
        if pack.truth[stage].dtype.kind == "f":
            assert 1e-6 < record["tolerance"]["rms"] / record["rms"] < 1e-4, stage


def test_our_own_trace_agrees(model, folder, tmp_path):
    """The trace's features are in float64, and it holds the search's steps as well: neither is held against it."""
    trace(model, FIVE).save(tmp_path)
    report = check(folder, tmp_path / "trace.npz")
    assert report.agrees
    assert (report.absent, report.unknown) == ([], [])


def test_three_kinds_of_dump(single, folder, tmp_path):
    safetensors.write(tmp_path / "dump.safetensors", single)
    (tmp_path / "arrays").mkdir()
    for name, array in single.items():
        np.save(tmp_path / "arrays" / f"{name}.npy", array)
    for dump in (tmp_path / "dump.safetensors", tmp_path / "arrays", dumped(single, tmp_path / "dump.npz")):
        report = check(folder, dump)
        assert report.agrees
        assert len(report.findings) == len(single)


def test_an_npy_file_written_as_format_md_says(single, folder, tmp_path):
    """By hand, from the text alone, as a program in C would."""
    x = single["features.mel"]
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({x.shape[0]}, {x.shape[1]}), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    data = bytes.fromhex("934E554D50590100") + struct.pack("<H", len(text)) + text.encode() + x.astype("<f4").tobytes()
    (tmp_path / "features.mel.npy").write_bytes(data)
    assert check(folder, tmp_path).agrees


def test_a_safetensors_file_read_as_format_md_says(folder, single):
    data = (folder / "float32.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    entry = header["features.mel"]
    assert (entry["dtype"], entry["shape"]) == ("F32", list(single["features.mel"].shape))
    begin, end = entry["data_offsets"]
    numbers = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4")
    np.testing.assert_array_equal(numbers, single["features.mel"].ravel())


def test_format_md_names_every_kind_of_stage(folder, single):
    text = (folder / "FORMAT.md").read_text()
    for stage in single:
        assert stage.split(".")[-1].removeprefix("self_attn").removeprefix("encoder_attn").strip("_") in text


def test_names_as_in_a_checkpoint(single, folder, tmp_path):
    given = {
        "model.encoder.layers.0": single["encoder.layers.0.output"],
        "memory": single["encoder.layer_norm"],
        "logits": single["lm_head"],
        "encoder.layers.0.nonsense": np.zeros(3),
    }
    report = check(folder, dumped(given, tmp_path / "dump.npz"))
    assert report.agrees
    assert [f.stage for f in report.findings] == ["encoder.layers.0.output", "encoder.layer_norm", "lm_head"]
    assert report.unknown == ["encoder.layers.0.nonsense"]


LAYOUTS = [
    ("features.cmvn", lambda x: x[None], "an extra batch axis"),
    ("features.cmvn", lambda x: x.T, "transposed"),
    ("encoder.conv.conv_layers.0", lambda x: x.T[None], "an extra batch axis, transposed"),
    ("features.cmvn", np.ravel, "flattened or split into other axes"),
    ("decoder.layers.0.self_attn.attn_weights", lambda x: x[None], "an extra batch axis"),
]


@pytest.mark.parametrize("stage, change, layout", LAYOUTS)
def test_layouts_are_seen_through(single, folder, tmp_path, stage, change, layout):
    """The numbers are right, and said to be; but it is no agreement."""
    report = check(folder, dumped(single | {stage: change(single[stage])}, tmp_path / "dump.npz"))
    assert {f.stage: f.layout for f in report.findings if f.layout} == {stage: layout}
    assert report.first is None
    assert not report.agrees


def test_a_mistake_under_a_batch_axis(single, folder, tmp_path):
    """Every stage has a batch axis, and one is wrong: the axis does not hide it."""
    arrays = {name: x[None] for name, x in single.items()}
    arrays["features.log_mel"] = arrays["features.log_mel"] / np.log(10)
    report = check(folder, dumped(arrays, tmp_path / "dump.npz"))
    assert report.first.stage == "features.log_mel"
    assert "log10" in report.first.says


def test_what_the_dump_lacks_is_told(single, folder, tmp_path):
    given = {"features.log_mel": single["features.log_mel"], "memory": single["encoder.layer_norm"] + 1}
    report = check(folder, dumped(given, tmp_path / "dump.npz"))
    assert report.first.stage == "encoder.layer_norm"
    unseen = report.unseen_before("encoder.layer_norm")
    assert (unseen[0], unseen[-1]) == ("features.cmvn", "encoder.layers.5.output")
    assert "samples" in report.absent


def test_a_folder_in_use_is_not_written_to(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match="new or an empty folder"):
        write_pack(model, FIVE, tmp_path)


def test_a_pack_beyond_the_limit_is_refused(model, folder, tmp_path):
    """The estimate is above the true size, but not far; nothing is computed or written."""
    samples = audio.read(FIVE, 16000)
    written = sum(path.stat().st_size for path in folder.glob("float*.safetensors"))
    assert written < estimate(model, len(samples)) < 1.5 * written
    with pytest.raises(OptionError, match=r"about 1[0-9] MB, more than the limit of 5 MB; .*--limit"):
        write_pack(model, FIVE, tmp_path / "pack", limit=5e6)
    assert estimate(model, 60 * 16000) > LIMIT
    with pytest.raises(OptionError, match="more than the limit of 500 MB"):
        write_pack(model, np.resize(samples, 60 * 16000), tmp_path / "pack", 16000)
    assert not list(tmp_path.iterdir())


def change(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("damage, says", [
    (lambda p: (p / "float64.safetensors").write_bytes(b"x"), "checksum"),
    (lambda p: (p / "float64.safetensors").unlink(), "cannot be read"),
    (lambda p: (p / "manifest.json").write_text("{}"), "not an s2t-np parity pack of version 1"),
    (lambda p: (p / "manifest.json").write_text("{"), "not valid JSON"),
    (lambda p: (p / "manifest.json").unlink(), "holds no manifest.json"),
    (lambda p: change(p / "manifest.json", config=None), "config is missing"),
    (lambda p: change(p / "manifest.json", stages=[{"stage": "samples"}]), "no tolerance"),
    (lambda p: change(p / "manifest.json", sha256="none"), "sha256 does not list"),
    (lambda p: change(p / "manifest.json", config={"model_type": "whisper"}), "model_type"),
    (lambda p: (p / "manifest.json").write_text('{"format": "s2t-np parity pack", "version": 1}'), "sha256"),
])  # fmt: skip
def test_a_damaged_pack_is_refused(folder, tmp_path, damage, says):
    shutil.copytree(folder, tmp_path / "pack")
    damage(tmp_path / "pack")
    with pytest.raises(ModelError, match=says):
        check(tmp_path / "pack", folder / "float32.safetensors")


@pytest.mark.parametrize("name, content, says", [
    ("gone.npz", None, "no such file or folder"),
    ("bad.npz", b"PK\3\4nonsense", "cannot be read"),
    ("bad.npy", b"\x93NUMPY\1\0\4\0{}  ", "cannot be read"),
    ("bad.safetensors", b"12345678", "header"),
    ("empty.npz", b"", "cannot be read"),
])  # fmt: skip
def test_a_damaged_dump_is_refused(folder, tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=says):
        check(folder, tmp_path / name)


def test_dumps_of_something_else(folder, tmp_path):
    with pytest.raises(ModelError, match="holds weights, expected stages"):
        check(folder, dumped({"weights": np.zeros(3)}, tmp_path / "dump.npz"))
    with pytest.raises(ModelError, match="expected numbers"):
        check(folder, dumped({"features.mel": np.array(["a"])}, tmp_path / "dump.npz"))
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ModelError, match="single array"):
        check(folder, tmp_path / "one.npy")


def test_the_commands(single, tmp_path, capsys):
    pack = str(tmp_path / "pack")
    assert main(["golden", "digits", str(FIVE), "-o", pack]) == 0
    assert "169 stages" in capsys.readouterr().err
    assert main(["check", pack, str(dumped(single, tmp_path / "good.npz"))]) == 0
    assert capsys.readouterr().out == "169 of 169 stages right; 0 of the pack not in the dump\n"
    wrong = single | {"features.log_mel": single["features.log_mel"] / np.float32(np.log(10))}
    del wrong["features.mel"]
    bad = str(dumped(wrong, tmp_path / "bad.npz"))
    assert main(["check", pack, bad]) == 1
    out = capsys.readouterr().out
    assert "first wrong stage: features.log_mel\n  log10 instead of the natural logarithm\n" in out
    assert "an earlier stage that the dump does not hold: features.mel\n" in out
    assert main(["check", pack, bad, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["first_wrong"] == "features.log_mel"
    assert main(["check", pack, bad, "--verbose"]) == 1
    assert capsys.readouterr().out.count("ok ") == 167
    batched = {name: x[None] for name, x in single.items()}
    assert main(["check", pack, str(dumped(batched, tmp_path / "batched.npz"))]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("other layout, an extra batch axis: samples, features.frames") and len(out) == 2
    assert out[1] == "169 of 169 stages right, 169 of them in another layout; 0 of the pack not in the dump"
    assert main(["golden", "digits", str(FIVE), "-o", str(tmp_path / "small"), "--limit", "5"]) == 2
    assert "more than the limit of 5 MB" in capsys.readouterr().err
    assert main(["check", str(tmp_path), bad]) == 3
    assert main(["golden", "digits", str(FIVE), "-o", pack]) == 2


def test_a_float32_run_of_another_order_of_summation_agrees(model, folder, tmp_path):
    """Weights and biases summed in numpy's other ways: what a correct port in another language does."""

    def linear(x, w, residual=None):
        y = x @ w.weight.T
        return y if w.bias is None and residual is None else sum(t for t in (residual, w.bias) if t is not None) + y

    table = ops.numpy_ops._replace(linear=linear)
    other = dataclasses.replace(model, backend=model.backend._replace(ops=table))
    tokens = read_pack(folder).truth["tokens"]
    arrays = forward(other, audio.load(FIVE, 16000), tokens).arrays
    assert check(folder, dumped(arrays, tmp_path / "dump.npz")).agrees
