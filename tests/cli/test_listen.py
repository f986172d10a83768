"""`s2t-np listen` on a fake device: every word is written down, Ctrl-C ends in order, faults are one line."""

import os
import signal
import sys
import types

import numpy as np
import pytest

from s2t_np import audio
from tests.support.fake_sounddevice import PortAudioError, fake_sounddevice
from tests.support.paths import RECORDINGS

pytest.importorskip("soundfile")

RATE = 16000


@pytest.fixture(scope="module")
def spoken():
    """Five five, a pause, one two three, a pause."""
    pause = np.zeros(RATE, np.float32)
    names = ("five-five", "synthetic-one-two-three")
    return np.concatenate([np.r_[audio.load(RECORDINGS / f"{n}.flac", RATE), pause] for n in names])


@pytest.fixture
def device(monkeypatch):
    def install(*args, **kwargs):
        monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(*args, **kwargs))

    return install


def test_what_is_said_is_written_down(run, device, spoken):
    device(spoken)
    code, out, err = run("listen", "--model", "digits", "--duration", len(spoken) / RATE)
    assert (code, out) == (0, "five five\none two three\n")
    assert "listening at 16000 Hz; Ctrl-C stops" in err


def test_a_device_with_a_rate_of_its_own(run, device, spoken):
    fast = np.repeat(spoken, 3)
    device(fast, rate=48000, rates=(48000,))
    code, out, err = run(
        *("listen", "--model", "digits", "--duration", len(spoken) / RATE, "--microphone", "USB", "--format", "srt")
    )
    assert code == 0
    assert out.startswith("1\n00:00:0") and "\nfive five\n" in out and "\none two three\n" in out
    assert "listening at 48000 Hz" in err


def test_ctrl_c_ends_the_recording_and_the_rest_is_written(run, device, spoken):
    device(spoken, then=lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    code, out, _ = run("listen", "--model", "digits")
    assert (code, out) == (0, "five five\none two three\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_lost_sound_is_said_once(run, device, spoken):
    device(spoken, overflow=True)
    code, _, err = run("listen", "--model", "digits", "--duration", "2")
    assert code == 0
    assert err.count("the microphone lost some sound") == 1


def test_the_devices_are_listed(run, device, spoken):
    device(spoken)
    assert run("listen", "--list-microphones") == (0, "1\tUSB microphone\t1 channel\n", "")


def test_no_such_device(run, device, spoken):
    device(spoken)
    code, _, err = run("listen", "--model", "digits", "--microphone", "Studio")
    assert code == 1 and err.count("\n") == 1
    assert (
        "microphone 'Studio' cannot record at 16000 Hz (No input device matching 'Studio'); --list-microphones" in err
    )


def test_no_device_at_all(run, monkeypatch):
    def broken(**_):
        raise PortAudioError("Error querying device -1")

    module = types.SimpleNamespace(InputStream=broken, PortAudioError=PortAudioError, query_devices=broken)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    module.query_devices = lambda *_: broken()
    code, _, err = run("listen", "--model", "digits")
    assert code == 1 and "the microphone cannot record" in err and err.count("\n") == 1
    code, _, err = run("listen", "--list-microphones")
    assert code == 1 and "the microphones cannot be listed (Error querying device -1)" in err


def test_without_the_package(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = run("listen", "--model", "digits")
    assert code == 1 and "pip install sounddevice" in err and err.count("\n") == 1


@pytest.mark.parametrize("wrong", [("--duration", "0"), ("--format", "srt", "--highlight"), ("--format", "json")])
def test_wrong_options_are_usage(run, wrong):
    assert run("listen", *wrong)[0] == 2


def test_words_so_far_and_hotwords(run, device, spoken, monkeypatch):
    device(spoken)
    code, _, err = run("listen", "--model", "digits", "--partial", "--duration", 1)
    assert (code, "needs" in err or "terminal" in err) == (2, True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    arguments = ("--partial", "--partial-interval", 0.3, "--duration", len(spoken) / RATE)
    code, out, err = run("listen", "--model", "digits", *arguments)
    assert (code, out) == (0, "five five\none two three\n")
    assert "(five" in err
    code, out, _ = run("listen", "--model", "digits", "--hotwords", "six:30", "--duration", len(spoken) / RATE)
    assert code == 0
    assert "six" in out
    code, out, _ = run("listen", "--model", "digits", "--format", "csv", "--duration", len(spoken) / RATE)
    assert out.splitlines()[1].count(",") == 5
    assert out.splitlines()[1].split(",")[5]  # a probability: words have times
