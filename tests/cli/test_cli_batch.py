"""Batches by the command: what goes where, in which format, and what is left to do; subtitles on standard output."""

import csv
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from s2t_np import cli
from s2t_np.batch.notes import JOURNAL
from s2t_np.cli import main, segments
from s2t_np.cli.commands import transcribe
from s2t_np.longform.segment import Segment
from tests.support.paths import DIGITS
from tests.support.trees import copies, visible

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE, TWO = RECORDINGS / "five-five.flac", RECORDINGS / "two-nine-three-four-zero.flac"
FORMATS = ("json", "srt", "tsv", "txt", "vtt")


@pytest.fixture
def cut_wav(tmp_path):
    """A WAV file in which two fives are said, and whose header promises half a second more than there is."""
    samples, rate = soundfile.read(FIVE)
    soundfile.write(tmp_path / "whole.wav", np.concatenate([samples, np.zeros(rate // 2)]), rate, "PCM_16")
    whole = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "whole.wav").unlink()
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "cut.wav").write_bytes(whole[:-rate])  # two bytes a sample
    return tmp_path / "rec" / "cut.wav"


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

    sound = SimpleNamespace(incomplete=None)
    monkeypatch.setattr(transcribe, "listen", lambda task, item: (sound, segments()))
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
def test_what_is_printed_is_in_the_order_of_the_inputs(transcribe, tmp_path, jobs):
    inputs = [TWO, *copies(FIVE, tmp_path, "f", "b", "e", "d", "a", "c")]
    code, out, _ = transcribe(*inputs, "--jobs", jobs)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(path) for path in inputs]


def test_a_recording_that_is_named_twice_is_transcribed_once(transcribe):
    code, out, err = transcribe(FIVE, TWO, FIVE)
    assert (code, out.count("\n")) == (0, 2)
    assert err == f"s2t-np: {FIVE} is given twice; each is transcribed once\n"


def test_what_a_folder_leaves_out_is_said(transcribe, tmp_path, without_pyav):
    copies(FIVE, tmp_path, "a.flac", "memo.m4a")
    code, out, err = transcribe(tmp_path)
    assert (code, out) == (0, f"{tmp_path / 'a.flac'}\tfive five\n")
    assert "1 .m4a file left out" in err
    assert str(tmp_path / "memo.m4a") in err
    (tmp_path / "a.flac").unlink()
    code, out, err = transcribe(tmp_path, "-o", tmp_path / "out")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "memo.m4a" in err


def test_bad_files_are_a_line_each_and_the_good_ones_are_done(transcribe, tmp_path):
    """Case 51: ten good recordings, an empty file, a text, a folder named like a recording, a link to nothing."""
    folder = tmp_path / "in"
    copies(FIVE, folder, *(f"{number}.flac" for number in range(10)))
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("these are words")
    (folder / "folder.wav").mkdir()
    (folder / "nothing.wav").symlink_to("gone")
    code, out, err = transcribe(folder, "-o", tmp_path / "out")
    assert (code, out) == (1, "")
    assert visible(tmp_path / "out") == [f"{number}.txt" for number in range(10)]
    *lines, total = err.splitlines()
    assert sorted(line.split(": ")[1] for line in lines) == sorted(
        str(folder / name) for name in ("empty.wav", "text.wav", "folder.wav", "nothing.wav")
    )
    assert total == "s2t-np: 4 of 14 inputs failed"


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
    before = (out / "five-five.txt").stat().st_ino
    (out / f"{TWO.stem}.txt").unlink()
    shutil.copy(FIVE, recordings / "new.flac")
    assert transcribe(recordings, "-o", out, "--resume") == (0, "", "s2t-np: 4 of 6 are done already\n")
    assert (out / "five-five.txt").stat().st_ino == before
    assert (out / f"{TWO.stem}.txt").read_text() == "two nine three four zero\n"
    assert (out / "new.txt").read_text() == "five five\n"
    assert transcribe(recordings, "-o", out, "--resume", "--beams", 2) == (0, "", "")
    assert (out / "five-five.txt").stat().st_ino != before


def test_a_transcript_that_was_edited_is_named_and_left_alone(transcribe, tmp_path):
    recordings, out = copies(FIVE, tmp_path, "a.flac", "b.flac"), tmp_path / "out"
    assert transcribe(*recordings, "-o", out)[0] == 0
    (out / "a.txt").write_text("corrected by hand")
    code, _, err = transcribe(*recordings, "-o", out, "--resume")
    assert code == 0
    assert err.splitlines()[0] == "s2t-np: 2 of 2 are done already"
    assert err.splitlines()[1].startswith(f"s2t-np: {out / 'a.txt'}: was changed")
    assert (out / "a.txt").read_text() == "corrected by hand"


@pytest.mark.parametrize("between", [("--resume",), (), ("only one",)])
def test_results_of_other_options_are_not_taken_for_done(transcribe, tmp_path, between):
    """Three runs: the second one replaces what the first has written, so the third one has to do it again."""
    recordings, first = copies(FIVE, tmp_path, "a.flac", "b.flac"), ("-o", tmp_path / "out")
    assert transcribe(*recordings, *first)[0] == 0
    second = recordings[:1] if between == ("only one",) else [*recordings, *between]
    assert transcribe(*second, *first, "--max-new-tokens", 1)[0] == 0
    assert (tmp_path / "out" / "a.txt").read_text() != "five five\n"
    code, _, err = transcribe(*recordings, *first, "--resume")
    assert (code, err) == (0, "s2t-np: 1 of 2 are done already\n" if between == ("only one",) else "")
    assert [(tmp_path / "out" / name).read_text() for name in ("a.txt", "b.txt")] == ["five five\n"] * 2


def test_a_folder_that_was_moved_is_done_and_one_that_was_touched_by_its_content(transcribe, tmp_path):
    copies(FIVE, tmp_path / "old", "a.flac", "sub/b.flac")
    out = ("-o", tmp_path / "out", "--resume")
    assert transcribe(tmp_path / "old", *out)[0] == 0
    (tmp_path / "old").rename(tmp_path / "new")
    assert transcribe(tmp_path / "new", *out) == (0, "", "s2t-np: 2 of 2 are done already\n")
    for path in (tmp_path / "new").rglob("*.flac"):
        os.utime(path, ns=(1, 1))
    by_content = transcribe(tmp_path / "new", *out, "--resume-by", "content")
    assert by_content == (0, "", "s2t-np: 2 of 2 are done already\n")
    assert transcribe(tmp_path / "new", *out) == (0, "", "")


def test_fewer_formats_than_before_are_done(transcribe, tmp_path):
    recordings, out = copies(FIVE, tmp_path, "a.flac", "b.flac"), ("-o", tmp_path / "out", "--resume")
    assert transcribe(*recordings, *out, "-f", "all")[0] == 0
    assert transcribe(*recordings, *out, "-f", "srt") == (0, "", "s2t-np: 2 of 2 are done already\n")


# ---- recordings that break off


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_that_breaks_off_is_exit_code_1_and_marked(transcribe, cut_wav, tmp_path, name):
    code, out, err = transcribe(cut_wav, "-f", name)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith(f"s2t-np: {cut_wav}: is cut short")
    assert "five five" in out
    assert "incomplete" in out
    assert transcribe(cut_wav, "-f", name, "-o", tmp_path / "out")[0] == 1
    assert (tmp_path / "out" / f"cut.{name}").read_text() == out


@pytest.mark.parametrize("target", [("-o", "out"), ("--output", "out.txt"), ("--output", "out.jsonl")])
def test_a_recording_that_breaks_off_is_not_done_until_it_has_changed(transcribe, cut_wav, tmp_path, target):
    copies(FIVE, tmp_path / "rec", "a.flac")
    argv = (cut_wav.parent, target[0], tmp_path / target[1], "--resume")
    code, _, err = transcribe(*argv)
    assert (code, err.splitlines()[-1]) == (1, "s2t-np: 1 of 2 recordings are incomplete")
    code, _, err = transcribe(*argv)
    assert code == 1
    assert err.startswith(f"s2t-np: 2 of 2 are done already\ns2t-np: {cut_wav}: is incomplete, as before (is cut short")
    shutil.copy(TWO, cut_wav)
    assert transcribe(*argv) == (0, "", "s2t-np: 1 of 2 are done already\n")
    assert transcribe(*argv) == (0, "", "s2t-np: 2 of 2 are done already\n")
    found = tmp_path / target[1]
    text = (found / "cut.txt" if found.is_dir() else found).read_text()
    assert "two nine three four zero" in text
    assert "is cut short" not in text


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
    given = segments.stream_options(parser.parse_args(argv))
    assert given == segments.StreamOptions(word_timestamps=True, vad_threshold=4.5, max_flatness=None)
    assert segments.stream_options(parser.parse_args(["transcribe", "x"])) == segments.StreamOptions()


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
def test_raw_options_that_are_refused(transcribe, options):
    code, _, err = transcribe(FIVE, *options)
    assert code == 2 and "--raw-" in err and err.count("\n") == 1


def test_a_batch_changes_nothing_but_the_time(transcribe, tmp_path):
    inputs = [*copies(TWO, tmp_path, "a.flac", "b.flac"), tmp_path / "gone.wav", *copies(FIVE, tmp_path, "c.flac")]
    found = [transcribe(*inputs, "--jobs", jobs, "--batch", batch) for jobs, batch in ((1, 1), (1, 3), (2, 2))]
    assert found[0] == found[1] == found[2]
    assert found[0][0] == 1 and found[0][1].count("\n") == 3 and "gone.wav" in found[0][2]


@pytest.mark.parametrize("option", ["--jobs", "--batch"])
def test_less_than_one_at_a_time_is_refused(transcribe, option):
    assert transcribe(FIVE, TWO, option, 0) == (2, "", f"s2t-np: error: {option} is 0, expected at least 1\n")
