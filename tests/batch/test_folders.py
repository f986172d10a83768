"""Which files of a folder are recordings, and what is said of those that are not read."""

import os
from pathlib import Path

import pytest

from s2t_np.audio import FFMPEG_SUFFIXES
from s2t_np.batch.folders import AUDIO_SUFFIXES, HEADERLESS_SUFFIXES, left_out_text, walk
from s2t_np.batch.items import Failure, Input, LeftOut
from tests.support.trees import make_files


def test_only_recordings_are_taken_and_sorted(tmp_path):
    names = ("b/two.FLAC", "b/one.wav", "a.mp3", "notes.txt", "b/c/three.ogg", ".hidden/x.wav", "b/._one.wav")
    make_files(tmp_path, *names)
    found = walk(str(tmp_path), str(tmp_path), headerless=False)
    assert [item.name for item in found] == ["a", "b/c/three", "b/one", "b/two"]
    assert found[0] == Input(str(tmp_path / "a.mp3"), "a")


def test_audio_suffixes_are_those_that_soundfile_reads():
    soundfile = pytest.importorskip("soundfile")
    formats = soundfile.available_formats()
    named = {"wave": "WAV", "oga": "OGG", "opus": "OGG", "aif": "AIFF", "aifc": "AIFF", "snd": "AU", "sph": "NIST"}
    named |= {"8svx": "SVX", "sf": "IRCAM"} | dict.fromkeys(("mp1", "mp2", "mpga"), "MP3")
    for suffix in AUDIO_SUFFIXES:
        assert named.get(suffix[1:], suffix[1:].upper()) in formats, suffix


def test_no_suffix_has_two_meanings():
    assert not AUDIO_SUFFIXES & (FFMPEG_SUFFIXES | HEADERLESS_SUFFIXES)
    assert not FFMPEG_SUFFIXES & HEADERLESS_SUFFIXES


@pytest.mark.parametrize("name", ["memo.m4a", "talk.MP4", "call.webm", "a.mkv", "b.aac", "c.mov", "d.wma", "e.pcm"])
def test_sound_and_video_of_other_formats_is_never_passed_over(tmp_path, name, without_pyav):
    make_files(tmp_path, "here.wav", f"deep/{name}")
    found = walk(str(tmp_path), str(tmp_path), headerless=False)
    assert found == [LeftOut(str(tmp_path / "deep" / name)), Input(str(tmp_path / "here.wav"), "here")]


@pytest.mark.parametrize("name", ["memo.m4a", "talk.MP4", "call.webm", "clip.ts"])
def test_with_pyav_they_are_recordings(tmp_path, name, monkeypatch):
    monkeypatch.setattr("s2t_np.batch.folders.has_ffmpeg", lambda: True)
    make_files(tmp_path, "here.wav", "page.ts", "code.pcm")
    (tmp_path / name).write_bytes((b"G" + bytes(187)) * 3)
    found = walk(str(tmp_path), str(tmp_path), headerless=False)
    assert {Path(item.path).name: type(item) for item in found} == {
        **{"here.wav": Input, "code.pcm": LeftOut},
        name: Input,
    }


def test_what_is_left_out_is_counted_and_named():
    some = [LeftOut(f"{i}.m4a") for i in range(6)] + [LeftOut("x.MP4")]
    text = left_out_text(some)
    assert text.startswith("6 .m4a, 1 .mp4 files left out, because their formats are not read: 0.m4a, 1.m4a, 2.m4a")
    assert " and 2 more; " in text
    assert "ffmpeg -v error -i FILE -f wav - | s2t-np transcribe -" in text
    assert left_out_text(some[:1]).startswith("1 .m4a file left out, because its format is not read: 0.m4a")
    assert "--raw-rate" in left_out_text([LeftOut("a.pcm")])


def test_samples_without_a_header_are_recordings_where_they_are_meant(tmp_path):
    make_files(tmp_path, "a.pcm", "b.raw")
    found = walk(str(tmp_path), str(tmp_path), headerless=True)
    assert [item.name for item in found] == ["a", "b"]


def test_a_folder_that_is_named_like_a_recording_is_a_failure(tmp_path):
    make_files(tmp_path, "good.wav", "x.wav/notes.txt", "session.wav/take.flac")
    found = walk(str(tmp_path), str(tmp_path), headerless=False)
    assert [item.name for item in found if isinstance(item, Input)] == ["good", "session.wav/take"]
    (failure,) = [item for item in found if isinstance(item, Failure)]
    assert failure.path == str(tmp_path / "x.wav")
    assert "is a folder" in failure.reason


@pytest.mark.skipif(os.name != "posix", reason="named pipes as POSIX has them")
def test_a_pipe_in_a_folder_is_a_failure_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (failure,) = walk(str(tmp_path), str(tmp_path), headerless=False)
    assert (failure.path, "pipe or a device" in failure.reason) == (str(tmp_path / "pipe.wav"), True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_a_failure(tmp_path):
    make_files(tmp_path, "open/a.wav", "shut/b.wav")
    (tmp_path / "shut").chmod(0)
    found = walk(str(tmp_path), str(tmp_path), headerless=False)
    (tmp_path / "shut").chmod(0o700)
    assert [item.name for item in found if isinstance(item, Input)] == ["open/a"]
    assert any("cannot be read" in item.reason for item in found if isinstance(item, Failure))


def test_links_to_folders_are_not_entered(tmp_path):
    make_files(tmp_path, "a.wav")
    Path(tmp_path / "again").symlink_to(tmp_path)
    assert len(walk(str(tmp_path), str(tmp_path), headerless=False)) == 1
