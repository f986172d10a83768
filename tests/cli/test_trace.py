"""The command `trace`: what it writes, prints and refuses."""

import json

import numpy as np
import pytest
import soundfile

from tests.support.paths import DIGITS
from tests.support.speech import RATE, bundled, concatenated

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


@pytest.fixture(scope="module")
def minute(tmp_path_factory):
    """A recording of 53 s: "five five" and "two nine three four zero" in turn, with pauses."""
    x, times = concatenated([bundled(n) for n in ("five-five", "two-nine-three-four-zero")] * 12, 1.0, -70)
    path = tmp_path_factory.mktemp("long") / "minute.wav"
    soundfile.write(path, x, RATE)
    return path, x, times


def test_a_long_recording_is_not_traced_as_a_whole(run, minute, tmp_path):
    for target in (("--output", tmp_path / "out"), ("--html", tmp_path / "page.html")):
        code, out, err = run("trace", "--model", "digits", minute[0], *target)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert "--segment N, or --start and --duration" in err
    assert not list(tmp_path.iterdir())


def test_one_segment_of_it_is_traced(run, minute, tmp_path):
    """The sound, the memory and the text are those that `transcribe` has for this segment."""
    path, x, times = minute
    code, out, _ = run("trace", "--model", "digits", path, "-o", tmp_path, "--segment", 3, "--stages", "samples,memory")
    assert (code, out) == (0, "two nine three four zero\n")
    about = json.loads((tmp_path / "manifest.json").read_text())["about"]
    assert times[3][0] - 0.3 < about["start"] < times[3][0]
    with np.load(tmp_path / "trace.npz") as arrays:
        first = round(about["start"] * RATE)
        np.testing.assert_allclose(arrays["samples"], x[first : first + len(arrays["samples"])], atol=1e-4)
    code, out, _ = run("trace", "--model", "digits", path, "--html", tmp_path / "page.html", "--segment", 0)
    assert (code, out) == (0, "five five\n")


def test_a_part_of_it_is_traced(run, minute, tmp_path):
    path, _, times = minute
    start, end = times[1]
    part = ("--start", start - 0.2, "--duration", end - start + 0.4)
    code, out, _ = run("trace", "--model", "digits", path, "-o", tmp_path, *part, "--stages", "samples")
    assert (code, out) == (0, "two nine three four zero\n")
    with np.load(tmp_path / "trace.npz") as arrays:
        assert len(arrays["samples"]) == pytest.approx((end - start + 0.4) * RATE, abs=2)


@pytest.mark.parametrize("argv, says", [
    (("--segment", 24), "--segment is 24, but the recording holds 24 of them, numbered from 0"),
    (("--segment", -1), "--segment is -1"),
    (("--segment", 1, "--start", 2), "give either it or --start"),
    (("--start", 99), "--start is 99, expected a second of the recording, which has 52."),
    (("--duration", -1), "--duration is -1, expected more than 0"),
])  # fmt: skip
def test_parts_that_are_not_there(run, minute, tmp_path, argv, says):
    code, out, err = run("trace", "--model", "digits", minute[0], "-o", tmp_path / "out", *argv)
    assert (code, out) == (2, "")
    assert says in err


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
