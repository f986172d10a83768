"""Which inputs arguments, folders, patterns and lists stand for, and where their results go."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from s2t_np.batch.inputs import AUDIO_SUFFIXES, Input, expand, output_paths, read_list
from s2t_np.errors import OptionError


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


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
    assert output_paths(inputs, "out", [".txt"]) == [[Path("out/a.txt")], [Path("out/b/a.txt")], [Path("out/m.v2.txt")]]


def test_two_inputs_with_one_output_are_refused():
    with pytest.raises(OptionError, match=r"x/a.wav and y/a.flac would both write out/a.json"):
        output_paths([Input("x/a.wav", "a"), Input("y/a.flac", "a")], "out", [".json"])


def test_an_output_never_overwrites_an_input(tmp_path):
    make(tmp_path, "a.txt")
    with pytest.raises(OptionError, match=r"overwrite the input"):
        output_paths([Input(str(tmp_path / "a.txt"), "a")], str(tmp_path), [".txt"])


def test_patterns_stand_for_the_audio_files_they_match(tmp_path, monkeypatch):
    make(
        tmp_path,
        "rec/a1.wav",
        "rec/a2.flac",
        "rec/b/a1.wav",
        "rec/a3.txt",
        "rec/.a4.wav",
        "other/c.wav",
        "rec/sub/d.mp3",
    )
    monkeypatch.chdir(tmp_path)

    def names(pattern):
        return [item.name for item in expand([pattern])[0]]

    assert names("rec/a*") == ["a1", "a2"]
    assert names("rec/*.txt") == ["a3"]  # a suffix that is named is meant
    assert names("rec/**/*.wav") == ["a1", "b/a1"]
    assert names("rec/**") == ["a1", "a2", "b/a1", "sub/d"]
    assert names("rec/[bs]*") == ["b/a1", "sub/d"]  # folders that match are walked
    assert names("*/?.wav") == ["other/c"]
    assert names(str(tmp_path / "rec" / "*.flac")) == ["a2"]


def test_a_pattern_without_match_is_a_failure_and_a_file_of_that_name_is_no_pattern(tmp_path):
    make(tmp_path, "take[1].wav", "take1.wav")
    assert expand([str(tmp_path / "x*.wav")])[1][0].reason == "no file matches this pattern"
    assert [item.name for item in expand([str(tmp_path / "take[1].wav")])[0]] == ["take[1]"]


@pytest.mark.parametrize(
    ("data", "null", "paths"),
    [
        (b"a.wav\nb c.wav\n\n", False, ["a.wav", "b c.wav"]),
        (b"\xef\xbb\xbfa.wav\r\nb.wav", False, ["a.wav", "b.wav"]),  # as a Windows editor has it
        (b"a\nb.wav\0c.wav\0", True, ["a\nb.wav", "c.wav"]),
        (b"caf\xe9.wav\n", False, [os.fsdecode(b"caf\xe9.wav")]),
        (b"", False, []),
    ],
)
def test_a_list_has_a_path_a_line_or_a_zero_byte_after_each(tmp_path, monkeypatch, data, null, paths):
    (tmp_path / "list").write_bytes(data)
    assert read_list(str(tmp_path / "list"), null) == paths
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert read_list("-", null) == paths


def test_a_list_that_cannot_be_read_is_an_option_error(tmp_path):
    with pytest.raises(OptionError, match=r"--files-from .*gone: cannot be read"):
        read_list(str(tmp_path / "gone"))
    (tmp_path / "zeros").write_bytes(b"a.wav\0b.wav\0")
    with pytest.raises(OptionError, match="--null"):
        read_list(str(tmp_path / "zeros"))
