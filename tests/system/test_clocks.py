"""A clock that is set back or forward changes nothing: only clocks that never jump are asked, and times of files."""

import ast
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.jumping_clock import jumping, steady, why_not
from tests.support.paths import DIGITS, ROOT
from tests.training.small_corpus import QUIET, arguments, log_of, write_corpus

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
WALL = {("time", "time"), ("time", "localtime"), ("datetime", "now"), ("datetime", "today"), ("datetime", "utcnow")}
ALLOWED = {"s2t_np/system/atomic_files.py"}  # Windows only: the age of a temporary file, which may be spared or not


MODEL = ("--model", "digits", "--backend", "numpy")
needs_jumps = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture(scope="module")
def clocks(tmp_path_factory) -> dict[str, dict[str, str]]:
    """Environments of programs: one where the clock is right, one where it jumps by a day at every look at it."""
    return {"steady": steady(), "jumping": jumping(tmp_path_factory.mktemp("clock"))}


def done(environment: dict[str, str], *command) -> subprocess.CompletedProcess:
    """A command that ended well."""
    program = [sys.executable, "-m", "s2t_np", *map(str, command)]
    ended = subprocess.run(program, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended


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


@needs_jumps
def test_the_clock_of_these_tests_jumps(clocks):
    code = "import time; t = [time.time() for _ in range(6)]; m = time.monotonic(); print(max(t) - min(t) > 1e5)"
    said = {
        name: subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        for name, environment in clocks.items()
    }
    assert {name: one.stdout for name, one in said.items()} == {"steady": "False\n", "jumping": "True\n"}


@needs_jumps
@pytest.mark.slow
def test_a_batch_writes_the_same_and_knows_what_is_done(clocks, tmp_path):
    written = {}
    for name, environment in clocks.items():
        command = ("transcribe", FIVE.parent, *MODEL, "--format", "json", "--output-dir", tmp_path / name, "--resume")
        done(environment, *command)
        again = done(environment, *command)
        assert re.search(r"(\d+) of \1 are done already", again.stderr), again.stderr
        written[name] = {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.json")}
    assert written["jumping"] == written["steady"] and len(written["steady"]) >= 5


@needs_jumps
@pytest.mark.slow
def test_an_evaluation_counts_the_same_and_measures_no_day(clocks, tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text(f"id\taudio\ttext\na\t{FIVE}\tfive four\n")
    found = {name: done(clocks[name], "evaluate", table, *MODEL).stdout.splitlines()[1].split() for name in clocks}
    assert found["jumping"][:-1] == found["steady"][:-1] and "50.00" in found["steady"]
    assert 0 < float(found["jumping"][-1]) < 1000  # seconds of computing in a second of sound


@needs_jumps
@pytest.mark.slow
def test_a_training_that_is_resumed_has_the_same_bytes(clocks, tmp_path):
    table, kept = write_corpus(tmp_path / "corpus", 4), {}
    for name, environment in clocks.items():
        run = tmp_path / name
        done(environment, *arguments(table, run, "--max-epoch", "1"))
        done(environment, "train", "--resume", "-o", run, *QUIET, "--max-epoch", "2")
        checkpoints = {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.rglob("*.safetensors"))}
        kept[name] = checkpoints, log_of(run)
        lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
        assert all(0 <= line.get("seconds", 0) < 1000 and line.get("frames_per_second", 1) > 0 for line in lines)
    assert kept["jumping"] == kept["steady"] and len(kept["steady"][0]) >= 3


@needs_jumps
@pytest.mark.slow
def test_a_server_answers_the_same_within_its_limits(clocks):
    pytest.importorskip("uvicorn", reason="needs uvicorn (.[serve]): a real server")
    program = [sys.executable, "-m", "s2t_np", "serve", *MODEL, "--port", "0", "--time-limit", "60"]
    process = subprocess.Popen(program, env=clocks["jumping"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        line = next(line for line in process.stderr if "is served at" in line)
        address = re.search(r"http://[0-9.:]+", line)[0]
        assert [asked(address, FIVE)["text"] for _ in range(3)] == ["five five"] * 3
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
            seconds = re.findall(r"^s2t_np_request_seconds_sum\S* (\S+)", answer.read().decode(), re.MULTILINE)
        assert seconds and all(0 <= float(value) < 1000 for value in seconds)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def asked(address: str, recording: Path) -> dict:
    """The answer to a recording, in JSON."""
    head = '--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ndigits\r\n'
    head += '--x\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'
    body = head.encode() + recording.read_bytes() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{address}/v1/audio/transcriptions", body, kind)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)
