"""Tables as corpora ship them: Common Voice, NeMo, fairseq S2T; parts of recordings, features, bad rows."""

import io
import json
import zipfile

import numpy as np
import pytest

import s2t_np
from s2t_np import audio, features
from s2t_np.evaluation.corpus import read_corpus
from tests.support.paths import RECORDINGS
from tests.support.sounds import encode

pytest.importorskip("soundfile")

RATE = 16000
TEXTS = {"five-five": "five five", "synthetic-one-two-three": "one two three", "synthetic-zero-one-four-two": None}
TEXTS["synthetic-zero-one-four-two"] = "zero one four two"


@pytest.fixture(scope="module")
def sounds():
    return {name: audio.load(RECORDINGS / f"{name}.flac", RATE) for name in TEXTS}


def evaluated(run, table, *options):
    code, out, err = run("evaluate", "--model", "digits", table, "--format", "json", *options)
    return code, json.loads(out)["parts"][-1] if out else None, err


def test_common_voice(run, tmp_path, sounds):
    (tmp_path / "clips").mkdir()
    rows = []
    for number, (name, text) in enumerate(TEXTS.items()):
        (tmp_path / "clips" / f"common_voice_en_{number}.mp3").write_bytes(encode(sounds[name], container="MP3"))
        rows.append(f'd41d8c\tcommon_voice_en_{number}.mp3\t{text}\t2\t0\ttwenties\t\t"us\ten\t')
    head = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment\n"
    (tmp_path / "test.tsv").write_text(head + "\n".join(rows) + "\n")
    code, _part, err = evaluated(run, tmp_path / "test.tsv", "--output", tmp_path / "r.jsonl")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()[1:]]
    assert [line["hypothesis"].lower() for line in lines] == list(TEXTS.values())
    assert lines[0]["file"] == str(tmp_path / "clips" / "common_voice_en_0.mp3")


def nemo(tmp_path, sounds):
    """A long recording and the rows of its parts."""
    silence, parts, rows, at = np.zeros(RATE // 2, np.float32), [], [], 0.0
    for name, text in TEXTS.items():
        parts += [sounds[name], silence]
        rows.append({"audio_filepath": "long.wav", "offset": at, "duration": len(sounds[name]) / RATE, "text": text})
        at += len(sounds[name]) / RATE + 0.5
    (tmp_path / "long.wav").write_bytes(encode(np.concatenate(parts)))
    return rows


def test_nemo_offsets_and_durations(run, tmp_path, sounds):
    rows = nemo(tmp_path, sounds)
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = evaluated(run, tmp_path / "m.jsonl", "--output", tmp_path / "r.jsonl")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()[1:]]
    assert [line["hypothesis"].lower() for line in lines] == list(TEXTS.values())
    assert [line["duration"] for line in lines] == pytest.approx([row["duration"] for row in rows], abs=1e-3)
    assert len({line["id"] for line in lines}) == 3


def test_one_bad_row_of_each_kind_is_named_and_the_rest_is_evaluated(run, tmp_path, sounds):
    rows = nemo(tmp_path, sounds)
    bad = [
        {"audio_filepath": "long.wav", "offset": -1, "duration": 1, "text": "x"},
        {"audio_filepath": "long.wav", "offset": "soon", "text": "x"},
        {"audio_filepath": "long.wav", "offset": 99, "duration": 1, "text": "x"},
        {"audio_filepath": "gone.wav", "text": "x"},
        {"audio_filepath": "long.wav", "offset": 0.25, "text": None},
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows + bad) + "no json\n")
    code, part, err = evaluated(run, tmp_path / "m.jsonl")
    assert code == 1
    assert part["files"] == 3
    for says in ("line 4: -1.0 to 0.0 s", "line 5: offset is 'soon'", "nothing is left from 99 s on"):
        assert says in err
    for says in ("gone.wav: no such file", "line 8: no text", "line 9: not JSON", "6 of 9 recordings failed"):
        assert says in err


def fairseq(tmp_path, sounds, rows):
    """A table in fairseq's columns, from (audio, name) pairs."""
    lines = [f"u{i}\t{place}\t100\t{TEXTS[name]}\tspk\n" for i, (place, name) in enumerate(rows)]
    (tmp_path / "test.tsv").write_text("id\taudio\tn_frames\ttgt_text\tspeaker\n" + "".join(lines))
    return tmp_path / "test.tsv"


def zipped(path, members):
    """A stored zip file, as fairseq's create_zip makes it; where each member's bytes are, as NAME:OFFSET:LENGTH."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    with zipfile.ZipFile(path) as file:
        found = {info.filename: info for info in file.infolist()}
    return [f"{path.name}:{found[name].header_offset + 30 + len(name)}:{found[name].file_size}" for name in members]


def npz(array):
    """The bytes of an .npz file."""
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_fairseq_features_and_recordings_in_a_zip_file(run, tmp_path, sounds):
    members = {f"{name}.npy": npy(features.fbank(sounds[name], RATE)) for name in list(TEXTS)[:2]}
    members["last.flac"] = encode(sounds["synthetic-zero-one-four-two"], container="FLAC")
    places = zipped(tmp_path / "fbank80.zip", members)
    table = fairseq(tmp_path, sounds, zip(places, TEXTS, strict=True))
    code, _part, err = evaluated(run, table, "--output", tmp_path / "r.jsonl")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()[1:]]
    assert [line["hypothesis"].lower() for line in lines] == list(TEXTS.values())


def test_fairseq_features_in_files_and_pieces_of_a_recording(run, tmp_path, sounds):
    rows = nemo(tmp_path, sounds)
    np.save(tmp_path / "one.npy", features.fbank(sounds["five-five"], RATE))
    begin, length = round(rows[1]["offset"] * RATE), round(rows[1]["duration"] * RATE)
    table = fairseq(
        tmp_path, sounds, [("one.npy", "five-five"), (f"long.wav:{begin}:{length}", "synthetic-one-two-three")]
    )
    code, _part, err = evaluated(run, table, "--output", tmp_path / "r.jsonl")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()[1:]]
    assert [line["hypothesis"].lower() for line in lines] == ["five five", "one two three"]
    assert lines[1]["duration"] == pytest.approx(rows[1]["duration"], abs=1e-3)


def test_stored_features_give_the_text_of_the_sound(sounds):
    model = s2t_np.load("digits")
    from s2t_np.evaluation.stored import normalized

    own = model.features_of_samples(sounds["five-five"])
    assert np.abs(normalized(model, features.fbank(sounds["five-five"], RATE), "x") - own).max() < 2e-3


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (npy(np.zeros((10, 40), np.float32)), r"holds float32 of shape (10, 40), expected features"),
        (npz(np.zeros((10, 80), np.float32)), "holds several arrays (.npz), expected one (.npy)"),
        (npy(np.zeros((10, 80), int)), "expected features: floats of shape (frames, 80)"),
        (b"\x93NUMPY\1\0", "is not an array that can be read"),
        (npy(np.array([{}], object)), "is not an array that can be read"),
    ],
)
def test_features_that_are_none_fail_alone(run, tmp_path, sounds, data, says):
    (tmp_path / "bad.npy").write_bytes(data)
    (tmp_path / "five-five.flac").write_bytes((RECORDINGS / "five-five.flac").read_bytes())
    rows = [("bad.npy", "five-five"), ("five-five.flac", "five-five"), ("five-five.flac:0:10", "five-five")]
    code, part, err = evaluated(run, fairseq(tmp_path, sounds, rows))
    assert (code, part["files"]) == (1, 1)
    assert says in err


def test_a_piece_beyond_the_end_of_a_zip_file(run, tmp_path, sounds):
    (tmp_path / "x.zip").write_bytes(bytes(100))
    (tmp_path / "five-five.flac").write_bytes((RECORDINGS / "five-five.flac").read_bytes())
    rows = [("x.zip:90:20", "five-five"), ("x.zip:0:0", "five-five"), ("five-five.flac", "five-five")]
    code, part, err = evaluated(run, fairseq(tmp_path, sounds, rows))
    assert (code, part["files"]) == (1, 1)
    assert "ends at byte 100, before the piece from 90 to 110" in err
    assert "a piece of 0 bytes" in err


def test_addresses_in_a_table(run, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/corpus/five.flac", (RECORDINGS / "five-five.flac").read_bytes())
    (tmp_path / "t.tsv").write_text("audio\ttext\nmemory://corpus/five.flac\tfive five\nmemory://gone.flac\tx\n")
    code, part, err = evaluated(run, tmp_path / "t.tsv")
    assert (code, part["files"], part["wer"]) == (1, 1, 0)
    assert "memory://gone.flac: cannot be read (there is no such file)" in err


def test_transcribe_takes_a_table(run, tmp_path, sounds):
    rows = nemo(tmp_path, sounds)
    for row in rows:
        del row["text"]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"audio": "gone.wav"}\n')
    code, _, err = run("transcribe", "--model", "digits", "--manifest", tmp_path / "m.jsonl", "-o", tmp_path / "out")
    assert code == 1 and "m.jsonl, line 4" in err and "gone.wav: no such file" in err
    assert sorted(p.read_text() for p in (tmp_path / "out").glob("*.txt")) == sorted(f"{t}\n" for t in TEXTS.values())
    again = run(
        *("transcribe", "--model", "digits", "--manifest", tmp_path / "m.jsonl", "-o", tmp_path / "out", "--resume")
    )
    assert "3 of 3 are done already" in again[2]
    assert run("transcribe", "--manifest", tmp_path / "m.jsonl", "--clip", "1,2")[0] == 2


@pytest.mark.parametrize("name", ["../../etc/x", "/abs/x.wav", "a/../b", ""])
def test_names_of_outputs_stay_in_the_folder(tmp_path, name):
    from s2t_np.batch.manifests import Row, output_name_of

    found = output_name_of(Row(name, tmp_path / "x.wav", {}, "t, line 2"))
    assert found and not found.startswith("/") and ".." not in found.split("/")


def test_utterances_of_one_recording_have_names_of_their_own(tmp_path, sounds):
    rows = nemo(tmp_path, sounds)
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_corpus(tmp_path / "m.jsonl")
    assert (len(found.utterances), found.failures) == (3, [])
    assert found.utterances[0].id == "long.wav" or found.utterances[0].id == "long.wav@0"
