"""Models, options and locales that people bring along: one line says what it is and what to do."""

import os
import subprocess
import sys

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio.checks import usable_rate
from s2t_np.errors import AudioError, InputWarning
from tests.support.paths import RECORDINGS, ROOT
from tests.support.sounds import encode

FIVE = str(RECORDINGS / "five-five.flac")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            "{tmp}/x.pt",
            "holds a .pt without its config.yaml; a checkpoint of fairseq's needs config.yaml, the dictionary",
        ),
        ("{tmp}/gone.pt", "does not exist: there is no such file or folder"),
        ("tiny.en", "a name of whisper's: its models have another architecture"),
        ("whisper-large-v3", "a name of whisper's"),
    ],
)
def test_what_is_given_as_a_model(run, tmp_path, model, says):
    (tmp_path / "x.pt").write_bytes(b"PK\x03\x04")
    code, _, err = run("transcribe", "--model", model.format(tmp=tmp_path), FIVE)
    assert code == 3 and says in err and err.count("\n") == 1


def test_an_ensemble_cannot_be_converted(run, tmp_path):
    code, _, err = run("convert", f"a.pt{os.pathsep}b.pt", tmp_path / "out")
    assert code != 0 and "names an ensemble, and a folder holds one model: convert each of them by itself" in err


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--highlight_words=True", "--format ass marks the spoken word"),
        ("--output-srt", "--format txt, srt, vtt"),
        ("--hf_token=x", "HF_TOKEN is the variable"),
        ("--align_model=x", "--word-timestamps aligns"),
    ],
)
def test_options_of_whispers(run, option, says):
    code, _, err = run("transcribe", "--model", "digits", FIVE, option)
    assert code == 2 and says in err


def test_words_of_the_command_line_are_utf8_in_every_locale():
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "s2t_np", "transcribe", "--model", "digits", FIVE, "--hotwords", "é".encode()]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "surrogate" not in done.stderr


def test_a_pair_of_rate_and_array_as_gradio_gives_it():
    x = np.zeros(16000, np.int16)
    for pair in ((16000, x), (x, 16000)):
        with pytest.raises(AudioError, match=r"a pair of a rate and an array .* sampling_rate=rate"):
            audio.load(pair, 16000)


def test_a_recording_of_a_third_of_the_rate_of_the_model():
    with pytest.warns(
        InputWarning, match="is recorded at 16000 Hz, and the model was trained on 48000 Hz: nothing above"
    ):
        assert usable_rate(16000, 48000, "talk.wav") == 16000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("rate", "model_rate"), [(8000, 16000), (44100, 48000), (48000, 16000), (16000, 16000)])
def test_other_rates_need_no_warning(rate, model_rate):
    assert usable_rate(rate, model_rate, "talk.wav") == rate


def test_the_pipe_that_is_advised_without_libsndfile_works(tmp_path):
    (tmp_path / "soundfile.py").write_text("raise OSError('sndfile library not found')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    sound = audio.load(FIVE, 16000)
    command = [sys.executable, "-m", "s2t_np", "transcribe", "--model", "digits"]
    asked = subprocess.run([*command, FIVE], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "cat talk.wav | s2t-np transcribe -" in asked.stderr
    command.append("-")
    piped = subprocess.run(command, cwd=ROOT, env=environment, input=encode(sound), capture_output=True, check=False)
    assert piped.stdout == b"five five\n"
