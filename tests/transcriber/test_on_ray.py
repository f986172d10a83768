"""`transcribe --ray`: what the command gives without it, to the byte; a killed worker's share is computed again."""

import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

import s2t_np
from s2t_np.batch import on_ray
from s2t_np.batch.items import Input
from s2t_np.batch.on_ray import transcribe_on_ray
from s2t_np.batch.run import Task, transcribe_all
from s2t_np.errors import OptionError
from s2t_np.longform.options import StreamOptions
from s2t_np.system.threads import get_threads
from s2t_np.together import Sharing
from tests.support.paths import RECORDINGS, ROOT

NAMES = ["five-five.flac", "two-nine-three-four-zero.flac", "synthetic-one-two-three.flac"]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
COMMAND = ("transcribe", "--model", "digits", "--backend", "numpy", "--batch", 1)


@pytest.fixture
def folder(tmp_path):
    """Good recordings, one that breaks off, one that is none."""
    made = tmp_path / "in"
    made.mkdir()
    for name in NAMES:
        shutil.copy(RECORDINGS / name, made)
    (made / "cut.flac").write_bytes((RECORDINGS / NAMES[1]).read_bytes()[:9000])
    (made / "not.wav").write_bytes(b"not a recording")
    return made


@needs_ray
@pytest.mark.slow
def test_output_and_messages_are_those_of_one_process(folder, run, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # workers find the package there, if it is not installed
    monkeypatch.chdir(folder.parent)
    here = run(*COMMAND, "--format", "json", "in", "missing.wav")
    there = run(*COMMAND, "--format", "json", "in", "missing.wav", "--ray", "local")
    assert here[0] == 1 and len(here[1].splitlines()) == 4 and "two nine" in here[1]
    assert there == here


@needs_ray
@pytest.mark.slow
def test_a_folder_of_results_is_resumed_by_either(folder, tmp_path, run):
    out = tmp_path / "out"
    assert run(*COMMAND, folder, "--output-dir", out, "--ray", "local")[0] == 1
    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    code, _, said = run(*COMMAND, folder, "--output-dir", out, "--resume")
    assert code == 1 and "4 of 5 are done already" in said
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == written
    (out / "five-five.txt").unlink()
    assert "3 of 5 are done already" in run(*COMMAND, folder, "--output-dir", out, "--resume", "--ray", "local")[2]
    assert (out / "five-five.txt").read_text() == "five five\n"


def killed_once(marker: str, values: tuple) -> Input:
    """The input; but the first process that unpickles it is killed."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Input(*values)


class Deadly(Input):
    """An input whose name is the path of a marker, and that kills the first worker that gets it."""

    def __reduce__(self):
        return killed_once, (self.name, tuple(self))


@needs_ray
@pytest.mark.slow
def test_a_killed_worker_loses_and_doubles_nothing(tmp_path):
    marker = tmp_path / "killed"
    paths = [str(RECORDINGS / name) for name in NAMES * 4]
    inputs = [Input(path, "") for path in paths]
    inputs[5] = Deadly(paths[5], str(marker))
    task = Task(s2t_np.load("digits", backend="numpy"), StreamOptions(), {})
    found = list(transcribe_on_ray("local", task, inputs))
    assert marker.exists()
    expected = list(transcribe_all(task, [Input(path, "") for path in paths]))
    assert [(r.path, r.text, r.duration) for r in found] == [(r.path, r.text, r.duration) for r in expected]


@needs_ray
@pytest.mark.slow
def test_an_address_without_a_cluster_is_one_line(folder, run):
    code, out, said = run(*COMMAND, folder, "--ray", "no such address")
    assert code not in (0, 1) and out == ""
    assert "no Ray cluster at 'no such address'" in said and said.count("\n") == 1


def test_a_share_is_computed_by_one_thread(monkeypatch):
    """Ray counts one core for it, however many threads the sender's task is for."""
    monkeypatch.setattr(on_ray, "transcribe_all", lambda task, inputs: [(task.sharing, get_threads())])
    assert on_ray.share_results(Task(None, StreamOptions(), {}, sharing=Sharing(5, 4)), []) == [(Sharing(5, 1), 1)]


def test_without_ray_one_line_says_how_to_get_it(folder, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, said = run(*COMMAND, folder, "--ray", "local")
    assert code not in (0, 1) and out == "" and "pip install ray" in said


def test_one_recording_and_standard_input_are_refused(run):
    code, _, said = run(*COMMAND, RECORDINGS / NAMES[0], "--ray", "local")
    assert code == 2 and "--ray is for several recordings" in said
    with pytest.raises(OptionError, match="cannot be sent to a cluster"):
        next(transcribe_on_ray("local", None, [Input("-", "")]))
