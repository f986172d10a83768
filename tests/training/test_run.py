"""Whole runs of the command: what they leave, that a killed one goes on with the same bits, and how they end."""

import builtins
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import s2t_np
from s2t_np.checkpoint import read_tensors
from s2t_np.cli.commands import training_run
from s2t_np.training import checkpoints, loop
from s2t_np.training.learner import Update
from s2t_np.training.log import read_log
from s2t_np.training.run_folder import locked
from tests.support.paths import ROOT, SHARED, needs_shared
from tests.training.small_corpus import QUIET, WORDS, arguments, log_of, resume
from tools import learn_by_heart

try:
    import resource
except ImportError:  # Windows
    resource = None

pytestmark = pytest.mark.slow


def test_what_a_run_leaves(train, table, tmp_path, run):
    code, out, err = train("--max-epoch", "3", "--speed", "0.9,1,1.1", "--update-freq", "2")
    folder = tmp_path / "run"
    assert (code, out) == (0, "") and err.count("word error rate") == 5 and "run/average: the mean of 3" in err
    assert [path.name for path in checkpoints.checkpoints(folder)] == sorted(
        path.name for path in (folder / "checkpoints").iterdir()
    )
    for place in (folder / "best", folder / "average", checkpoints.checkpoints(folder)[-1]):
        model = s2t_np.load(place, backend="numpy")
        assert isinstance(model.transcribe(table.parent / "0.wav").text, str)
    log = read_log(folder)
    losses = [entry["nll"] for entry in log if "nll" in entry]
    assert len([entry for entry in log if "valid_wer" in entry]) == 3 and np.mean(losses[-2:]) < losses[0]
    assert {"update", "epoch", "loss", "accuracy", "lr", "gradient_norm", "frames_per_second"} <= log[0].keys()
    mean = np.mean([read_tensors(c)["model.decoder.layer_norm.bias"] for c in checkpoints.checkpoints(folder)], axis=0)
    np.testing.assert_allclose(read_tensors(folder / "average")["model.decoder.layer_norm.bias"], mean, atol=1e-7)
    assert run("convert", folder / "best", tmp_path / "converted")[0] == 0


def test_it_learns(train, tmp_path, table):
    """Five words by heart."""
    code, _, err = train("--max-epoch", "70", "--specaugment", "none", "--dropout", "0", "--activation-dropout", "0")
    assert code == 0, err
    model = s2t_np.load(tmp_path / "run" / "best", backend="numpy")
    texts = [
        model.transcribe(table.parent / f"{i}.wav", options=s2t_np.StreamOptions(vad_filter=False)).text
        for i in range(5)
    ]
    assert texts == [f"{word} {word}" for word in WORDS]


@needs_shared
def test_recordings_are_reproduced_word_for_word(tmp_path, monkeypatch, capsys):
    """Three of LibriSpeech's, from random weights, in a tiny shape: `tools.learn_by_heart` in small."""
    given = [SHARED / "audio" / "LibriSpeech", tmp_path, "--count", 3, "--shape", "tiny", "--max-update", 250]
    monkeypatch.setattr(sys, "argv", ["learn_by_heart", *map(str, given), "--threads", "1"])
    assert learn_by_heart.main() == 0
    assert ": 0 of 18 words are wrong" in capsys.readouterr().out
    assert len(checkpoints.checkpoints(tmp_path / "run")) == 1


def test_a_corpus_that_lacks_recordings_begins_no_run(train, tmp_path, table):
    """A vocabulary of the rest would lack their letters for good: a run that goes on keeps its vocabulary."""
    (table.parent / "0.wav").rename(tmp_path / "away.wav")
    try:
        code, _, err = train()
    finally:
        (tmp_path / "away.wav").rename(table.parent / "0.wav")
    assert code == 2 and "rows cannot be used, expected at most 5 %" in err and "0.wav: no such file" in err
    assert not (tmp_path / "run" / "start").exists() and not (tmp_path / "run" / "run.json").exists()


def test_a_checkpoint_that_cannot_be_looked_at_is_not_passed_over(tmp_path, monkeypatch):
    """Else a run would go on from an earlier one, or the average lack it, without a word."""
    for number in (1, 2):
        folder = tmp_path / "checkpoints" / f"{number:010}"
        folder.mkdir(parents=True)
        (folder / checkpoints.STATE).write_text("{}")
    (tmp_path / "checkpoints" / "0000000003").mkdir()  # without a state: not one
    (tmp_path / "checkpoints" / "0000000004").write_text("")
    assert [path.name for path in checkpoints.checkpoints(tmp_path)] == ["0000000001", "0000000002"]
    assert checkpoints.checkpoints(tmp_path / "no") == []
    stat = os.stat

    def failing(path, **more):
        if str(path).endswith(f"2/{checkpoints.STATE}"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", failing)
    with pytest.raises(PermissionError, match="0000000002"):
        checkpoints.checkpoints(tmp_path)


def test_a_lock_that_cannot_be_closed_ends_nothing(tmp_path, monkeypatch):
    class Failing(io.FileIO):
        def close(self):
            super().close()
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(builtins, "open", Failing)
    with locked(tmp_path):
        monkeypatch.undo()
    with locked(tmp_path):
        pass


def test_epochs_between_checkpoints(train, tmp_path):
    """Every third epoch, and the last one, which is no third."""
    assert train("--max-epoch", "7", "--save-interval", "3", "--keep-last", "9")[0] == 0
    updates = [int(path.name) for path in checkpoints.checkpoints(tmp_path / "run")]
    last = read_log(tmp_path / "run")[-1]["update"]
    assert updates == [last * epoch // 7 for epoch in (3, 6, 7)]


def files_of(folder):
    """The bytes of the files of a checkpoint."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_run_goes_on_with_the_same_bits(train, table, tmp_path, run):
    """Killed twice with -9, somewhere between checkpoints, it ends in the same files as one that was not."""
    more = ("--max-epoch", "6", "--save-interval-updates", "3", "--speed", "0.9,1.1", "--keep-last", "2")
    assert train(*more, where="whole")[0] == 0
    folder, environment = tmp_path / "killed", os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "s2t_np", *arguments(table, folder, *more)]
    for wanted in (1, 8):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        wait_for(lambda n=wanted: any(int(c.name) >= n for c in checkpoints.checkpoints(folder)))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        command = [sys.executable, "-m", "s2t_np", "train", "--resume", "-o", str(folder), *QUIET]
    code, _, err = resume(run, folder)
    assert code == 0, err
    whole, killed = (checkpoints.checkpoints(tmp_path / name) for name in ("whole", "killed"))
    assert [c.name for c in whole] == [c.name for c in killed] and len(whole) == 2
    for a, b in zip((*whole, tmp_path / "whole" / "best"), (*killed, folder / "best"), strict=True):
        assert files_of(a) == files_of(b)
    assert log_of(folder) == log_of(tmp_path / "whole")


def test_another_seed_gives_another_model(train, tmp_path):
    for seed in ("1", "2"):
        assert train("--max-update", "2", "--seed", seed, where=seed)[0] == 0
    first, second = (read_tensors(tmp_path / seed / "best") for seed in ("1", "2"))
    assert all((first[name] != second[name]).any() for name in first if name.endswith("fc1.weight"))


def test_a_run_that_is_over_can_be_made_longer_and_nothing_else(train, tmp_path, run):
    folder = tmp_path / "run"
    assert train("--max-epoch", "1")[0] == 0
    assert "is done; a larger --max-epoch goes on" in resume(run, folder)[2]
    assert resume(run, folder, "--max-epoch", "2")[0] == 0
    assert "lr is 0.003 in this run, not 0.1" in resume(run, folder, "--lr", "0.1")[2]
    assert "holds a run; --resume goes on with it" in train()[2]


def test_a_folder_that_is_not_a_run_is_left_alone(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "start").write_text("mine")
    code, _, err = train()
    assert code == 2 and "run is not empty and holds no run" in err
    assert (tmp_path / "run" / "start").read_text() == "mine"


def test_a_run_that_got_nowhere_can_begin_again_with_other_options(train, tmp_path, monkeypatch):
    monkeypatch.setattr(loop.Run, "go", lambda *_: iter(()))  # as if killed before the first checkpoint
    monkeypatch.setattr("s2t_np.cli.commands.training_run.finish", lambda run: None)
    assert train("--seed", "3")[0] == 0
    first = read_tensors(tmp_path / "run" / "start")["model.encoder.layers.0.fc1.weight"].copy()
    assert train("--seed", "4")[0] == 0
    assert (read_tensors(tmp_path / "run" / "start")["model.encoder.layers.0.fc1.weight"] != first).any()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["seed"] == 4


def test_two_processes_do_not_train_in_one_folder(train, run, tmp_path):
    assert train("--max-epoch", "1")[0] == 0
    with locked(tmp_path / "run"):
        assert "another process is training in it" in resume(run, tmp_path / "run", "--max-epoch", "2")[2]


def test_a_damaged_run_json_is_refused(train, run, tmp_path):
    assert train("--max-epoch", "1")[0] == 0
    (tmp_path / "run" / "run.json").write_text('{"recipe": {"lr": "x"}, "train": "y", "rates": {}}')
    code, _, err = resume(run, tmp_path / "run")
    assert code == 3 and "run.json: does not describe a run (training options: lr is 'x'" in err


def test_fine_tuning_keeps_what_is_frozen_and_the_vocabulary(train, table, tmp_path, run):
    assert train("--max-epoch", "1")[0] == 0
    before, second = read_tensors(tmp_path / "run" / "best"), tmp_path / "second"
    command = ["train", "--from", tmp_path / "run" / "best", "--freeze", "encoder", "--train", table, "-o", second]
    code, _, err = run(*command, "--max-update", "2", "--threads", "1", "--backend", "numpy", "--features", "-")
    assert code == 0, err
    after = read_tensors(second / "best")
    for name, tensor in before.items():
        if "model.encoder." in name:
            np.testing.assert_array_equal(after[name], tensor)
    assert (after["model.decoder.embed_tokens.weight"] != before["model.decoder.embed_tokens.weight"]).any()
    assert (second / "best" / "vocab.json").read_bytes() == (tmp_path / "run" / "start" / "vocab.json").read_bytes()
    assert not (second / "features").exists()


def test_a_loss_that_is_not_finite_ends_in_one_line(train, tmp_path, monkeypatch):
    """What is on the disk stays, and the line says where to go on."""
    assert train("--max-epoch", "1")[0] == 0
    update = loop.Learner.update

    def overflow(self, batches):
        return update(self, batches)._replace(loss=float("nan"))

    monkeypatch.setattr(loop.Learner, "update", overflow)
    code, _, err = train(where="broken")
    assert code == 1 and err.count("\n") == 1
    assert "update 1: the loss is nan" in err and "a lower --lr" in err and "no checkpoint was written yet" in err


def test_a_full_disk_ends_in_one_line(train, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "checkpoints")

    monkeypatch.setattr(checkpoints, "save", full)
    code, _, err = train("--max-epoch", "1")
    assert code == 1 and "No space left on device" in err and err.count("error:") == 1


@pytest.mark.skipif(resource is None, reason="needs limits of the size of files")
def test_what_a_full_disk_has_interrupted_goes_on_with_the_same_bits(train, run, tmp_path):
    """A process that may write no file as large as a checkpoint: its error is a full disk's but for the words."""
    assert train("--max-epoch", "3", where="whole")[0] == 0
    assert train("--max-epoch", "1")[0] == 0
    folder, environment = tmp_path / "run", os.environ | {"PYTHONPATH": str(ROOT)}
    before = files_of(checkpoints.checkpoints(folder)[-1])
    command = [sys.executable, "-m", "s2t_np", "train", "--resume", "-o", str(folder), "--max-epoch", "3", *QUIET]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12000, 12000))  # noqa: E731
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, preexec_fn=limit, capture_output=True, text=True
    )
    *_, last = done.stderr.splitlines()
    assert done.returncode == 1 and "File too large" in last and "from which --resume goes on" in last
    assert [files_of(c) for c in checkpoints.checkpoints(folder)] == [before]
    assert not list(folder.glob("**/.s2t-np-*"))
    assert resume(run, folder, "--max-epoch", "3")[0] == 0
    whole, resumed = (checkpoints.checkpoints(tmp_path / name)[-1] for name in ("whole", "run"))
    assert files_of(whole) == files_of(resumed)


def test_an_interrupt_ends_in_one_line(train, run, tmp_path, monkeypatch):
    assert train("--max-epoch", "1")[0] == 0

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Learner, "update", interrupted)
    code, _, err = resume(run, tmp_path / "run", "--max-epoch", "9")
    assert code == 130 and err.startswith("s2t-np: interrupted; kept: ") and "from which --resume goes on" in err


@pytest.mark.parametrize(
    "given, says",
    [
        (["--train", "x.tsv"], "give --from, a model to begin with, or --config"),
        (["--from", "digits", "--config", "x"], "give --from, a model to begin with, or --config"),
        (["--from", "digits"], "--train is missing"),
        (["--resume"], "holds no run to go on with"),
        (["--resume", "--from", "digits"], "leave out --from"),
        (["--from", "digits", "--train", "x", "--lr", "-1"], "lr is -1.0, expected a number from 0"),
        (["--from", "digits", "--train", "x", "--dropout", "1"], "dropout is 1, expected a probability"),
        (["--from", "digits", "--train", "x", "--speed", "a"], "'a' is not a list of numbers"),
        (["--from", "digits", "--train", "x", "--max-bad-rows", "101"], "expected per cent from 0 to 100"),
        (["--from", "digits", "--train", "x.txt"], "expected a folder in LibriSpeech's layout"),
    ],
)
def test_wrong_command_lines(run, tmp_path, given, says):
    code, _, err = run("train", *given, "-o", tmp_path / "run")
    assert code == 2 and says in err and err.count("\n") == 1


def test_average(train, run, tmp_path):
    assert train("--max-epoch", "3")[0] == 0
    last = checkpoints.checkpoints(tmp_path / "run")[-2:]
    assert run("average", tmp_path / "run", "--last", "2", "-o", tmp_path / "a")[0] == 0
    assert run("average", *last, "-o", tmp_path / "b")[0] == 0
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    name = "model.encoder.layer_norm.weight"
    mean = sum(read_tensors(c)[name].astype(np.float64) for c in last) / 2
    np.testing.assert_array_equal(read_tensors(tmp_path / "a")[name], mean.astype(np.float32))
    code, _, err = run("average", *last, "--last", "1", "-o", tmp_path / "c")
    assert code == 2 and "--last is for a RUN" in err
    assert run("average", last[0], "-o", tmp_path / "a")[0] == 2  # not empty


def test_the_curves(train, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: the picture of the curves")
    assert train("--max-epoch", "2")[0] == 0
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_run_json_says_what_the_run_is(train, table, tmp_path):
    assert train("--max-update", "1", "--dropout", "0.2", "--features", "-")[0] == 0
    said = json.loads((tmp_path / "run" / "run.json").read_text())
    assert said["recipe"]["lr"] == 0.003 and said["train"] == str(table) and said["rates"] == {"dropout": 0.2}
    assert said["features"] == "" and not (tmp_path / "run" / "features").exists()


def test_the_bar(monkeypatch, capsys):
    """Epoch, loss, error rate, speed and the time left, from what the first part of the work took."""
    monkeypatch.setattr(training_run, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(training_run.time, "monotonic", iter([100.0, 100.0, 130.0]).__next__)
    bar, state = training_run.Bar(), {"wer": 0.125}
    step = training_run.Updated(checkpoints.Position(7, 2, 3), 0.25, Update(1, 0.5, 0.9, 2, 1e-3, 40, 3000), 2.0)
    training_run.show_event(bar, step, state)
    training_run.show_event(bar, step._replace(part=0.5), state)
    *_, last = capsys.readouterr().err.split("[")
    assert last.startswith("##########..........] epoch 3, update 7, loss 0.500, WER 12.5 %, 1,500 frames/s, 1:00")


def test_windows_syncs_files_that_are_open_for_writing_and_no_folders(tmp_path, monkeypatch):
    """There a folder cannot be opened, and a file that is open for reading cannot be brought to the disk."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    usual, synced = os.open, []

    def windows_open(path, flags, *rest):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        synced.append((os.path.basename(path), flags & os.O_RDWR == os.O_RDWR))
        return usual(path, flags, *rest)

    monkeypatch.setattr(checkpoints, "FOLDERS_SYNC", False)
    monkeypatch.setattr(checkpoints.os, "open", windows_open)
    checkpoints.sync_folder(tmp_path)
    assert synced == [("model.safetensors", True)]
