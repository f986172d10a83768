"""The inputs, the formats and the files of `s2t_np.transcribe`, with a stand-in for the model where none is needed."""

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from s2t_np.errors import AudioError, OptionError
from s2t_np.model import Transcript
from s2t_np.search import Hypothesis
from s2t_np.transcribe import (
    AUDIO_SUFFIXES,
    FORMATS,
    Failure,
    Input,
    atomic_file,
    expand,
    output_paths,
    transcribe_all,
)

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁five", "▁fünf"]
MODEL = SimpleNamespace(tokenizer=SimpleNamespace(pieces=lambda ids: [PIECES[i] for i in ids]))


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def transcript(*texts: str, log_probs=(-0.5, -0.25)) -> Transcript:
    hypotheses = [Hypothesis((2, 5, 2), tuple(log_probs), -0.375, True) for _ in texts]
    return Transcript(texts[0], hypotheses, list(texts), 1.5, "a.wav")


def test_folders_are_walked_in_order_and_only_for_audio(tmp_path):
    make(tmp_path, "b/two.FLAC", "b/one.wav", "a.mp3", "notes.txt", "b/c/three.ogg", ".hidden/x.wav", "b/._one.wav")
    inputs, failures = expand([str(tmp_path)])
    assert [item.name for item in inputs] == ["a", "b/c/three", "b/one", "b/two"]
    assert inputs[0].path == str(tmp_path / "a.mp3")
    assert not failures


def test_arguments_keep_their_order_and_a_file_needs_no_suffix(tmp_path):
    make(tmp_path, "z.wav", "plain", "folder/m.v2.wav")
    inputs, failures = expand([str(tmp_path / "z.wav"), "-", str(tmp_path / "folder"), str(tmp_path / "plain")])
    assert [item.name for item in inputs] == ["z", "stdin", "m.v2", "plain"]
    assert not failures


def test_what_is_not_there_is_a_failure_beside_the_rest(tmp_path):
    make(tmp_path, "here.wav", "empty/readme.txt")
    inputs, failures = expand([str(tmp_path / f) for f in ("gone.wav", "here.wav", "empty")])
    assert [item.name for item in inputs] == ["here"]
    assert [Path(f.path).name for f in failures] == ["gone.wav", "empty"]
    assert failures[0].reason == "no such file or folder"
    assert failures[1].reason == "a folder without any audio file"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_a_failure(tmp_path):
    make(tmp_path, "open/a.wav", "shut/b.wav")
    (tmp_path / "shut").chmod(0)
    inputs, failures = expand([str(tmp_path)])
    (tmp_path / "shut").chmod(0o700)
    assert [item.name for item in inputs] == ["open/a"]
    assert "cannot be read" in failures[0].reason


def test_links_to_folders_are_not_followed_round_in_circles(tmp_path):
    make(tmp_path, "a.wav")
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(expand([str(tmp_path)])[0]) == 1


def test_standard_input_can_be_read_once_only():
    with pytest.raises(OptionError, match="twice"):
        expand(["-", "-"])


def test_audio_suffixes_are_those_that_soundfile_reads():
    soundfile = pytest.importorskip("soundfile")
    formats = soundfile.available_formats()
    named = {"wave": "WAV", "oga": "OGG", "opus": "OGG", "aif": "AIFF", "aifc": "AIFF", "snd": "AU", "sph": "NIST"}
    for suffix in AUDIO_SUFFIXES:
        assert named.get(suffix[1:], suffix[1:].upper()) in formats, suffix


def test_outputs_keep_their_place_below_the_folder(tmp_path):
    inputs = [Input("in/a.wav", "a"), Input("in/b/a.wav", "b/a"), Input("x/m.v2.wav", "m.v2")]
    assert output_paths(inputs, "out", ".txt") == [Path("out/a.txt"), Path("out/b/a.txt"), Path("out/m.v2.txt")]


def test_two_inputs_with_one_output_are_refused():
    with pytest.raises(OptionError, match=r"x/a.wav and y/a.flac would both write out/a.json"):
        output_paths([Input("x/a.wav", "a"), Input("y/a.flac", "a")], "out", ".json")


def test_an_output_never_overwrites_an_input(tmp_path):
    make(tmp_path, "a.txt")
    with pytest.raises(OptionError, match=r"overwrite the input"):
        output_paths([Input(str(tmp_path / "a.txt"), "a")], str(tmp_path), ".txt")


def test_a_failed_input_is_a_result_and_the_rest_goes_on():
    def one(path, **options):
        if path == "bad":
            raise AudioError("bad: not audio")
        if path == "long":
            raise MemoryError
        return transcript(f"{path} {options['num_beams']}")

    inputs = [Input(name, name) for name in ("a", "bad", "long", "b")]
    results = [result for _, result in transcribe_all(SimpleNamespace(transcribe=one), inputs, num_beams=3)]
    assert [results[0].text, results[3].text] == ["a 3", "b 3"]
    assert results[1] == Failure("bad", "not audio")
    assert results[2].path == "long"
    assert "memory" in results[2].reason


def test_a_wrong_option_is_no_failure_of_the_input():
    def one(path, **options):
        raise OptionError("top_p")

    with pytest.raises(OptionError):
        list(transcribe_all(SimpleNamespace(transcribe=one), [Input("a", "a")]))


def test_txt_is_a_line_a_hypothesis():
    item = Input("dir/a.wav", "a")
    assert FORMATS["txt"](MODEL, item, transcript("five fünf", "five")) == "five fünf\nfive\n"
    assert FORMATS["txt"](MODEL, item, transcript("five"), with_path=True) == "dir/a.wav\tfive\n"
    assert FORMATS["txt"](MODEL, item, transcript("")) == "\n"


def test_txt_stays_one_line_whatever_the_path_is():
    line = FORMATS["txt"](MODEL, Input("a\tb\nc.wav", "x"), transcript("five"), with_path=True)
    assert line == "a\\tb\\nc.wav\tfive\n"


def test_json_says_everything_on_one_line():
    line = FORMATS["json"](MODEL, Input("a\nü.wav", "a"), transcript("fünf", "five"))
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    assert "fünf" in line  # readable, not escaped
    record = json.loads(line)
    assert (record["file"], record["text"], record["duration"]) == ("a\nü.wav", "fünf", 1.5)
    assert [h["text"] for h in record["hypotheses"]] == ["fünf", "five"]
    best = record["hypotheses"][0]
    assert best["pieces"] == ["</s>", "▁fünf", "</s>"]
    assert best["tokens"] == [2, 5, 2]
    assert best["log_prob"] == pytest.approx(-0.75)
    assert (best["score"], best["token_log_probs"], best["finished"]) == (-0.375, [-0.5, -0.25], True)


def test_json_stays_valid_for_infinite_numbers_and_paths_that_are_no_unicode():
    path = os.fsdecode(b"caf\xe9.wav")
    line = FORMATS["json"](MODEL, Input(path, "a"), transcript("five", log_probs=(-np.inf, -1.0)))
    record = json.loads(line.encode("utf-8"))  # which a lone surrogate would not survive
    assert record["file"] == path
    assert record["hypotheses"][0]["token_log_probs"] == [None, -1.0]
    assert record["hypotheses"][0]["log_prob"] is None


def test_a_file_appears_complete_or_not_at_all(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as file:
        file.write(b"half")
        assert path.read_text() == "old"
        raise RuntimeError
    assert path.read_text() == "old"
    with atomic_file(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions, links and devices as POSIX has them")
def test_atomic_files_have_usual_permissions_and_spare_links_and_devices(tmp_path):
    (tmp_path / "plain").write_text("")
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for name in ("new", "link", "pipe"):
        with atomic_file(tmp_path / name) as file:
            file.write(name.encode())
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "link"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert os.read(reader, 99) == b"pipe"
    os.close(reader)


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".txt")
    with atomic_file(path) as file:
        file.write(b"text")
    assert path.read_bytes() == b"text"
