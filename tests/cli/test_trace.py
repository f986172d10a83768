"""The command `trace`: what it writes, prints and refuses."""

import json

import numpy as np
import pytest

from tests.support.paths import DIGITS

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
TRACE = ("trace", "--model", "digits", FIVE)


def test_trace(run, tmp_path):
    code, out, err = run(*TRACE, "--output", tmp_path / "out", "--beams", 2)
    assert (code, out) == (0, "five five\n")
    assert "a trace of about 7." in err.splitlines()[0]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    with np.load(tmp_path / "out" / "trace.npz") as arrays:
        assert [stage["stage"] for stage in manifest["stages"]] == list(arrays)
    assert (manifest["search"]["kind"], manifest["search"]["rows"]) == ("beam", 2)
    assert manifest["about"]["audio"] == str(FIVE)


def test_stages_and_format(run, tmp_path):
    chosen = ("--stages", "features.mel,tokens", "--stages", "logits", "--format", "safetensors")
    code, _, err = run(*TRACE, "--output", tmp_path, *chosen)
    assert code == 0
    assert "3 stages" in err.splitlines()[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", "trace.safetensors"]


def test_list_computes_nothing(run, tmp_path):
    code, out, _ = run(*TRACE, "--list", "--stages", "encoder.layers.0.self_attn")
    assert code == 0
    assert [line.split() for line in out.splitlines()][3] == [
        "encoder.layers.0.self_attn.attn_weights",
        "4x39x39",
        "float32",
    ]


@pytest.mark.parametrize("argv, code, says", [
    ((), 2, "needs --output DIR"),
    (("--output", "OUT", "--stages", "nonsense.*"), 2, "'nonsense.*' match nothing"),
    (("--output", "OUT", "--limit", "0.5"), 2, "more than the limit of 0.5 MB"),
    (("--output", "OUT", "--limit", "-1"), 2, "argument --limit: '-1' is not a number of megabytes above 0"),
    (("--output", FIVE), 2, "is a file, expected a folder"),
])  # fmt: skip
def test_refusals(run, tmp_path, argv, code, says):
    done = run(*TRACE, *(tmp_path if a == "OUT" else a for a in argv))
    assert done[:2] == (code, "")
    assert says in done[2]
    assert not list(tmp_path.iterdir())


def test_a_recording_that_cannot_be_read(run, tmp_path):
    assert run("trace", "--model", "digits", tmp_path / "gone.wav", "-o", tmp_path)[0] == 1
