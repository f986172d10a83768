"""What breaks off is marked in every format: an incomplete recording, and a text cut off at the maximum length."""

import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from s2t_np.cli.highlight import highlighted
from s2t_np.formats import STREAMED, Incomplete, Layout, path_lines, render
from s2t_np.longform.segment import Recording, Segment, Word

REASON = "breaks off\tafter 3.2 s --> damaged"
MARK = "[incomplete: breaks off after 3.2 s --> damaged]"
SEGMENT = Segment(0, 0.5, 2.5, "one two", (), -0.1, 1.0)
WHOLE = Recording("a.wav", (SEGMENT,), 3.2)
BROKEN = replace(WHOLE, incomplete=REASON)
CUT = replace(WHOLE, segments=(replace(SEGMENT, flags=("unfinished",), texts=("one two", "won")),))


def write(name, recording):
    return render(name, recording, SimpleNamespace(), Layout(0, 0))


@pytest.mark.parametrize("name, end", [
    ("txt", f"{MARK}\n"),
    ("tsv", f"3200\t3200\t{MARK}\n"),
    ("srt", f"2\n00:00:03,200 --> 00:00:06,200\n{MARK.replace('-->', '->')}\n\n"),
    ("vtt", f"NOTE {MARK.replace('-->', '->')}\n\n"),
])  # fmt: skip
def test_an_incomplete_recording_is_marked_at_its_end(name, end):
    assert write(name, BROKEN) == write(name, WHOLE) + end
    streamed = STREAMED[name](iter([SEGMENT, Incomplete(3.2, REASON)]), Layout(0, 0))
    assert "".join(streamed) == write(name, BROKEN)


def test_an_incomplete_recording_in_json_and_in_one_line():
    assert json.loads(write("json", BROKEN))["incomplete"] == REASON
    assert json.loads(write("json", WHOLE))["incomplete"] is None
    assert path_lines(WHOLE) == "a.wav\tone two\n"
    assert path_lines(BROKEN) == f"a.wav\tone two\t{MARK}\n"
    assert path_lines(replace(BROKEN, segments=())) == f"a.wav\t\t{MARK}\n"


def test_a_broken_recording_without_text_is_marked_too():
    nothing = replace(BROKEN, segments=())
    assert write("txt", nothing) == f"{MARK}\n"
    assert write("srt", nothing).startswith("1\n00:00:03,200")


def test_readers_that_are_not_ours_take_the_marks():
    rows = list(csv.DictReader(io.StringIO(write("tsv", BROKEN)), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [int(row["start"]) for row in rows] == [500, 3200]
    srt = pytest.importorskip("srt", reason="needs the package srt")
    assert [cue.content for cue in srt.parse(write("srt", BROKEN))] == ["one two", MARK.replace("-->", "->")]
    webvtt = pytest.importorskip("webvtt", reason="needs the package webvtt-py")
    assert [cue.text for cue in webvtt.from_buffer(io.StringIO(write("vtt", BROKEN))).captions] == ["one two"]


@pytest.mark.parametrize("name, text", [
    ("txt", "one two [...]\nwon\n"),
    ("tsv", "start\tend\ttext\n500\t2500\tone two [...]\n"),
    ("srt", "1\n00:00:00,500 --> 00:00:02,500\none two [...]\n\n"),
    ("vtt", "WEBVTT\n\n00:00.500 --> 00:02.500\none two [...]\n\n"),
])  # fmt: skip
def test_a_text_that_reached_the_maximum_length_is_marked(name, text):
    assert write(name, CUT) == text


def test_a_cut_off_text_in_one_line_in_json_and_with_words():
    assert path_lines(CUT) == "a.wav\tone two [...]\na.wav\twon\n"
    timed = replace(CUT.segments[0], words=(Word("one", 0.5, 1.0, 1.0), Word("two", 1.0, 2.0, 1.0)), texts=())
    assert write("srt", replace(CUT, segments=(timed,))) == "1\n00:00:00,500 --> 00:00:02,500\none two [...]\n\n"
    segment = json.loads(write("json", replace(CUT, segments=(replace(CUT.segments[0], texts=()),))))["segments"][0]
    assert (segment["text"], segment["flags"]) == ("one two", ["unfinished"])
    assert "".join(highlighted([timed, Incomplete(3.2, REASON)])) == f"one two [...]\n{MARK}\n"
