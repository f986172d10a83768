"""A home that is not there, a folder that is read-only, no place for temporary files: every command does its work."""

import asyncio
import logging
import os
import pwd
import subprocess
import sys
import tempfile

import pytest

from s2t_np.cli import COMMANDS
from s2t_np.cli.terminal import silence_matplotlib, warnings_on_stderr
from s2t_np.inspect.explorer import local_server
from tests.support.fake_sounddevice import fake_sounddevice
from tests.support.loopback_hub import LoopbackHub, Repository
from tests.support.paths import DIGITS, ROOT
from tests.training.small_corpus import arguments, write_corpus

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
MODEL = ("--model", "digits", "--backend", "numpy")
NOWHERE = "/proc/1/nowhere"  # no one can make a folder there
WORK = {  # command -> arguments; {} is a folder of the test's own, which can be written
    "info": MODEL,
    "features": (FIVE, "-o", "{}/features.npy", *MODEL),
    "score": (FIVE, "--text", "five five", *MODEL),
    "transcribe": (FIVE, "--output-dir", "{}/out", *MODEL),
    "evaluate": ("{}/corpus/digits.tsv", *MODEL),
    "trace": (FIVE, "-o", "{}/trace", *MODEL),
    "convert": ("digits", "{}/converted"),
    "golden": ("digits", FIVE, "-o", "{}/pack"),
    "check": ("{}/pack", "{}/pack/float32.safetensors"),
    "plot": (FIVE, "-o", "{}/plot.svg", *MODEL),
    "explore": (FIVE, "--no-browser", *MODEL),
    "serve": ("--port", "0", *MODEL),
    "listen": ("--duration", "1", *MODEL),
    "download": ("a/b",),
    "average": ("{}/run", "-o", "{}/mean"),
}

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/1"), reason="needs /proc")


def without_home(monkeypatch) -> None:
    """HOME names a folder that cannot be made."""
    monkeypatch.setenv("HOME", NOWHERE)


def without_user(monkeypatch) -> None:
    """HOME is not set, and the user has no entry in /etc/passwd, as in some containers."""

    def unknown(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def read_only_home(monkeypatch) -> None:
    """HOME is a folder that cannot be written, and so is the one that the command works in."""
    monkeypatch.setenv("HOME", "/proc/1")
    monkeypatch.chdir("/proc/self")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table to evaluate, a run of a training, and a pack."""
    folder = tmp_path_factory.mktemp("homes")
    table = write_corpus(folder / "corpus", 4)
    (folder / "corpus" / "digits.tsv").write_text(f"id\taudio\ttext\na\t{FIVE}\tfive five\n")
    WORK["train"] = arguments(table, folder / "run", "--max-update", "2")[1:]
    return folder


@pytest.fixture(params=[without_home, without_user, read_only_home])
def poor(request, folder, monkeypatch):
    """An environment without places of the user's, and without one for temporary files."""
    for variable in ("XDG_CACHE_HOME", "HF_HOME", "S2T_NP_CACHE_DIR", "MPLCONFIGDIR"):
        monkeypatch.delenv(variable, raising=False)
    request.param(monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [NOWHERE])
    return folder / request.param.__name__


def work_of(name: str, place, folder) -> list[str]:
    """The command line; what an earlier command made is found in `folder`, what this one makes goes to `place`."""
    made = {"{}/corpus": f"{folder}/corpus", "{}/run": f"{folder}/run", "{}/pack": f"{folder}/pack"}
    found = [str(part) for part in WORK[name]]
    for given, path in made.items() if name in ("evaluate", "check", "average") else ():
        found = [part.replace(given, path) for part in found]
    return [name, *(part.replace("{}", str(place)) for part in found)]


def test_every_command_is_here(folder):
    assert set(WORK) == {command.name for command in COMMANDS}


@pytest.fixture(scope="module")
def made(folder):
    """What `check` and `average` need."""
    from s2t_np.cli import main

    assert main([*work_of("golden", folder, folder)]) == 0
    assert main(["train", *WORK["train"]]) == 0


@pytest.mark.parametrize("name", sorted({command.name for command in COMMANDS} - {"serve", "download"}))
def test_it_does_its_work_and_says_nothing_of_places(name, run, poor, folder, made, monkeypatch):
    if name == "plot":
        pytest.importorskip("matplotlib", reason="needs matplotlib: pictures")
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice([0.1, -0.1] * 16000))
    monkeypatch.setattr(local_server.LocalServer, "serve_forever", interrupted)
    command = work_of(name, poor, folder)
    if name == "train":
        command[command.index("-o") + 1] = f"{poor}-run"
    code, _, err = run(*command)
    assert code == 0 and "warning" not in err and NOWHERE not in err and "Traceback" not in err, err


def test_plot_names_the_variable_that_chooses_a_place(folder):
    """In a process of its own: matplotlib looks for a place once."""
    pytest.importorskip("matplotlib", reason="needs matplotlib: pictures")
    environment = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"} | {"HOME": NOWHERE}
    code = (
        f"import tempfile; tempfile._candidate_tempdir_list = lambda: [{NOWHERE!r}]\n"
        f"from s2t_np.cli import main; raise SystemExit(main({work_of('plot', folder, folder)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2 and "let MPLCONFIGDIR name one" in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr


def interrupted(server):
    """Ctrl-C, as soon as the server runs."""
    raise KeyboardInterrupt


def test_serve_says_that_it_needs_a_place_for_uploads(run, poor):
    pytest.importorskip("uvicorn", reason="needs uvicorn (.[serve]): a real server")
    code, _, err = run("serve", *WORK["serve"])
    assert code == 2 and "let TMPDIR name one" in err.splitlines()[-1] and "Traceback" not in err


def test_serve_needs_no_home(run, poor, monkeypatch, tmp_path):
    uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn (.[serve]): a real server")
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path)])
    monkeypatch.setattr(uvicorn.Server, "run", ended)
    code, _, err = run("serve", *WORK["serve"])
    assert code == 0 and "is served at" in err.splitlines()[-1] and "Traceback" not in err


def ended(server, sockets):
    """As uvicorn runs an application that is told at once to end."""
    told = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive():
        return next(told)

    async def send(message):
        assert message["type"].endswith(".complete")

    asyncio.run(server.config.app({"type": "lifespan"}, receive, send))


def test_download_names_the_variable_that_chooses_a_place(run, poor, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    files = {file.name: file.read_bytes() for file in DIGITS.iterdir() if file.is_file()}
    with LoopbackHub(a__b=Repository(files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        code, out, err = run("download", "a/b")
    assert (code, out) == (3, "") and "let HF_HOME name a folder" in err and err.count("\n") == 1, err
    assert not os.path.lexists("~")


def test_download_works_in_the_place_that_was_chosen(run, poor, monkeypatch, tmp_path):
    pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    files = {file.name: file.read_bytes() for file in DIGITS.iterdir() if file.is_file()}
    with LoopbackHub(a__b=Repository(files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path))
        code, out, err = run("download", "a/b")
    assert (code, err) == (0, "") and out.startswith(str(tmp_path)), err


def test_matplotlib_does_not_write_lines_of_its_own(capsys):
    with warnings_on_stderr():
        silence_matplotlib()
        logging.getLogger("matplotlib").warning("created a temporary cache directory")
    assert capsys.readouterr().err == ""
