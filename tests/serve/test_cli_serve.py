"""The command `serve` as a process, asked by curl and ended by a signal; what it refuses before it loads a model."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from s2t_np.cli import build_parser, main
from s2t_np.cli.commands import serve as command
from s2t_np.errors import OptionError
from s2t_np.serve.settings import Settings, model_name, task_of
from tests.serve.conftest import FIVE, TWO
from tests.support.paths import ROOT

pytest.importorskip("uvicorn", reason="needs uvicorn (.[serve]): a real server")
CURL = shutil.which("curl")


def start(*arguments, **environment):
    """A server process that is ready, and its address."""
    program = [
        sys.executable,
        "-m",
        "s2t_np",
        "serve",
        "--model",
        "digits",
        "--backend",
        "numpy",
        "--port",
        "0",
        *arguments,
    ]
    process = subprocess.Popen(program, cwd=ROOT, env=os.environ | environment, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"served at (http://\S+)/ ", line):
            return process, found[1], lines
    raise AssertionError("".join(lines))


@pytest.fixture(scope="module")
def address():
    process, url, _ = start("--name", "whisper-1")
    yield url
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "s2t-np: interrupted"
    assert "Traceback" not in rest


def curl(*arguments):
    """What curl prints."""
    if CURL is None:
        pytest.skip("needs curl: a client in C")
    return subprocess.run([CURL, "-s", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json", "text", "srt", "vtt", "verbose_json"])
def test_curl_in_every_format(address, name):
    form = ["-F", f"file=@{TWO}", "-F", "model=whisper-1", "-F", f"response_format={name}"]
    answer = curl(*form, f"{address}/v1/audio/transcriptions")
    text = json.loads(answer)["text"] if "json" in name else answer
    assert "two nine three four zero" in text
    assert ("-->" in answer) == (name in ("srt", "vtt"))


@pytest.mark.slow
def test_curl_with_a_stream(address):
    answer = curl(
        "-N", "-F", f"file=@{FIVE}", "-F", "model=digits", "-F", "stream=true", f"{address}/v1/audio/transcriptions"
    )
    assert '"delta": "five five"' in answer
    assert answer.endswith("data: [DONE]\n\n")


@pytest.mark.slow
def test_curl_with_a_file_that_is_too_large(address):
    arguments = ["-o", "/dev/stdout", "-w", "%{http_code}", "-H", "Content-Length: 999999999", "--data-binary", "x"]
    answer = curl(*arguments, f"{address}/v1/audio/transcriptions")
    assert answer.endswith("413")
    assert json.loads(answer[:-3])["error"]["code"] == "too_large"


@pytest.mark.slow
def test_a_key_in_the_environment(tmp_path):
    (tmp_path / "key").write_text("another-key\n")
    process, url, _ = start("--api-key-file", str(tmp_path / "key"), S2T_NP_API_KEY="not-this-one")
    try:
        assert "401" in curl("-o", "/dev/null", "-w", "%{http_code}", f"{url}/v1/models")
        assert "digits" in curl("-H", "Authorization: Bearer another-key", f"{url}/v1/models")
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode in (0, 128 + signal.SIGTERM)


def refused(capsys, *arguments):
    """The line on stderr of a command that is refused."""
    assert main(["serve", "--model", "digits", *arguments]) == 2
    return capsys.readouterr().err


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot listen there (Address already in use)" in refused(capsys, "--port", str(taken.getsockname()[1]))
    assert "expected 0 to 65535" in refused(capsys, "--port", "99999")


def test_missing_packages_are_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    line = refused(capsys)
    assert 'pip install "s2t-np[serve]"' in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--max-upload", "0"], "max_upload is 0.0, expected a number of at least 0.001"),
        (["--jobs", "0"], "expected at least 1"),
        (["--allow-origin", "example.org"], "expected a scheme and a host"),
        (["--api-key-file", "/nowhere/key"], "cannot be read (No such file"),
        (["--host", "no.such.host.invalid"], "cannot listen there"),
    ],
)
def test_wrong_arguments(capsys, arguments, words):
    assert words in refused(capsys, "--port", "0", *arguments)


def test_a_short_key_is_refused(monkeypatch, capsys):
    monkeypatch.setenv(command.KEY_VARIABLE, "short")
    assert "8 to 200 of the characters" in refused(capsys, "--port", "0")


def test_settings():
    args = build_parser().parse_args(
        ["serve", "--allow-host", "Speech.Example", "--name", "whisper-1", "--time-limit", "5"]
    )
    settings = command.settings_of(args, "digits", ())
    assert settings.names == ("digits", "whisper-1")
    assert "speech.example" in settings.hosts
    assert (settings.task, settings.limits.time_limit, settings.api_key) == ("transcribe", 5, None)
    with pytest.raises(OptionError):
        Settings(("x",), origins=("null",))


@pytest.mark.parametrize(
    "given, name",
    [
        ("digits", "digits"),
        ("facebook/s2t-small-librispeech-asr", "facebook/s2t-small-librispeech-asr"),
        ("/home/me/secret/model", "model"),
        ("./model/", "model"),
        ("../..", "model"),
        ("a/b/c.pt", "c.pt"),
    ],
)
def test_a_model_is_known_by_the_last_part_of_its_path(given, name):
    assert model_name(given) == name


def test_the_task_of_released_checkpoints():
    assert task_of("facebook/s2t-small-covost2-de-en-st", {}) == "translate"
    assert task_of("facebook/s2t-medium-mustc-multilingual-st", {"de": 5}) == "translate"
    assert task_of("facebook/s2t-small-librispeech-asr", {}) == "transcribe"


def test_without_a_folder_for_uploads_it_does_not_start(monkeypatch, capsys):
    """As in a container that is read-only and has nothing mounted at /tmp."""
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/nowhere"])
    assert main(["serve", "--model", "digits", "--port", "0"]) == 2
    assert "let TMPDIR name one, or mount one (docker run --tmpfs /tmp)" in capsys.readouterr().err
