"""A folder of assorted files, sound and video in many containers: one command, and every file is accounted for.

`python -m tools.assorted FOLDER --count 500` makes the large one.
"""

import json
import shutil

import pytest

from s2t_np.audio import FFMPEG_SUFFIXES
from s2t_np.batch.folders import AUDIO_SUFFIXES, HEADERLESS_SUFFIXES
from tools import assorted

pytest.importorskip("soundfile")

COMMON = "mp4 mov ipod matroska webm asf adts avi flv mpegts wv tta ogg mp3 wav flac aiff au caf adx g722 vob".split()
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the program ffmpeg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("assorted")
    return made, assorted.fill(made, 40, COMMON)


@needs_ffmpeg
@pytest.mark.slow
def test_every_file_is_transcribed_or_named(run, folder, tmp_path):
    pytest.importorskip("av")
    place, made = folder
    code, _, err = run("transcribe", "--model", "digits", place, "--output", tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    found = {row["file"].rpartition("/")[2]: row for row in rows}
    suffixes = AUDIO_SUFFIXES | FFMPEG_SUFFIXES | HEADERLESS_SUFFIXES | {".ts"}
    recordings = [name for name in made if "." + name.rpartition(".")[2] in suffixes]
    assert [name for name in recordings if name not in found and name not in err] == []
    assert not set(assorted.NOT_SOUND) & set(found)
    whole = {name: text for name, text in made.items() if text}
    assert len(whole) > 20
    assert [name for name in whole if name not in found] == []
    assert [name for name in whole if found[name]["incomplete"]] == []
    right = sum(found[name]["text"] == text for name, text in whole.items())
    assert right >= 0.8 * len(whole)  # the model, not the file, mistakes some coded at 16 kbit/s
    assert code == (1 if any(row["incomplete"] for row in rows) or "failed" in err else 0)


@needs_ffmpeg
@pytest.mark.slow
def test_without_pyav_what_is_left_out_is_counted_and_named(run, folder, tmp_path, without_pyav):
    place, made = folder
    _code, _, err = run("transcribe", "--model", "digits", place, "--output", tmp_path / "out.jsonl")
    left_out = [name for name in made if "." + name.rpartition(".")[2] in FFMPEG_SUFFIXES]
    counts = {suffix: sum(name.endswith(suffix) for name in left_out) for suffix in (".mp4", ".mov", ".mkv", ".wma")}
    assert all(f"{count} {suffix}" in err for suffix, count in counts.items() if count)
    assert "pip install av" in err and "ffmpeg -v error -i FILE -f wav - | s2t-np transcribe -" in err
