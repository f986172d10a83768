"""Which recordings arguments, folders, patterns and lists stand for."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from s2t_np.batch.inputs import expand, read_list
from s2t_np.errors import OptionError
from tests.support.trees import make_files


def test_arguments_keep_their_order_and_a_file_needs_no_suffix(tmp_path):
    make_files(tmp_path, "z.wav", "plain", "folder/m.v2.wav")
    found = expand([str(tmp_path / "z.wav"), "-", str(tmp_path / "folder"), str(tmp_path / "plain")])
    assert [item.name for item in found.inputs] == ["z", "stdin", "m.v2", "plain"]
    assert not found.failures
    assert not found.notes


def test_what_is_not_there_is_a_failure_beside_the_rest(tmp_path):
    make_files(tmp_path, "here.wav", "empty/readme.txt")
    found = expand([str(tmp_path / f) for f in ("gone.wav", "here.wav", "empty")])
    assert [item.name for item in found.inputs] == ["here"]
    assert [Path(f.path).name for f in found.failures] == ["gone.wav", "empty"]
    assert found.failures[0].reason == "no such file or folder"
    assert found.failures[1].reason == "a folder without any audio file"


def test_what_a_folder_leaves_out_is_said(tmp_path, without_pyav):
    make_files(tmp_path, "here.wav", "memo.m4a", "talk.mp4")
    found = expand([str(tmp_path)])
    assert [item.name for item in found.inputs] == ["here"]
    assert not found.failures
    (note,) = found.notes
    assert note.startswith(f"{tmp_path}: 1 .m4a, 1 .mp4 files left out")
    assert str(tmp_path / "memo.m4a") in note
    assert len(expand([str(tmp_path / "*")]).notes) == 1


def test_a_folder_of_files_that_are_not_read_is_a_failure_that_names_them(tmp_path, without_pyav):
    make_files(tmp_path, "memo.m4a")
    found = expand([str(tmp_path)])
    (failure,) = found.failures
    assert (found.inputs, found.notes) == ([], [])
    assert "memo.m4a" in failure.reason
    assert "ffmpeg" in failure.reason


def test_a_file_of_any_format_is_an_input_if_it_is_given_by_name(tmp_path, without_pyav):
    make_files(tmp_path, "memo.m4a", "a.pcm")
    assert [item.name for item in expand([str(tmp_path / "memo.m4a")]).inputs] == ["memo"]
    assert [item.name for item in expand([str(tmp_path / "*.m4a")]).inputs] == ["memo"]
    assert [item.name for item in expand([str(tmp_path)], headerless=True).inputs] == ["a"]


def test_standard_input_can_be_read_once_only():
    with pytest.raises(OptionError, match="twice"):
        expand(["-", "-"])


def test_each_recording_is_an_input_once(tmp_path, monkeypatch):
    make_files(tmp_path, "a.wav", "b.wav")
    monkeypatch.chdir(tmp_path)
    found = expand(["a.wav", ".", "./a.wav", str(tmp_path / "b.wav"), "*.wav"])
    assert [item.path for item in found.inputs] == ["a.wav", "b.wav"]
    (note,) = found.notes
    assert note == "a.wav is given twice, and 4 more like it; each is transcribed once"


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_a_symbolic_link_is_the_same_recording_and_a_hard_link_another(tmp_path):
    make_files(tmp_path, "a.wav")
    (tmp_path / "b.wav").symlink_to("a.wav")
    os.link(tmp_path / "a.wav", tmp_path / "c.wav")
    found = expand([str(tmp_path)])
    assert [item.name for item in found.inputs] == ["a", "c"]
    assert found.notes == [
        f"{tmp_path / 'b.wav'} is the same recording as {tmp_path / 'a.wav'}; each is transcribed once"
    ]


def test_a_folder_of_links_is_read_through_them(tmp_path):
    make_files(tmp_path, "all/a.wav", "all/b.wav")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "first.wav").symlink_to("../all/a.wav")
    assert [item.name for item in expand([str(tmp_path / "some")]).inputs] == ["first"]


def test_patterns_stand_for_the_recordings_they_match(tmp_path, monkeypatch):
    tree = ("a1.wav", "a2.flac", "b/a1.wav", "a3.txt", ".a4.wav", "sub/d.mp3")
    make_files(tmp_path, *(f"rec/{name}" for name in tree), "other/c.wav")
    monkeypatch.chdir(tmp_path)

    def names(pattern):
        return [item.name for item in expand([pattern]).inputs]

    assert names("rec/a*") == ["a1", "a2"]
    assert names("rec/*.txt") == ["a3"]  # a suffix that is named is meant
    assert names("rec/**/*.wav") == ["a1", "b/a1"]
    assert names("rec/**") == ["a1", "a2", "b/a1", "sub/d"]
    assert names("rec/[bs]*") == ["b/a1", "sub/d"]  # folders that match are walked
    assert names("*/?.wav") == ["other/c"]
    assert names(str(tmp_path / "rec" / "*.flac")) == ["a2"]


def test_a_pattern_without_match_is_a_failure_and_a_file_of_that_name_is_not_a_pattern(tmp_path):
    make_files(tmp_path, "take[1].wav", "take1.wav")
    assert expand([str(tmp_path / "x*.wav")]).failures[0].reason == "no file matches this pattern"
    assert [item.name for item in expand([str(tmp_path / "take[1].wav")]).inputs] == ["take[1]"]


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
