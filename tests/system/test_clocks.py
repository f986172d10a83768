"""A clock that is set back or forward changes nothing: only clocks that never jump are asked, and times of files."""

import ast
import os
import time

import pytest

from tests.support.paths import DIGITS, ROOT

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
WALL = {("time", "time"), ("time", "localtime"), ("datetime", "now"), ("datetime", "today"), ("datetime", "utcnow")}
ALLOWED = {"s2t_np/system/atomic_files.py"}  # Windows only: the age of a temporary file, which may be spared or not


def asks_the_time(path) -> bool:
    """Whether a module reads a clock that may jump."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and {(node.module, name.name) for name in node.names} & WALL:
            return True
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in WALL:
            return True
    return False


def test_no_clock_that_may_jump_is_asked():
    paths = [path for room in ("s2t_np", "kernels") for path in (ROOT / room).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix() for path in paths if asks_the_time(path)}
    assert found == ALLOWED


@pytest.mark.parametrize("step", [-1e9, 1e9])
def test_a_batch_goes_on_after_the_clock_was_set(step, run, monkeypatch, tmp_path):
    """The recording is from the future, or its result from the past."""
    recording = tmp_path / "in.flac"
    recording.write_bytes(FIVE.read_bytes())
    os.utime(recording, (time.time() + 1e6,) * 2)
    command = ("transcribe", recording, "--model", "digits", "--backend", "numpy", "--output", tmp_path / "out.jsonl")
    assert run(*command, "--resume")[0] == 0
    before, now = (tmp_path / "out.jsonl").read_bytes(), time.time
    monkeypatch.setattr(time, "time", lambda: now() + step)
    code, _, err = run(*command, "--resume")
    assert (code, err) == (0, "s2t-np: 1 of 1 are done already\n")
    assert (tmp_path / "out.jsonl").read_bytes() == before
