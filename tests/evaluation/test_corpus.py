"""Corpora: LibriSpeech's tree and tables in, utterances or one clear line out; results files that survive a kill."""

import json
import os
import tracemalloc
from types import SimpleNamespace

import pytest

from s2t_np import OptionError, StreamOptions
from s2t_np.evaluation import Utterance
from s2t_np.evaluation.corpus import read_corpus
from s2t_np.evaluation.distance import Errors
from s2t_np.evaluation.report import Results, compare
from s2t_np.evaluation.run import read_utterance
from s2t_np.longform.vad_ops import NUMPY_VAD
from tests.support.paths import SHARED, needs_shared
from tools.bench.processes import write_speech


def librispeech(folder, utterances):
    """A tree with empty recordings, from (id, text) pairs."""
    for name, text in utterances:
        speaker, chapter, _ = name.split("-")
        place = folder / "test-clean" / speaker / chapter
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.flac").touch()
        with open(place / f"{speaker}-{chapter}.trans.txt", "a", encoding="utf-8") as file:
            file.write(f"{name} {text}\n")
    return folder


def test_a_librispeech_tree(tmp_path):
    root = librispeech(tmp_path, [("12-3-0001", "SECOND"), ("12-3-0000", "FIRST ONE"), ("9-1-0000", "OTHER")])
    found = read_corpus(root).utterances
    assert [(u.id, u.text, u.group) for u in found] == [
        ("12-3-0001", "SECOND", "test-clean"),
        ("12-3-0000", "FIRST ONE", "test-clean"),
        ("9-1-0000", "OTHER", "test-clean"),
    ]
    assert all(u.audio.is_file() for u in found)


@needs_shared
def test_the_real_tree():
    found = read_corpus(SHARED / "audio" / "LibriSpeech").utterances
    assert {u.group for u in found} == {"dev-clean", "test-clean", "test-other"}


TABLES = {
    "a.tsv": 'id\taudio\ttext\nx\tr.wav\ta "quoted\n',
    "a.csv": 'path,client,sentence\nr.wav,7,"a ""quoted"\n',
    "a.jsonl": '\ufeff{"audio_filepath": "r.wav", "duration": 1.0, "text": "a \\"quoted"}\n\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path, name):
    (tmp_path / "r.wav").touch()
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    ((found,), failures) = read_corpus(tmp_path / name)
    assert (found.text, found.audio) == ('a "quoted', tmp_path / "r.wav")
    assert failures == []
    assert found.id == ("x" if name == "a.tsv" else "r.wav")


BAD = [
    ("a.tsv", "", "no transcribed recordings in it: it is empty"),
    ("a.tsv", "audio\twords\nr.wav\tx\n", "line 2: no text; columns are audio, words"),
    ("a.tsv", "text\nx\n", "no recording; columns are text"),
    ("a.tsv", "audio\ttext\nr.wav\n", "line 2: no text"),
    ("a.tsv", "audio\ttext\nq.wav\tx\n", "none of its 1 rows can be used .*q.wav: no such file"),
    ("a.jsonl", "{\n", "line 1: not JSON"),
    ("a.jsonl", "[1]\n", "expected a JSON object"),
    ("a.jsonl", '{"audio": null, "text": "x"}\n', "no recording"),
    ("a.xml", "<a/>", "expected a folder"),
    ("a.csv", b"audio,text\nr.wav,\xff\n", "not UTF-8"),
    ("a.csv", "audio,text\nr.wav," + "x" * 200_000, "field larger"),
    ("a.csv", 'audio,text\nr.wav,"never closed\nr.wav,y\n', "the row after line 1: unexpected end of data"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_bad_tables_give_one_line(tmp_path, name, content, message):
    (tmp_path / "r.wav").touch()
    raw = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(OptionError, match=message) as caught:
        read_corpus(tmp_path / name)
    assert "\n" not in str(caught.value)


ROWS = {
    "a.tsv": "audio\ttext\nr.wav\tx\ngone.wav\ty\nr.wav\nr.wav\tagain\nq.wav\tz\n",
    "a.csv": "audio,text\nr.wav,x\ngone.wav,y\nr.wav\nr.wav,again\nq.wav,z\n",
    "a.jsonl": '{"audio": "r.wav", "text": "x"}\n{"audio": "gone.wav", "text": "y"}\n{"audio": "r.wav", "text": null}\n'
    '{"audio": "r.wav", "text": "again"}\n{"audio": "q.wav", "text": "z"}\n[1]\n{\n',
}


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_row_is_named_and_the_rest_is_there(tmp_path, name):
    for recording in ("r.wav", "q.wav"):
        (tmp_path / recording).touch()
    (tmp_path / name).write_text(ROWS[name])
    corpus = read_corpus(tmp_path / name)
    assert [(u.id, u.text) for u in corpus.utterances] == [("r.wav", "x"), ("q.wav", "z")]
    gone, no_text, twice, *more = corpus.failures
    assert gone == (str(tmp_path / "gone.wav"), "no such file")
    assert no_text.path.startswith(f"{tmp_path / name}, line ") and no_text.reason.startswith("no text; columns are")
    assert twice.path == "r.wav" and "same id" in twice.reason
    assert [failure.path[-6:] for failure in more] == (["line 6", "line 7"] if name == "a.jsonl" else [])


def test_a_bad_part_of_a_tree_is_named_and_the_rest_is_there(tmp_path):
    root = librispeech(tmp_path, [("1-2-0000", "TEXT"), ("1-2-0001", "LOST"), ("3-4-0000", "OTHER")])
    (root / "test-clean/1/2/1-2-0001.flac").unlink()
    (root / "test-clean/3/4/3-4.trans.txt").write_bytes(b"3-4-0000 \xff\n")
    corpus = read_corpus(root)
    assert [u.text for u in corpus.utterances] == ["TEXT"]
    assert [failure.reason for failure in corpus.failures] == ["no such file", "is not UTF-8 (byte 9)"]


def test_a_folder_of_a_tree_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    root = librispeech(tmp_path, [("1-2-0000", "TEXT"), ("3-4-0000", "OTHER")])
    scandir = os.scandir

    def failing(path):
        if str(path).endswith("3"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    corpus = read_corpus(root)
    assert [u.text for u in corpus.utterances] == ["TEXT"]
    assert corpus.failures == [(str(root / "test-clean/3"), "cannot be read (Permission denied)")]


def test_bad_trees_give_one_line(tmp_path):
    with pytest.raises(OptionError, match=r"no transcribed recordings in it: no \*\.trans\.txt below it has a line"):
        read_corpus(tmp_path)
    root = librispeech(tmp_path, [("1-2-0000", "TEXT")])
    transcripts = root / "test-clean/1/2/1-2.trans.txt"
    transcripts.write_text("../../x TEXT\n")
    with pytest.raises(OptionError, match=r"line 1: .* not an utterance id"):
        read_corpus(root)
    with pytest.raises(OptionError, match="cannot be read"):
        read_corpus(tmp_path / "absent.tsv")


SETTING = {"model": "digits", "normalization": "case"}


def outcomes(tmp_path, count: int):
    root = librispeech(tmp_path / "corpus", [(f"1-2-{i:04}", f"ONE TWO {i}") for i in range(count)])
    return [compare(u, "one too", "case", 2.0, 0.1) for u in read_corpus(root).utterances]


def test_results_go_on_after_a_torn_line(tmp_path):
    first, second = outcomes(tmp_path, 2)
    assert (first.words, first.reference) == (Errors(1, 1, 1, 0), "ONE TWO 0")
    path = tmp_path / "results.jsonl"
    results = Results.open(path, SETTING, resume=False)
    results.add(first)
    results.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "1-2-00')
    again = Results.open(path, SETTING, resume=True)
    assert again.outcomes == [first]
    again.add(second)
    again.close()
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line).get("id") for line in path.read_text().splitlines()] == [None, first.id, second.id]


def test_every_torn_beginning_is_a_file_to_go_on_with(tmp_path):
    path = tmp_path / "results.jsonl"
    results = Results.open(path, SETTING, resume=False)
    for outcome in (found := outcomes(tmp_path, 2)):
        results.add(outcome)
    results.close()
    whole = path.read_bytes()
    for length in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:length])
        again = Results.open(path, SETTING, resume=True)
        for outcome in found[len(again.outcomes) :]:
            again.add(outcome)
        again.close()
        assert path.read_bytes() == whole


def test_results_of_something_else_are_refused(tmp_path):
    path = tmp_path / "results.jsonl"
    Results.open(path, SETTING, resume=False).close()
    with pytest.raises(OptionError, match="--resume"):
        Results.open(path, SETTING, resume=False)
    with pytest.raises(OptionError, match="made with model 'digits', not 'other'"):
        Results.open(path, SETTING | {"model": "other"}, resume=True)
    for content in ("something else\n", "something else", "[]\n{}", '{"s2t-np evaluate": 1}\n'):
        path.write_text(content)
        with pytest.raises(OptionError, match="not a results file"):
            Results.open(path, SETTING, resume=True)
        assert path.read_text() == content
    with pytest.raises(OptionError, match="cannot be written"):
        Results.open(tmp_path / "absent" / "x", SETTING, resume=False)


def test_a_long_recording_of_a_corpus_is_not_held(tmp_path):
    """Five minutes are 19 MB of samples, and were twice that while they were joined."""
    talk = Utterance("talk", write_speech(tmp_path / "talk.wav", 300), "")
    own = {"feature_config": SimpleNamespace(sampling_rate=16_000), "backend": SimpleNamespace(vad=NUMPY_VAD)}
    model = SimpleNamespace(**own)
    tracemalloc.start()
    try:
        recording = read_utterance(model, talk, StreamOptions(max_whole_duration=30.0, max_speech_duration=28.0))
        blocks = sum(1 for _ in recording)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert blocks > 1 and recording.duration == 300 and peak < 8e6
