"""txt, srt, vtt, tsv and json: what whisper would write, and read back by readers that are not ours."""

import base64
import csv
import io
import json
import math
import os
import random
from itertools import pairwise
from types import SimpleNamespace

import pytest

from s2t_np.errors import OptionError
from s2t_np.formats import Layout, path_lines, render
from s2t_np.formats.subtitles import cues, timestamp
from s2t_np.longform.segment import Recording, Segment, Word
from s2t_np.search import Hypothesis

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁five", "▁fünf"]
TOKENIZER = SimpleNamespace(pieces=lambda ids: [PIECES[i] for i in ids])
LONG = (
    "it is a truth universally acknowledged that a single man in possession of a good fortune must be in want of a wife"
)


def segment(text, start=0.0, end=1.5, others=(), words=None, log_probs=(-0.5, -0.25), number=0):
    texts = (text, *others)
    hypotheses = tuple(Hypothesis((2, 5, 2), tuple(log_probs), -0.375, True) for _ in texts)
    return Segment(number, start, end, text, (5,), -0.375, 0.6, words, (), hypotheses, texts)


def write(name, *segments, path="a.wav", layout=None):
    return render(name, Recording(path, segments, 9.0), TOKENIZER, layout or Layout())


def test_txt_is_a_line_a_segment_and_hypothesis():
    assert write("txt", segment("five fünf", others=["five"]), segment("nine")) == "five fünf\nfive\nnine\n"
    assert write("txt", segment("  a\tb\nc ")) == "a b c\n"
    assert write("txt", segment("")) == write("txt") == ""


def test_path_lines_have_the_whole_text_and_stay_one_line():
    recording = Recording("a\tb\nc.wav", (segment("one", others=["won", "wan"]), segment("two", others=["too"])), 9.0)
    assert path_lines(recording) == "".join(f"a\\tb\\nc.wav\t{text}\n" for text in ("one two", "won too", "wan too"))
    assert path_lines(Recording("a.wav", (), 9.0)) == "a.wav\t\n"


def test_srt_as_whisper_writes_it():
    text = write("srt", segment("one --> two", 0.0, 1.5), segment(""), segment("three", 3661.0004, 3662.9996))
    assert text == "1\n00:00:00,000 --> 00:00:01,500\none -> two\n\n2\n01:01:01,000 --> 01:01:03,000\nthree\n\n"


def test_vtt_as_whisper_writes_it():
    text = write("vtt", segment("one --> two", 0.0, 1.5), segment("three", 3661.0, 3662.25))
    assert text == "WEBVTT\n\n00:00.000 --> 00:01.500\none -> two\n\n01:01:01.000 --> 01:01:02.250\nthree\n\n"
    assert write("vtt") == "WEBVTT\n\n"


def test_tsv_as_whisper_writes_it():
    text = write("tsv", segment("one\ttwo", 0.0004, 1.5), segment("three", 3661.0, 3662.25))
    assert text == "start\tend\ttext\n0\t1500\tone two\n3661000\t3662250\tthree\n"


def test_times_round_up_through_every_unit():
    assert timestamp(3599.9996, ",", True) == "01:00:00,000"
    assert timestamp(59.9994, ".", False) == "00:59.999"
    assert timestamp(360000.0, ".", False) == "100:00:00.000"


def test_json_says_everything_on_one_line():
    words = (Word("fünf", 0.25, 0.75, 0.9),)
    line = write("json", segment("fünf", others=["five"], words=words), segment("five", 2.0, 2.5), path="a\nü.wav")
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    assert "fünf" in line  # readable, not escaped
    record = json.loads(line)
    assert (record["file"], record["text"], record["duration"]) == ("a\nü.wav", "fünf five", 9.0)
    first, second = record["segments"]
    assert (first["id"], first["start"], first["end"], first["tokens"]) == (0, 0.0, 1.5, [5])
    assert (first["avg_logprob"], first["compression_ratio"], first["flags"]) == (-0.375, 0.6, [])
    assert first["words"] == [{"word": " fünf", "start": 0.25, "end": 0.75, "probability": 0.9}]
    assert "words" not in second
    best, other = first["hypotheses"]
    assert (best["text"], other["text"]) == ("fünf", "five")
    assert (best["tokens"], best["pieces"]) == ([2, 5, 2], ["</s>", "▁fünf", "</s>"])
    assert best["log_prob"] == pytest.approx(-0.75)
    assert (best["score"], best["token_log_probs"], best["finished"]) == (-0.375, [-0.5, -0.25], True)


def test_json_knows_nothing_that_the_model_cannot_know():
    record = json.loads(write("json", segment("five")))
    assert not {"language"} & set(record)
    assert not {"no_speech_prob", "temperature", "seek"} & set(record["segments"][0])


def test_json_stays_valid_for_infinite_numbers_and_paths_that_are_no_unicode():
    path = os.fsdecode(b"caf\xe9.wav")
    line = write("json", segment("five", log_probs=(-math.inf, -1.0)), path=path)
    record = json.loads(line.encode("utf-8"))  # which a lone surrogate would not survive
    assert record["file"] == r"caf\xe9.wav"
    assert base64.b64decode(record["file_bytes"]) == b"caf\xe9.wav"
    assert "file_bytes" not in json.loads(write("json", segment("five"), path="caf\u00e9.wav"))
    assert record["segments"][0]["hypotheses"][0]["token_log_probs"] == [None, -1.0]
    assert record["segments"][0]["hypotheses"][0]["log_prob"] is None


# ---- layout


def laid_out(text, width, count, words=None):
    return list(cues([segment(text, 10.0, 20.0, words=words)], Layout(width, count)))


@pytest.mark.parametrize(("width", "count"), [(42, 2), (20, 1), (30, 3), (12, 2), (0, 0), (0, 1), (25, 0)])
def test_cues_hold_all_words_in_lines_of_that_width_and_time(width, count):
    found = laid_out(LONG, width, count)
    assert " ".join(line for cue in found for line in cue.lines) == LONG
    assert all(len(line) <= (width or 999) for cue in found for line in cue.lines)
    assert all(len(cue.lines) <= (count or 999) for cue in found)
    assert found[0].start == 10.0
    assert found[-1].end == pytest.approx(20.0)
    assert all(a.start < a.end == pytest.approx(b.start) for a, b in pairwise(found))


def test_a_text_that_fits_a_line_has_one_line_and_lines_are_of_like_length():
    assert [cue.lines for cue in laid_out("five five", 42, 2)] == [["five five"]]
    lines = [line for cue in laid_out(LONG, 42, 2) for line in cue.lines]
    assert len(lines) == 3
    assert max(map(len, lines)) - min(map(len, lines)) < 10


def test_a_word_that_is_too_long_has_a_line_of_its_own():
    assert [cue.lines for cue in laid_out("a pneumonoultramicroscopic b", 10, 1)] == [
        ["a"],
        ["pneumonoultramicroscopic"],
        ["b"],
    ]


def test_cues_begin_and_end_with_their_words_where_these_are_known():
    words = tuple(Word(w, 11.0 + i, 11.5 + i, 1.0) for i, w in enumerate("one two three four".split()))
    found = laid_out("one two three four", 7, 1, words)
    assert [(cue.lines, cue.start, cue.end) for cue in found] == [
        (["one two"], 11.0, 12.5),
        (["three"], 13.0, 13.5),
        (["four"], 14.0, 14.5),
    ]


def test_a_cue_of_unknown_words_has_the_time_of_its_characters():
    first, second = laid_out("aaaa bbbb cc", 9, 1)
    assert (first.lines, second.lines) == (["aaaa bbbb"], ["cc"]) or (first.lines, second.lines) == (
        ["aaaa"],
        ["bbbb cc"],
    )
    assert first.end == pytest.approx(10 + 10 * (len(" ".join(first.lines)) + 1) / 13)


def known(*times):
    """Words that begin and end at these times."""
    return tuple(Word(f"word{i}", start, end, 1.0) for i, (start, end) in enumerate(times))


def test_no_cue_has_no_time_at_all_and_none_overlaps_another():
    words = known((11.0, 11.0), (11.0, 11.0), (11.0, 11.2), (11.15, 11.6))
    found = list(cues([segment("w " * 4, 10.0, 20.0, words=words), segment("next", 11.5, 12.0)], Layout(5, 1)))
    assert [cue.lines for cue in found] == [["word0"], ["word1"], ["word2"], ["word3"], ["next"]]
    assert all(cue.end - cue.start > 0.099 for cue in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert found[0].start == 11.0


def test_two_words_with_a_long_pause_between_them_are_two_cues():
    found = laid_out("word0 word1", 42, 2, known((10.0, 10.5), (19.0, 19.5)))
    assert [(cue.lines, cue.start, cue.end) for cue in found] == [(["word0"], 10.0, 10.5), (["word1"], 19.0, 19.5)]
    assert len(laid_out("word0 word1", 42, 2, known((10.0, 10.5), (12.0, 12.5)))) == 1


def test_half_a_minute_without_a_pause_and_a_word_of_fifty_letters():
    srt = pytest.importorskip("srt", reason="needs the package srt")
    text = " ".join(["nine", "x" * 50, *["seven"] * 70])
    read = list(srt.parse(write("srt", segment(text, 0.0, 28.0), layout=Layout(20, 2))))
    lines = [line for cue in read for line in cue.content.split("\n")]
    assert " ".join(lines) == text
    assert [len(line) for line in lines if len(line) > 20] == [50]
    assert all(a.end <= b.start for a, b in pairwise(read))
    assert all(0.1 <= (cue.end - cue.start).total_seconds() < 7 for cue in read)


def test_a_layout_of_less_than_nothing_is_refused():
    with pytest.raises(OptionError, match="max_line_width is -1"):
        Layout(max_line_width=-1)


# ---- readers that are not ours


def sentences():
    """Segments of random words and times, one after another, some with odd characters."""
    draw, at = random.Random(7), 0.0
    for number in range(60):
        words = [
            draw.choice(["one", "-->", "zwölf", "it's", '"quoted"', "a,b", "naïve", "1999", LONG[:20]])
            for _ in range(draw.randint(1, 12))
        ]
        at += draw.random() * 200
        yield segment(" ".join(words), at, at := at + 0.5 + draw.random() * 20, number=number)


def arrow(text):
    return text.replace("-->", "->")


def test_tsv_is_read_by_csv():
    rows = list(csv.DictReader(io.StringIO(write("tsv", *sentences())), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [row["text"] for row in rows] == [s.text for s in sentences()]
    assert [int(row["start"]) for row in rows] == [round(1000 * s.start) for s in sentences()]
    assert [int(row["end"]) for row in rows] == [round(1000 * s.end) for s in sentences()]


def test_srt_is_read_by_srt():
    srt = pytest.importorskip("srt", reason="needs the package srt")
    read = list(srt.parse(write("srt", *sentences(), layout=Layout(0, 0))))
    assert [cue.index for cue in read] == list(range(1, 61))
    assert [cue.content for cue in read] == [arrow(s.text) for s in sentences()]
    assert [cue.start.total_seconds() for cue in read] == [pytest.approx(s.start, abs=6e-4) for s in sentences()]
    assert [cue.end.total_seconds() for cue in read] == [pytest.approx(s.end, abs=6e-4) for s in sentences()]
    laid_out = list(srt.parse(write("srt", *sentences())))
    assert " ".join(cue.content.replace("\n", " ") for cue in laid_out) == " ".join(arrow(s.text) for s in sentences())
    assert [cue.index for cue in laid_out] == list(range(1, len(laid_out) + 1))


def test_vtt_is_read_by_webvtt():
    webvtt = pytest.importorskip("webvtt", reason="needs the package webvtt-py")
    read = webvtt.from_buffer(io.StringIO(write("vtt", *sentences(), layout=Layout(0, 0)))).captions
    assert [cue.text for cue in read] == [arrow(s.text) for s in sentences()]
    assert [cue.start_in_seconds for cue in read] == [int(round(s.start, 3)) for s in sentences()]
    laid_out = webvtt.from_buffer(io.StringIO(write("vtt", *sentences()))).captions
    assert " ".join(cue.text.replace("\n", " ") for cue in laid_out) == " ".join(arrow(s.text) for s in sentences())
