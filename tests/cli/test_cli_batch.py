"""Batches by the command: what goes where, in which format, and what is left to do; subtitles on standard output."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
import soundfile
from s2t_np.batch.resume import JOURNAL

from s2t_np import cli
from s2t_np.cli import main
from s2t_np.longform.segment import Segment
from tests.support.paths import DIGITS

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE, TWO = RECORDINGS / "five-five.flac", RECORDINGS / "two-nine-three-four-zero.flac"
FORMATS = ("json", "srt", "tsv", "txt", "vtt")


@pytest.fixture
def transcribe(capsys):
    """Run `transcribe --model digits`; (exit code, stdout, stderr)."""

    def run(*argv):
        code = main(["transcribe", "--model", "digits", *map(str, argv)])
        return code, *capsys.readouterr()

    return run


def visible(folder):
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


@pytest.mark.parametrize("name", FORMATS)
def test_one_recording_is_printed_as_its_file_would_be(transcribe, tmp_path, name):
    code, out, err = transcribe(FIVE, "--format", name)
    assert (code, err) == (0, "")
    assert transcribe(FIVE, "-f", name, "-o", tmp_path) == (0, "", "")
    assert (tmp_path / f"five-five.{name}").read_text() == out
    assert out


def test_segments_are_printed_as_they_close(monkeypatch, capsys):
    seen = []

    def segments():
        for number, text in enumerate(("one", "two")):
            seen.append(capsys.readouterr().out)
            yield Segment(number, float(number), number + 1.0, text, (), 0.0, 1.0)

    monkeypatch.setattr(cli.transcribe, "listen", lambda task, item: (None, segments()))
    assert main(["transcribe", "--model", "digits", str(FIVE), "--format", "srt"]) == 0
    assert seen == ["", "1\n00:00:00,000 --> 00:00:01,000\none\n\n"]
    assert capsys.readouterr().out == "2\n00:00:01,000 --> 00:00:02,000\ntwo\n\n"


def test_all_formats_of_a_folder(transcribe, tmp_path):
    assert transcribe(RECORDINGS, "-f", "all", "-o", tmp_path, "--max-line-width", 10) == (0, "", "")
    stems = sorted(path.stem for path in RECORDINGS.glob("*.flac"))
    assert visible(tmp_path) == sorted(f"{stem}.{name}" for stem in stems for name in FORMATS)
    assert (tmp_path / f"{TWO.stem}.vtt").read_text().splitlines()[3:5] == ["two nine", "three"]


def test_patterns_and_lists_are_inputs_like_any(transcribe, tmp_path):
    (tmp_path / "list").write_bytes(os.fsencode(TWO) + b"\0" + os.fsencode(RECORDINGS / "five*") + b"\0")
    code, out, err = transcribe("--files-from", tmp_path / "list", "--null")
    assert (code, err) == (0, "")
    assert out == f"{TWO}\ttwo nine three four zero\n{FIVE}\tfive five\n"
    assert transcribe(RECORDINGS / "f*.flac") == (0, f"{FIVE}\tfive five\n", "")


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_is_printed_is_in_the_order_of_the_inputs(transcribe, jobs):
    inputs = [TWO, *[FIVE] * 6, TWO]
    code, out, _ = transcribe(*inputs, "--jobs", jobs)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(path) for path in inputs]


def test_one_output_has_a_line_for_each(transcribe, tmp_path):
    assert transcribe(RECORDINGS, "--output", tmp_path / "all.jsonl") == (0, "", "")
    records = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert transcribe(RECORDINGS, "--output", tmp_path / "all.tsv") == (0, "", "")
    with open(tmp_path / "all.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [[record["file"], record["text"]] for record in records] == rows
    assert [row[0] for row in rows] == sorted(map(str, RECORDINGS.glob("*.flac")))


def test_what_is_done_is_not_done_again(transcribe, tmp_path):
    recordings, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(RECORDINGS, recordings)
    assert transcribe(recordings, "-o", out)[0] == 0
    (out / "five-five.txt").write_text("left alone")
    (out / f"{TWO.stem}.txt").unlink()
    shutil.copy(FIVE, recordings / "new.flac")
    assert transcribe(recordings, "-o", out, "--resume") == (0, "", "s2t-np: 4 of 6 are done already\n")
    assert (out / "five-five.txt").read_text() == "left alone"
    assert (out / f"{TWO.stem}.txt").read_text() == "two nine three four zero\n"
    assert (out / "new.txt").read_text() == "five five\n"
    assert transcribe(recordings, "-o", out, "--resume", "--beams", 2) == (0, "", "")
    assert (out / "five-five.txt").read_text() == "five five\n"


def test_a_failure_is_tried_again(transcribe, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    target = ("--output", tmp_path / "out.txt", "--resume")
    assert transcribe(tmp_path / "a.wav", FIVE, *target)[0] == 1
    shutil.copy(TWO, tmp_path / "a.wav")
    code, _, err = transcribe(tmp_path / "a.wav", FIVE, *target)
    assert (code, err) == (0, "s2t-np: 1 of 2 are done already\n")
    lines = [line.split("\t")[1] for line in (tmp_path / "out.txt").read_text().splitlines()]
    assert lines == ["five five", "two nine three four zero"]


def test_one_output_is_not_mixed_or_overwritten(transcribe, tmp_path):
    target = ("--output", tmp_path / "out.jsonl")
    assert transcribe(FIVE, *target)[0] == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    for more, says in (((), "--resume continues it"), (("--resume", "--beams", 2), "other options")):
        code, out, err = transcribe(FIVE, TWO, *target, *more)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert says in err
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_a_single_recording_leaves_no_notes_in_a_folder(transcribe, tmp_path):
    assert transcribe(FIVE, "-o", tmp_path)[0] == 0
    assert os.listdir(tmp_path) == ["five-five.txt"]
    assert transcribe(FIVE, "-o", tmp_path, "--resume")[0] == 0
    assert sorted(os.listdir(tmp_path)) == [JOURNAL, "five-five.txt"]


def test_every_option_of_the_stream_is_an_option_of_the_command():
    parser = cli.build_parser()
    argv = ["transcribe", "x", "--word-timestamps", "--vad-threshold", "4.5", "--max-flatness", "none"]
    given = cli.segments.stream_options(parser.parse_args(argv))
    assert given == cli.segments.StreamOptions(word_timestamps=True, vad_threshold=4.5, max_flatness=None)
    assert cli.segments.stream_options(parser.parse_args(["transcribe", "x"])) == cli.segments.StreamOptions()


def test_samples_without_a_header(transcribe, tmp_path, monkeypatch):
    samples = soundfile.read(FIVE, dtype="int16")[0]
    path = tmp_path / "five.pcm"
    path.write_bytes(samples.tobytes())
    assert transcribe("--raw-rate", 16000, path) == (0, "five five\n", "")
    path.write_bytes(np.repeat(samples, 2).astype(">i2").tobytes())
    assert transcribe("--raw-rate", 16000, "--raw-encoding", "s16be", "--raw-channels", 2, path)[1] == "five five\n"
    with open(path, "rb") as file:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": file}))
        assert transcribe("--raw-rate", 16000, "--raw-encoding", "s16be", "--raw-channels", 2, "-")[1] == "five five\n"


@pytest.mark.parametrize(
    "options",
    [("--raw-channels", 2), ("--raw-rate", 3), ("--raw-rate", 16000, "--raw-channels", 0), ("--raw-encoding", "mp3")],
)
def test_raw_options_that_mean_nothing(transcribe, options):
    code, _, err = transcribe(FIVE, *options)
    assert code == 2 and "--raw-" in err and err.count("\n") == 1
