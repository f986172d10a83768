"""The callable for clusters: every kind of batch, rows in order, bad ones among good ones, small when pickled."""

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import s2t_np
from s2t_np import Transcriber
from s2t_np.errors import OptionError
from tests.support.paths import RECORDINGS
from tests.transcriber.test_sending import SMALL, in_fresh_process

FIVE = str(RECORDINGS / "five-five.flac")
TWO = str(RECORDINGS / "two-nine-three-four-zero.flac")
TEXTS = ["five five", "two nine three four zero"]


@pytest.fixture(scope="module")
def transcriber():
    """The bundled model, computing in numpy; every test shares it."""
    return Transcriber("digits", backend="numpy")


def data_of(path):
    with open(path, "rb") as file:
        return file.read()


def test_a_list_gives_a_row_for_each_recording(transcriber):
    rows = transcriber([FIVE, data_of(TWO)])
    assert [list(row) for row in rows] == [["path", "text", "segments", "error", "duration"]] * 2
    assert [row["text"] for row in rows] == TEXTS
    assert [row["path"] for row in rows] == [FIVE, None]
    assert [row["error"] for row in rows] == [None, None]
    assert rows[0]["segments"][0]["tokens"] == [5, 5]
    assert json.loads(json.dumps(rows)) == rows


def test_rows_are_those_of_the_command(transcriber, run):
    code, out, _ = run("transcribe", "--model", "digits", "--backend", "numpy", "--format", "json", FIVE, TWO)
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    for row, record in zip(transcriber([FIVE, TWO]), records, strict=True):
        assert {name: row[name] for name in ("text", "segments", "duration")} == {
            name: record[name] for name in ("text", "segments", "duration")
        }


def test_a_dict_of_paths_keeps_its_other_columns(transcriber):
    batch = {"path": np.array([FIVE, TWO]), "speaker": np.array([7, 8])}
    found = transcriber(batch)
    assert list(found) == ["path", "speaker", "text", "segments", "error", "duration"]
    assert found["text"].tolist() == TEXTS and found["speaker"].tolist() == [7, 8]
    assert [json.loads(s)[0]["text"] for s in found["segments"]] == TEXTS
    assert found["duration"].dtype == np.float64
    assert list(batch) == ["path", "speaker"]


def test_a_dict_of_bytes_comes_back_without_them(transcriber):
    found = transcriber({"bytes": np.array([data_of(FIVE), data_of(TWO)], dtype=object), "path": ["a", "b"]})
    assert list(found) == ["path", "text", "segments", "error", "duration"]
    assert found["text"].tolist() == TEXTS


def test_records_of_an_audio_column(transcriber):
    records = [{"bytes": data_of(FIVE), "path": "x.flac"}, {"bytes": None, "path": TWO}, None, {"array": [0.0]}]
    found = transcriber({"audio": records})
    assert found["text"].tolist() == [*TEXTS, None, None]
    assert [error and error[:6] for error in found["error"]] == [None, None, "found ", "found "]


def test_a_frame_stays_a_frame(transcriber):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": [FIVE, None, TWO], "bytes": [None, b"", float("nan")]}, index=[5, 3, 9])
    found = transcriber(frame)
    assert list(found.columns) == ["path", "text", "segments", "error", "duration"]
    assert found.index.tolist() == [5, 3, 9]
    assert found["text"].dropna().tolist() == TEXTS
    assert found["text"].isna().tolist() == [False, True, False] == found["error"].notna().tolist()
    assert list(frame.columns) == ["path", "bytes"]
    assert [f["text"].tolist() for f in transcriber.map_frames(iter([frame[:1], frame[2:]]))] == [TEXTS[:1], TEXTS[1:]]


def test_bad_rows_cost_none_of_their_neighbours(transcriber, tmp_path):
    cut = tmp_path / "cut.flac"
    cut.write_bytes(data_of(TWO)[:-6000])
    bad = ["missing.wav", b"", b"not sound", None, float("nan"), 3, "-", "", str(tmp_path), data_of(FIVE)[:60]]
    sounds = [FIVE, *(x for b in bad for x in (b, TWO)), str(cut)]
    rows = transcriber(sounds)
    assert [row["text"] for row in rows[:-1]] == [TEXTS[0], *(x for _ in bad for x in (None, TEXTS[1]))]
    for row in rows[1:-1:2]:
        assert row["error"] and "\n" not in row["error"]
        assert (row["segments"], row["duration"]) == ([], None)
    assert all(row["error"] is None for row in rows[:-1:2])
    assert "breaks off" in rows[-1]["error"] or "cut short" in rows[-1]["error"]
    assert rows[-1]["text"].startswith("two") and 0 < rows[-1]["duration"] < rows[2]["duration"]


def test_empty_batches(transcriber):
    assert transcriber([]) == []
    found = transcriber({"path": []})
    assert {name: (len(column), getattr(column, "dtype", None)) for name, column in found.items()} == {
        "path": (0, None),
        "text": (0, object),
        "segments": (0, object),
        "error": (0, object),
        "duration": (0, np.float64),
    }


@pytest.mark.parametrize("batch", ["a.wav", b"RIFF", 3, None, {"file": ["a.wav"]}])
def test_another_batch_is_refused(transcriber, batch):
    with pytest.raises(OptionError, match="expected"):
        transcriber(batch)


def test_wrong_settings_are_refused_before_anything_is_loaded():
    for wrong in ({"num_beams": 0}, {"beams": 2}, {"batch": 0}, {"threads": 0}, {"options": 3}):
        with pytest.raises(OptionError):
            Transcriber("no/such-model", **wrong)
    with pytest.raises(OptionError, match="loaded already"):
        Transcriber(s2t_np.load("digits", backend="numpy"), dtype="float64")


def test_settings_reach_the_search(transcriber):
    options = s2t_np.StreamOptions(word_timestamps=True)
    few = Transcriber("digits", backend="numpy", options=options, threads=1, batch=2, num_beams=2, max_new_tokens=1)
    (row,) = few([FIVE])
    assert row["text"] == "five"
    assert row["segments"][0]["words"]


def test_nothing_is_loaded_before_the_first_batch_and_then_once(monkeypatch):
    from s2t_np import transcriber as room

    loaded = []
    monkeypatch.setattr(room, "load", lambda *a, **k: loaded.append(1) or s2t_np.load("digits", backend="numpy"))
    name = str(RECORDINGS)
    first, second = Transcriber(name), Transcriber(name)
    assert not loaded
    assert first([FIVE]) == second([FIVE]) == pickle.loads(pickle.dumps(first))([FIVE])
    assert len(loaded) == 1
    room.load_once.cache_clear()


def test_it_is_small_when_pickled_even_after_it_has_worked(transcriber):
    transcriber([FIVE])
    assert len(pickle.dumps(transcriber)) < SMALL
    assert len(pickle.dumps(Transcriber(transcriber.model))) < SMALL


def test_it_works_in_a_fresh_process_in_another_folder(transcriber, tmp_path, monkeypatch):
    monkeypatch.chdir(RECORDINGS.parent)
    relative = Transcriber("models/digits", backend="numpy")
    for one in (transcriber, relative):
        said = in_fresh_process(pickle.dumps(one), f"print(it([{FIVE!r}])[0]['text'])", tmp_path)
        assert said == "five five\n"


def test_a_spawned_pool_gives_the_rows_of_one_process(transcriber):
    batches = [[FIVE, "missing.wav"], [TWO]]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert list(pool.map(transcriber, batches)) == list(map(transcriber, batches))
