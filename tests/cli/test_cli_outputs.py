"""Where the results of a batch go: names, formats, places that cannot be written, full disks, interrupts."""

import os
import stat

import pytest

from s2t_np import cli
from s2t_np.cli import model_arguments
from tests.support.paths import DIGITS
from tests.support.trees import copies, visible

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE, TWO = RECORDINGS / "five-five.flac", RECORDINGS / "two-nine-three-four-zero.flac"


def test_recordings_of_one_name_are_kept_apart(transcribe, tmp_path):
    copies(FIVE, tmp_path, "talk.flac", "talk.wav", "a/x.flac", "b/x.flac")
    out = tmp_path / "out"
    code, _, err = transcribe(*(tmp_path / n for n in ("talk.flac", "talk.wav", "a/x.flac", "b/x.flac")), "-o", out)
    assert (code, err.count("\n")) == (0, 1)
    assert "4 recordings share their names" in err
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*.txt"))
    assert written == ["a/x.txt", "b/x.txt", "talk.flac.txt", "talk.wav.txt"]


@pytest.mark.parametrize("name", ["srt", "vtt", "tsv"])
def test_the_output_of_one_recording_is_in_the_format_that_it_ends_in(transcribe, tmp_path, name):
    code, printed, _ = transcribe(FIVE, "-f", name)
    assert transcribe(FIVE, "--output", tmp_path / f"talk.{name.upper()}") == (0, "", "")
    assert (tmp_path / f"talk.{name.upper()}").read_text() == printed
    assert transcribe(FIVE, "--output", tmp_path / "talk.any", "--format", name) == (0, "", "")
    assert (tmp_path / "talk.any").read_text() == printed
    code, _, err = transcribe(TWO, "--output", tmp_path / "talk.any", "--format", name, "--resume")
    assert (code, "holds one recording" in err) == (2, True)
    assert (tmp_path / "talk.any").read_text() == printed


@pytest.mark.parametrize(
    "given", [("-f", "SRT,txt"), ("-f", "srt", "-f", "txt"), ("-f", "txt, srt, txt"), ("--format=Srt", "-f", "TXT")]
)
def test_several_formats(transcribe, tmp_path, given):
    assert transcribe(FIVE, *given, "-o", tmp_path) == (0, "", "")
    assert visible(tmp_path) == ["five-five.srt", "five-five.txt"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--output", "talk.docx"), ".docx is not a format"),
        (("-f", "srt,sub", "-o", "out"), "'sub' is not a format"),
        (("-f", ",", "-o", "out"), "',' is not a format"),
        (("-f", "srt,txt"), "--output-dir"),
        (("--resume-by", "content", "-o", "out"), "no effect without --resume"),
        (("--output", "gone/talk.txt"), "gone"),
        (("--highlight", "--output", "a.txt"), "--highlight"),
    ],
)
def test_outputs_that_cannot_be_are_refused(transcribe, tmp_path, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_arguments, "load", lambda *a, **k: pytest.fail("the model was loaded"))
    code, out, err = transcribe(FIVE, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write to every folder")
@pytest.mark.parametrize("target", [("-o",), ("--output", "talk.txt")])
def test_a_folder_that_cannot_be_written_is_found_before_anything_is_done(transcribe, tmp_path, monkeypatch, target):
    monkeypatch.setattr(model_arguments, "load", lambda *a, **k: pytest.fail("the model was loaded"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, _, err = transcribe(FIVE, target[0], tmp_path.joinpath("out", *target[1:]))
    (tmp_path / "out").chmod(0o700)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{tmp_path / 'out'}" in err


def test_a_place_that_cannot_be_written_is_found_before_anything_is_done(transcribe, monkeypatch):
    """Also by root: nobody can create files below /proc."""
    monkeypatch.setattr(model_arguments, "load", lambda *a, **k: pytest.fail("the model was loaded"))
    for target in (("-o", "/proc/self"), ("--output", "/proc/self/talk.txt")):
        code, _, err = transcribe(FIVE, *target)
        assert (code, err.count("\n")) == (2, 1)
        assert "cannot be written to /proc/self" in err


def test_a_disk_that_is_full_is_named(transcribe, tmp_path, monkeypatch):
    """os.fsync is where a full disk is often noticed; its error has no file name."""

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = transcribe(FIVE, TWO, "-o", tmp_path / "out")
    assert code == 1
    assert f"its result cannot be written to {tmp_path / 'out' / 'five-five.txt'} (No space left on device)" in err
    assert visible(tmp_path / "out") == []
    code, _, err = transcribe(FIVE, TWO, "--output", tmp_path / "all.txt")
    assert (code, err) == (1, f"s2t-np: error: {tmp_path / 'all.txt'}: No space left on device\n")


def test_an_interrupt_says_how_to_go_on(transcribe, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.batch, "settle", interrupted)
    code, _, err = transcribe(FIVE, TWO, "-o", tmp_path / "out")
    assert (code, err) == (130, "s2t-np: interrupted; the same command with --resume goes on where it stopped\n")
    assert transcribe(FIVE, TWO)[2] == "s2t-np: interrupted\n"


def test_formats_of_words_switch_word_times_on(transcribe, tmp_path):
    """Estimated times would be the characters' shares of the segment; these are the model's own."""
    assert transcribe(FIVE, "-f", "ctm,csv,textgrid,ass,audacity", "-o", tmp_path) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"five-five{suffix}" for suffix in (".TextGrid", ".ass", ".csv", ".ctm", ".labels.txt")
    ]
    lines = [line.split() for line in (tmp_path / "five-five.ctm").read_text().splitlines()]
    assert [(line[0], line[4], len(line)) for line in lines] == [("five-five", "five", 6)] * 2
    assert float(lines[0][2]) + float(lines[0][3]) < float(lines[1][2])  # a pause lies between them


def test_several_recordings_fit_one_ctm(transcribe):
    code, out, err = transcribe(FIVE, FIVE.with_name("two-nine-three-four-zero.flac"), "-f", "ctm")
    assert (code, err) == (0, "")
    assert [line.split()[4] for line in out.splitlines()] == "five five two nine three four zero".split()
    code, out, err = transcribe(FIVE, FIVE.with_name("two-nine-three-four-zero.flac"), "-f", "ass")
    assert (code, out) == (2, "")
    assert "only txt, json, ctm fit one place" in err
