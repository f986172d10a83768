"""`transcribe --channels`, `--clip` and `--audio-stream`, in every format, for one recording and for many."""

import json

import numpy as np
import pytest

from s2t_np.cli.selection import clip
from tests.support.paths import RECORDINGS
from tests.support.sounds import encode, pcm16

pytest.importorskip("soundfile")

RATE = 16000
ONE, OTHER = "five five", "one two three"  # what is said on either channel


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """A telephone call: one speaker from 0.5 s on, the other from 4 s on."""
    from s2t_np import audio

    one = audio.load(RECORDINGS / "five-five.flac", RATE)
    other = audio.load(RECORDINGS / "synthetic-one-two-three.flac", RATE)
    both = np.zeros((4 * RATE + len(other) + RATE, 2), np.float32)
    both[RATE // 2 : RATE // 2 + len(one), 0] = one
    both[4 * RATE : 4 * RATE + len(other), 1] = other
    path = tmp_path_factory.mktemp("call") / "call.wav"
    path.write_bytes(encode(both))
    return path


def test_each_channel_is_labelled(run, call, tmp_path):
    code, out, _ = run("transcribe", "--model", "digits", call, "--channels", "each")
    assert (code, out) == (0, f"[channel 1] {ONE}\n[channel 2] {OTHER}\n")
    formats = ("txt", "srt", "vtt", "tsv", "json")
    code, _, err = run(
        *("transcribe", "--model", "digits", call, "--channels", "each", "--format", ",".join(formats)),
        *("--word-timestamps", "-o", tmp_path),
    )
    assert (code, err) == (0, "")
    text = {name: (tmp_path / f"call.{name}").read_text() for name in formats}
    assert text["txt"] == f"[channel 1] {ONE}\n[channel 2] {OTHER}\n"
    assert f"\n[channel 1] {ONE}\n" in text["srt"] and f"\n[channel 2] {OTHER}\n" in text["srt"]
    assert f"\n<v channel 1>{ONE}\n" in text["vtt"] and f"\n<v channel 2>{OTHER}\n" in text["vtt"]
    assert f"\t[channel 1] {ONE}\n" in text["tsv"]
    segments = json.loads(text["json"])["segments"]
    assert [(s["id"], s["channel"], s["text"]) for s in segments] == [(0, 1, ONE), (1, 2, OTHER)]


def test_several_recordings_with_each_channel(run, call):
    code, out, _ = run("transcribe", "--model", "digits", call, RECORDINGS / "five-five.flac", "--channels", "each")
    assert code == 0
    assert f"call.wav\t[channel 1] {ONE} [channel 2] {OTHER}\n" in out
    assert "five-five.flac\t[channel 1] five five\n" in out


@pytest.mark.parametrize(("channel", "text"), [("1", ONE), ("2", OTHER), ("mix", f"{ONE}\n{OTHER}")])
def test_one_channel_or_their_mixture(run, call, channel, text):
    code, out, _ = run("transcribe", "--model", "digits", call, "--channels", channel)
    assert code == 0
    assert out.replace(f"[channel {channel}] ", "") == f"{text}\n"


def test_a_clip_keeps_the_times_of_the_recording(run, call):
    plain = run("transcribe", "--model", "digits", call, "--format", "json", "--word-timestamps")[1]
    clipped = run("transcribe", "--model", "digits", call, "--format", "json", "--word-timestamps", "--clip", "3.5,7")[
        1
    ]
    whole, part = (json.loads(text)["segments"][-1] for text in (plain, clipped))
    assert part["text"] == whole["text"] == OTHER
    assert part["id"] == 0
    assert abs(part["start"] - whole["start"]) < 0.1
    for a, b in zip(part["words"], whole["words"], strict=True):
        assert abs(a["start"] - b["start"]) < 0.1
        assert a["start"] >= 3.5


def test_what_is_not_there_is_said(run, call):
    code, _, err = run("transcribe", "--model", "digits", call, "--clip", "1:40")
    assert code == 1 and "is 6." in err and "so nothing is left from 100 s on" in err
    code, _, err = run("transcribe", "--model", "digits", call, "--channels", "3")
    assert code == 1 and "has 2 channels, so there is no channel 3" in err
    code, _, err = run("transcribe", "--model", "digits", call, "--audio-stream", "2")
    assert code == 1 and ("has 1 audio stream" in err or "pip install av" in err)


@pytest.mark.parametrize("wrong", ["--clip=5,4", "--clip=a", "--clip=1,2,3", "--channels=0", "--channels=left"])
def test_wrong_values_are_usage(run, call, wrong):
    code, _, err = run("transcribe", call, wrong)
    assert code == 2 and err.count("\n") == 1 and wrong.split("=")[1] in err


def test_an_audio_stream_below_one_is_usage(run, call):
    assert run("transcribe", call, "--audio-stream", "0")[0] == 2


def test_clips_as_people_write_them():
    assert clip("90,120.5") == (90.0, 120.5)
    assert clip("1:30,2:00.5") == (90.0, 120.5)
    assert clip("1:00:00") == (3600.0, None)


def test_raw_samples_with_each_channel(run, call, tmp_path):
    from s2t_np import audio

    both = [list(audio.blocks(call, RATE, selection=audio.Selection(channel=c))) for c in (1, 2)]
    (tmp_path / "call.raw").write_bytes(pcm16(np.stack([np.concatenate(x) for x in both], 1)))
    code, out, _ = run(
        *("transcribe", "--model", "digits", tmp_path / "call.raw", "--raw-rate", RATE, "--raw-channels", 2),
        *("--channels", "each"),
    )
    assert (code, out) == (0, f"[channel 1] {ONE}\n[channel 2] {OTHER}\n")


def test_resume_tells_clips_apart(run, call, tmp_path):
    options = ("transcribe", "--model", "digits", call, "-o", tmp_path, "--resume")
    assert run(*options)[0] == 0
    code, _, err = run(*options, "--clip", "3.5")
    assert (code, "done already" in err) == (0, False)
    assert (tmp_path / "call.txt").read_text() == f"{OTHER}\n"
    assert "done already" in run(*options, "--clip", "3.5")[2]


def test_whispers_names(run, call):
    assert run("transcribe", "--model", "digits", call, "--clip_timestamps", "3.5,7")[1] == f"{OTHER}\n"
    assert "--channels each" in run("transcribe", call, "--diarize")[2]
