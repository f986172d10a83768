"""The command `transcribe`, in process: what it prints and writes, what it refuses, and its exit codes."""

import json
import os
import shutil
import warnings

import numpy as np
import pytest

import s2t_np
from s2t_np.cli import model_arguments
from s2t_np.errors import BackendError, HubError, InputWarning
from tests.support.paths import DIGITS

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE, TWO = RECORDINGS / "five-five.flac", RECORDINGS / "two-nine-three-four-zero.flac"


@pytest.fixture
def transcribe(run):
    """The same for `transcribe --model digits`."""
    return lambda *argv: run("transcribe", "--model", "digits", *argv)


@pytest.fixture
def no_load(monkeypatch):
    """Loading a model fails the test: the answer must have come before."""
    monkeypatch.setattr(model_arguments, "load", lambda *a, **k: pytest.fail("the model was loaded"))


@pytest.fixture
def broken(tmp_path):
    """A file that is no audio."""
    path = tmp_path / "broken.wav"
    path.write_bytes(b"RIFF and then nothing of the kind")
    return path


def test_one_recording_gives_its_text_alone(transcribe):
    assert transcribe(FIVE) == (0, "five five\n", "")


def test_several_give_path_tab_text_in_order(transcribe):
    code, out, err = transcribe(TWO, FIVE)
    assert (code, err) == (0, "")
    assert out == f"{TWO}\ttwo nine three four zero\n{FIVE}\tfive five\n"


def test_a_folder_of_one_still_gives_the_path(transcribe, tmp_path):
    shutil.copy(FIVE, tmp_path / "a.flac")
    assert transcribe(tmp_path) == (0, f"{tmp_path / 'a.flac'}\tfive five\n", "")


def test_failed_inputs_are_a_line_each_and_the_rest_is_done(transcribe, broken, tmp_path):
    code, out, err = transcribe(tmp_path / "gone.wav", broken, FIVE)
    assert code == 1
    assert out == f"{FIVE}\tfive five\n"
    gone, bad, total = err.splitlines()
    assert gone == f"s2t-np: {tmp_path / 'gone.wav'}: no such file or folder"
    assert bad.startswith(f"s2t-np: {broken}: ")
    assert bad.count("broken.wav") == 1
    assert total == "s2t-np: 2 of 3 inputs failed"


def test_audio_shorter_than_a_window_is_a_failed_input(transcribe, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "click.wav", np.ones(300), 16000)
    code, out, err = transcribe(tmp_path / "click.wav")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "click.wav" in err


def test_inputs_that_all_fail_need_no_model(run, tmp_path, no_load):
    assert run("transcribe", tmp_path / "gone.wav")[0] == 1
    code, out, err = run("transcribe", tmp_path)
    assert (code, out, err) == (1, "", f"s2t-np: {tmp_path}: a folder without any audio file\n")


def test_json_has_a_line_for_each_recording(transcribe):
    code, out, _ = transcribe(FIVE, TWO, "--format", "json", "--nbest", 3, "--length-penalty", 0.5)
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [r["text"] for r in records] == ["five five", "two nine three four zero"]
    hypotheses = s2t_np.load("digits").transcribe(FIVE, num_return_sequences=3, length_penalty=0.5).hypotheses
    found = records[0]["segments"][0]["hypotheses"]
    assert [h["tokens"] for h in found] == [list(h.tokens) for h in hypotheses]
    assert [h["score"] for h in found] == [h.score for h in hypotheses]
    assert found[0]["pieces"] == ["</s>", "▁five", "▁five", "</s>"]


def test_nbest_prints_a_line_for_each(transcribe):
    code, out, _ = transcribe(FIVE, "--nbest", 2)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert out.startswith("five five\n")


def test_output_dir_takes_files_and_stdout_stays_empty(transcribe, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    shutil.copy(FIVE, tmp_path / "in" / "deep" / "a.flac")
    shutil.copy(TWO, tmp_path / "in" / "a.flac")
    assert transcribe(tmp_path / "in", "--output-dir", tmp_path / "new" / "out") == (0, "", "")
    assert (tmp_path / "new" / "out" / "a.txt").read_text() == "two nine three four zero\n"
    assert (tmp_path / "new" / "out" / "deep" / "a.txt").read_text() == "five five\n"
    assert transcribe(FIVE, "--output-dir", tmp_path / "new", "--format", "json") == (0, "", "")
    assert json.loads((tmp_path / "new" / "five-five.json").read_text())["text"] == "five five"
    assert sorted(os.listdir(tmp_path / "new")) == ["five-five.json", "out"]


def test_two_recordings_of_one_name_are_both_written(transcribe, tmp_path):
    shutil.copy(FIVE, tmp_path / "five-five.wav")
    code, out, err = transcribe(FIVE, tmp_path / "five-five.wav", "--output-dir", tmp_path / "out")
    assert (code, out, len(err.splitlines())) == (0, "", 1)
    texts = [path.read_text() for path in (tmp_path / "out").rglob("*.txt")]
    assert texts == ["five five\n"] * 2


def test_an_output_that_cannot_be_written_fails_its_input_only(transcribe, tmp_path):
    (tmp_path / "five-five.txt").mkdir()
    code, _, err = transcribe(FIVE, TWO, "--output-dir", tmp_path)
    assert code == 1
    assert "five-five.flac: its result cannot be written to" in err
    assert (tmp_path / f"{TWO.stem}.txt").read_text() == "two nine three four zero\n"


def test_an_output_dir_that_is_a_file_is_a_usage_error(run, tmp_path, no_load):
    (tmp_path / "file").write_text("")
    code, _, err = run("transcribe", FIVE, "--output-dir", tmp_path / "file")
    assert code == 2
    assert "--output-dir" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "COMMAND"),
        (["transscribe", "x"], "transscribe"),
        (["transcribe"], "FILE|FOLDER|PATTERN|-"),
        (["transcribe", "x", "--beam", "3"], "--beam"),  # no abbreviations
        (["transcribe", "x", "--beams", "many"], "'many'"),
        (["transcribe", "x", "--beams", "0"], "num_beams is 0"),
        (["transcribe", "x", "--beams", "2", "--nbest", "3"], "num_return_sequences is 3"),
        (["transcribe", "x", "--early-stopping", "maybe"], "true, false, never"),
        (["transcribe", "x", "--suppress-tokens", "4,x"], "'4,x'"),
        (["transcribe", "x", "--prefix-tokens=-4"], "-4"),
        (["transcribe", "x", "--prefix", "a", "--prefix-tokens", "4"], "not allowed with"),
        (["transcribe", "x", "--length-penalty", "nan"], "length_penalty"),
        (["transcribe", "x", "--repetition-penalty", "-1"], "repetition_penalty"),
        (["transcribe", "x", "--top-p", "1.5", "--sample"], "top_p is 1.5"),
        (["transcribe", "x", "--temperature", "0.5"], "--temperature has no effect without --sample"),
        (["transcribe", "x", "--lang", "fr", "--forced-first", "4"], "--lang and --forced-first"),
        (["transcribe", "x", "--prefix", "a", "--forced-first", "4"], "--prefix and --forced-first"),
        (["transcribe", "x", "--forced-first", "4", "--suppress-tokens", "4"], "suppress_tokens"),
        (["transcribe", "-", "-"], "standard input"),
        (["transcribe", "x", "--format", "sub"], "sub"),
        (["transcribe", "x", "--format", "all"], "--output-dir"),
        (["transcribe", "x", "y", "--format", "srt"], "--output-dir"),
        (["transcribe", "x", "y", "--format", "vtt", "--output", "z"], "--output-dir"),
        (["transcribe", "x", "--output", "z", "--output-dir", "z"], "not allowed with"),
        (["transcribe", "x", "--output", os.devnull], "not a regular file"),
        (["transcribe", "x", "--resume"], "--resume needs"),
        (["transcribe", "-", "--resume", "-o", "z"], "cannot be resumed"),
        (["transcribe", "-", "--files-from", "-"], "standard input"),
        (["transcribe", "--files-from", "/no/list"], "/no/list"),
        (["transcribe", "x", "--null"], "--null"),
        (["transcribe", "x", "--jobs", "0"], "--jobs is 0"),
        (["transcribe", "x", "--max-line-width", "-3"], "max_line_width is -3"),
        (["transcribe", "x", "--dtype", "int3"], "int3"),
        (["features", "x"], "--output"),
        (["score", "x"], "--text"),
        (["convert", "digits"], "DST"),
    ],
)
def test_usage_errors_are_one_line_and_need_no_model(run, no_load, argv, says):
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err


def test_warnings_are_one_line_said_once(run, monkeypatch):
    def features(self, *args):
        for _ in range(2):
            warnings.warn("a.wav: samples reach 3.0\nexpected 1", InputWarning, stacklevel=1)
        return np.zeros((1, 80), np.float32)

    monkeypatch.setattr(s2t_np.S2T, "features", features)
    code, out, err = run("features", "--model", "digits", "x", "-o", os.devnull)
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == r"s2t-np: warning: a.wav: samples reach 3.0\nexpected 1"
    assert len(err.splitlines()) == 2


def test_a_model_that_cannot_be_had_is_3_and_names_the_way_out(run, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, err = run("transcribe", FIVE)
    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert s2t_np.DEFAULT_MODEL in err
    assert "`--model digits`" in err
    code, _, err = run("transcribe", FIVE, "--model", tmp_path / "nowhere")
    assert code == 3
    assert "--model digits" not in err


def test_a_backend_that_cannot_run_is_3(transcribe):
    code, _, err = transcribe(FIVE, "--backend", "abacus")
    assert (code, len(err.splitlines())) == (3, 1)
    assert "abacus" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HubError("x"), 3),
        (BackendError("x"), 3),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
        (OSError(28, "No space left on device"), 1),
        (MemoryError(), 1),
        (RuntimeError("can't start new thread"), 1),
    ],
)
def test_exit_codes_of_what_can_happen_at_any_time(run, monkeypatch, error, code):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(model_arguments, "load", fail)
    found, out, err = run("transcribe", FIVE)
    assert (found, out) == (code, "")
    assert len(err.splitlines()) == (0 if code == 141 else 1)


def test_a_copy_that_fails_names_the_place_it_is_written_to(run, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device", "from/here", None, "to/there")

    monkeypatch.setattr(model_arguments, "load", fail)
    assert run("transcribe", FIVE)[2] == "s2t-np: error: to/there: No space left on device\n"
