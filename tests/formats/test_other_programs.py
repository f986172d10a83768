"""ctm, csv, textgrid, audacity, ass: read back by readers that are not ours, which find the same words and times."""

import csv
import io
import random
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest

from s2t_np.formats import FORMATS, OF_WORDS, WHISPERS, Layout, render, suffix_of
from s2t_np.longform.segment import Recording, Segment, Word

WORDS = (Word("it", 0.5, 0.75, 0.9), Word('"is"', 0.75, 1.25, 0.5), Word("żółw,", 1.5, 2.0, 0.25))
ONE = Segment(0, 0.5, 2.0, 'it "is" żółw,', (), -0.1, 1.0, WORDS, texts=('it "is" żółw,',))
TWO = replace(ONE, id=1, start=4.0, end=5.5, text="two", words=(Word("two", 4.25, 5.5, 1.0),), texts=("two",))
TALK = Recording("my talk.flac", (ONE, TWO), 6.0)
TIMES = [(word.text, word.start, word.end) for word in (*WORDS, *TWO.words)]
BROKEN = replace(TALK, incomplete="breaks off {after} 6.0 s")
CUT = replace(TALK, segments=(replace(TWO, flags=("unfinished",)),))
SILENT = replace(TALK, segments=())


def write(name, recording=TALK, layout=None):
    """The recording in that format."""
    return render(name, recording, SimpleNamespace(), layout or Layout())


def random_recording(seed):
    """Segments with words that may touch, lack any duration, or reach beyond the segment's times."""
    draw, at, segments = random.Random(seed), 0.0, []
    for number in range(draw.randrange(5)):
        words = []
        for i in range(draw.randrange(1, 9)):
            start = at + draw.choice((0.0, 0.0, 0.2, 1.0))
            at = start + draw.choice((0.0, 0.01, 0.3, 2.0))
            words.append(Word(f"w{number}.{i}", start, at, draw.random()))
        text = " ".join(word.text for word in words)
        segments.append(Segment(number, words[0].start, at, text, (), -0.1, 1.0, tuple(words), texts=(text,)))
    return Recording("x.wav", tuple(segments), at + draw.choice((0.0, 0.5)))


def test_ctm_is_read_by_meeteval():
    io_of = pytest.importorskip("meeteval.io", reason="needs meeteval: reads CTM")
    read = io_of.CTM.parse(write("ctm"))
    found = [(line.word, float(line.begin_time), float(line.begin_time + line.duration)) for line in read]
    assert found == TIMES
    assert {line.filename for line in read} == {"my_talk"}
    assert [float(line.confidence) for line in read] == [0.9, 0.5, 0.25, 1.0]


def test_ctm_lines():
    assert write("ctm").splitlines()[0] == "my_talk 1 0.500 0.250 it 0.9000"
    assert write("ctm", BROKEN).splitlines()[-1] == ";; [incomplete: breaks off {after} 6.0 s]"
    assert write("ctm", CUT).splitlines()[-1] == ";; the text of 4.00 to 5.50 s was cut off"
    assert write("ctm", SILENT) == ""


def test_csv_is_read_by_pythons_own():
    rows = list(csv.DictReader(io.StringIO(write("csv"))))
    assert [(row["word"], float(row["start"]), float(row["end"])) for row in rows] == TIMES
    assert [row["segment"] for row in rows] == ["0", "0", "0", "1"]
    assert [float(row["probability"]) for row in rows] == [0.9, 0.5, 0.25, 1.0]
    last = list(csv.DictReader(io.StringIO(write("csv", BROKEN))))[-1]
    assert (last["word"], last["start"]) == ("[incomplete: breaks off {after} 6.0 s]", "6.000")
    assert list(csv.DictReader(io.StringIO(write("csv", CUT))))[-1]["word"] == "[...]"


def textgrid_of(text, tmp_path):
    """The tiers as praatio reads them: name -> (start, end, label) of the intervals with a label."""
    praatio = pytest.importorskip("praatio.textgrid", reason="needs praatio: reads TextGrid")
    path = tmp_path / "x.TextGrid"
    path.write_text(text, encoding="utf-8")
    grid = praatio.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
    return {name: [(i.start, i.end, i.label) for i in grid.getTier(name).entries] for name in grid.tierNames}


def test_textgrid_is_read_by_praatio(tmp_path):
    tiers = textgrid_of(write("textgrid"), tmp_path)
    assert [(label, start, end) for start, end, label in tiers["words"] if label] == TIMES
    assert [(start, end, label) for start, end, label in tiers["segments"] if label] == [
        (0.5, 2.0, ONE.text),
        (4.0, 5.5, "two"),
    ]
    assert list(tiers) == ["segments", "words"]
    assert textgrid_of(write("textgrid", BROKEN), tmp_path)["notes"][0][2].startswith("[incomplete: ")
    assert textgrid_of(write("textgrid", CUT), tmp_path)["segments"][1][2] == "two [...]"


@pytest.mark.parametrize("seed", range(30))
def test_textgrid_tiers_fill_the_time(seed, tmp_path):
    """Praat refuses gaps, overlaps and intervals without duration."""
    recording = random_recording(seed)
    for intervals in textgrid_of(write("textgrid", recording), tmp_path).values():
        assert intervals[0][0] == 0
        assert intervals[-1][1] == pytest.approx(max(recording.duration, 0.001), abs=0.01)
        assert all(end - start >= 0.0004 for start, end, _ in intervals)
        assert all(a[1] == b[0] for a, b in pairwise(intervals))


def test_textgrid_is_read_by_another_reader(tmp_path):
    other = pytest.importorskip("textgrid", reason="needs the package TextGrid: reads TextGrid")
    (tmp_path / "x.TextGrid").write_text(write("textgrid"), encoding="utf-8")
    grid = other.TextGrid.fromFile(str(tmp_path / "x.TextGrid"))
    assert [(i.mark, i.minTime, i.maxTime) for i in grid[1] if i.mark] == TIMES


def test_audacity_labels_are_read_by_crowsetta(tmp_path):
    crowsetta = pytest.importorskip("crowsetta", reason="needs crowsetta: reads Audacity's labels")
    (tmp_path / "x.txt").write_text(write("audacity"), encoding="utf-8")
    read = crowsetta.formats.seq.AudSeq.from_file(tmp_path / "x.txt")
    assert list(zip(read.start_times, read.end_times, read.labels, strict=True)) == [
        (0.5, 2.0, ONE.text),
        (4.0, 5.5, "two"),
    ]


def test_audacity_lines():
    assert write("audacity").splitlines()[1] == "4.000000\t5.500000\ttwo"
    assert write("audacity", BROKEN).splitlines()[-1] == "6.000000\t6.000000\t[incomplete: breaks off {after} 6.0 s]"
    assert write("audacity", CUT).splitlines() == ["4.000000\t5.500000\ttwo [...]"]


def karaoke(text):
    """The events as pysubs2 reads them."""
    pysubs2 = pytest.importorskip("pysubs2", reason="needs pysubs2: reads ass")
    return list(pysubs2.SSAFile.from_string(text))


def test_ass_is_read_by_pysubs2():
    first, second = karaoke(write("ass"))
    assert (first.start, first.end, first.plaintext) == (500, 2000, ONE.text)
    assert first.text == r'{\k25}it {\k75}"is" {\k50}żółw,'
    assert (second.start, second.end, second.text) == (4250, 5500, r"{\k125}two")
    narrow = karaoke(write("ass", layout=Layout(7, 2)))[0]
    assert narrow.text == r'{\k25}it {\k75}"is"\N{\k50}żółw,'


def test_ass_marks_and_harmless_texts():
    last = karaoke(write("ass", BROKEN))[-1]
    assert (last.start, last.end, last.plaintext) == (6000, 9000, "[incomplete: breaks off (after) 6.0 s]")
    assert karaoke(write("ass", CUT))[0].plaintext == "two [...]"
    odd = replace(TALK, segments=(replace(TWO, words=(Word(r"{\b1}\N", 4.25, 5.5, 1.0),)),))
    assert karaoke(write("ass", odd))[0].plaintext == "(/b1)/N"


@pytest.mark.parametrize("seed", range(30))
def test_karaoke_lasts_as_long_as_its_cue(seed):
    events = karaoke(write("ass", random_recording(seed)))
    for event in events:
        sung = sum(int(part.partition("}")[0]) for part in event.text.split(r"{\k")[1:])
        assert sung * 10 == pytest.approx(event.end - event.start, abs=20)
    assert all(a.end <= b.start for a, b in pairwise(events))


@pytest.mark.parametrize("name", OF_WORDS)
def test_words_without_times_get_their_share(name):
    untimed = replace(TALK, segments=(replace(ONE, words=None),))
    text = write(name, untimed)
    assert all(word.text.replace('"', "").strip(",") in text for word in WORDS)


def test_names_of_formats():
    assert set(WHISPERS) == {"txt", "srt", "vtt", "tsv", "json"}
    assert {*OF_WORDS, "audacity"} == set(FORMATS) - set(WHISPERS)
    assert [suffix_of(name) for name in ("textgrid", "audacity", "ctm")] == [".TextGrid", ".labels.txt", ".ctm"]
    assert len(set(map(suffix_of, FORMATS))) == len(FORMATS)


def test_channels_are_kept_apart(tmp_path):
    left, right = replace(ONE, channel=1), replace(TWO, channel=2, start=1.0, words=(Word("two", 1.0, 1.75, 1.0),))
    talk = replace(TALK, segments=(left, right, replace(TWO, id=2, channel=1)))
    assert [line.split()[1] for line in write("ctm", talk).splitlines()] == ["1", "1", "1", "1", "2"]
    rows = list(csv.DictReader(io.StringIO(write("csv", talk))))
    assert [row["channel"] for row in rows] == ["1", "1", "1", "2", "1"]
    tiers = textgrid_of(write("textgrid", talk), tmp_path)
    assert list(tiers) == [f"channel {n} {what}" for n in (1, 2) for what in ("segments", "words")]
    assert [i for i in tiers["channel 2 words"] if i[2]] == [(1.0, 1.75, "two")]
    assert write("audacity", talk).splitlines()[1] == "1.000000\t5.500000\t[channel 2] two"
    assert [(event.start, event.plaintext) for event in karaoke(write("ass", talk))][1] == (1000, "[channel 2] two")
