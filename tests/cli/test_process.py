"""The command as a process: signals, pipes, locales, terminals, and what it imports."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import DIGITS, ROOT

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE = RECORDINGS / "five-five.flac"
TRANSCRIBE = ("transcribe", "--model", "digits")
pytestmark = pytest.mark.slow
posix = pytest.mark.skipif(os.name != "posix", reason="signals, pipes and terminals as POSIX has them")


def environment(**more):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    return inherited | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def start(*argv, **kwargs):
    """The process of a command line; stdout and stderr are pipes unless told otherwise."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | kwargs
    pipes.setdefault("env", environment())
    return subprocess.Popen([sys.executable, "-m", "s2t_np", *map(os.fsencode, argv)], **pipes)


def finish(process, data=None):
    """(exit code, stdout, stderr) of a process, as bytes; one that does not end is killed, and the test fails."""
    try:
        out, err = process.communicate(data, timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def test_python_dash_m_is_the_command():
    assert finish(start(*TRANSCRIBE, FIVE)) == (0, b"five five\n", b"")


def test_standard_input():
    process = start(*TRANSCRIBE, "-", stdin=subprocess.PIPE)
    assert finish(process, FIVE.read_bytes()) == (0, b"five five\n", b"")


def test_standard_input_that_is_empty():
    code, out, err = finish(start(*TRANSCRIBE, "-", stdin=subprocess.DEVNULL))
    assert (code, out, err.count(b"\n")) == (1, b"", 1)
    assert err.startswith(b"s2t-np: standard input: is empty")


def test_help_imports_no_library_for_sound_or_text():
    heavy = "soundfile scipy sentencepiece huggingface_hub numba torch transformers".split()
    says = f"import sys, s2t_np.cli as c; c.main(['--help']); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", says], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_usage_error_answers_at_once():
    begin = time.monotonic()
    assert finish(start("transcribe", FIVE, "--beams", "none"))[0] == 2
    assert time.monotonic() - begin < 3  # 0.3 s on a machine that does nothing else


@posix
@pytest.mark.parametrize(
    "locale", [{"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, {}]
)
def test_output_is_utf8_and_names_keep_their_bytes_in_any_locale(tmp_path, locale):
    locale = environment(LC_ALL="C", **locale)
    folder = os.fsencode(tmp_path)
    for name in (b"gr\xc3\xbcn.flac", b"gr\xfcn.flac"):
        shutil.copy(os.fsencode(FIVE), os.path.join(folder, name))
    code, out, err = finish(start(*TRANSCRIBE, tmp_path, env=locale))
    assert (code, err) == (0, b"")
    assert out == b"".join(folder + b"/" + n + b"\tfive five\n" for n in (b"gr\xc3\xbcn.flac", b"gr\xfcn.flac"))
    code, out, _ = finish(start(*TRANSCRIBE, tmp_path, "--format", "json", env=locale))
    assert code == 0
    assert [json.loads(line)["text"] for line in out.decode("utf-8").splitlines()] == ["five five"] * 2
    code, out, _ = finish(start(*TRANSCRIBE, tmp_path, "--output-dir", tmp_path / "o", env=locale))
    assert (code, out) == (0, b"")
    written = sorted(name for name in os.listdir(folder + b"/o") if not name.startswith(b"."))
    assert written == [b"gr\xc3\xbcn.txt", b"gr\xfcn.txt"]


@posix
def test_a_failure_with_a_hostile_name_is_one_harmless_line(tmp_path):
    path = os.fsencode(tmp_path) + b"/a\n\x1b[31m\xff.wav"
    with open(path, "wb") as file:
        file.write(b"no audio")
    code, out, err = finish(start(*TRANSCRIBE, path))
    assert (code, out, err.count(b"\n")) == (1, b"", 1)
    assert rb"a\n\x1b[31m\xff.wav" in err


IN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ODD = (b"caf\xc3\xa9", b"caf\xe9")  # in UTF-8, and not


@pytest.fixture
def odd_names(tmp_path):
    """A folder with a recording, and a file without sound, under each of two names."""
    (tmp_path / "in").mkdir()
    for name in ODD:
        shutil.copy(os.fsencode(FIVE), os.path.join(os.fsencode(tmp_path), b"in", name + b".flac"))
        with open(os.path.join(os.fsencode(tmp_path), b"in", b"no-" + name + b".wav"), "wb") as file:
            file.write(b"no audio")
    return tmp_path


@posix
@pytest.mark.parametrize("locale", [IN_C, {}], ids=["C", "UTF-8"])
def test_messages_about_odd_names_are_legible_and_a_batch_of_them_is_resumed(odd_names, locale):
    argv = (*TRANSCRIBE, odd_names / "in", "--output-dir", odd_names / "out", "--resume")
    code, out, err = finish(start(*argv, env=environment(**locale)))
    assert (code, out) == (1, b"")
    said = err.decode("utf-8")
    assert "/in/no-café.wav: is not a recording" in said and r"/in/no-caf\xe9.wav: is not a recording" in said
    assert "udc" not in said
    found = {name for name in os.listdir(os.fsencode(odd_names / "out")) if name.endswith(b".txt")}
    assert found == {name + b".txt" for name in ODD}
    assert "2 of 4 are done already" in finish(start(*argv, env=environment(**locale)))[2].decode("utf-8")


@posix
@pytest.mark.parametrize("locale", [IN_C, {}], ids=["C", "UTF-8"])
def test_a_table_names_files_in_utf8_whatever_the_locale(odd_names, locale):
    rows = [{"audio": "in/café.flac", "text": "five five"}, {"audio": "in/caf\udce9.flac", "text": "fünf \ud800"}]
    table, results = odd_names / "table.jsonl", odd_names / "results.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"audio": "a\ud800.wav", "text": "x"}]))
    code, out, err = finish(start(*TRANSCRIBE, "--manifest", table, env=environment(**locale)))
    assert (code, sorted(os.path.basename(line) for line in out.splitlines())) == (
        1,
        [b"caf\xc3\xa9.flac\tfive five", b"caf\xe9.flac\tfive five"],
    )
    assert r"table.jsonl, line 3: 'a\ud800.wav' holds half of a surrogate pair" in err.decode("utf-8")
    argv = ("evaluate", "--model", "digits", table, "--show-alignment", "--output", results, "--resume")
    code, out, err = finish(start(*argv, env=environment(**locale)))
    assert (code, b"Traceback" in err) == (1, False) and r"FÜNF \UD800" in out.decode("utf-8")
    ids = [json.loads(line)["id"] for line in results.read_text("utf-8").splitlines()[1:]]
    assert ids == ["in/café.flac", r"in/caf\xe9.flac"]
    assert "2 of 2 are done already" in finish(start(*argv, env=environment(**locale)))[2].decode("utf-8")


@pytest.fixture
def long_recording(tmp_path):
    """Half a minute of digits."""
    soundfile = pytest.importorskip("soundfile")
    samples, rate = soundfile.read(FIVE)
    soundfile.write(tmp_path / "long.wav", np.tile(samples, 20), rate, "PCM_16")
    return tmp_path / "long.wav"


def cpu_seconds(process) -> float:
    """The computing time of a running process: unlike the clock, it does not count what other programs take."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def interrupted(process) -> tuple[tuple[int, bytes, bytes], float]:
    """Interrupt a program: how it ends, and the seconds that it still computed, where /proc tells."""
    import resource

    told = os.path.exists(f"/proc/{process.pid}/stat")
    before, children = (cpu_seconds(process) if told else 0), resource.getrusage(resource.RUSAGE_CHILDREN)
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime - before
    return ended, spent if told else 0.0


@posix
def test_an_interrupt_ends_at_once_and_leaves_nothing_behind(long_recording, tmp_path):
    endless = ("--min-length", "100000", "--max-length", "100000")
    process = start(*TRANSCRIBE, long_recording, *endless, "--output-dir", tmp_path / "out")
    while not (tmp_path / "out").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1.5)  # by now it decodes
    assert process.poll() is None
    ended, spent = interrupted(process)
    assert ended == (130, b"", b"s2t-np: interrupted\n")
    assert spent < 1
    assert os.listdir(tmp_path / "out") == []


@posix
@pytest.mark.parametrize("module", ["numpy.version", "numpy._core.multiarray", "s2t_np.errors", "s2t_np.model"])
def test_an_interrupt_while_it_is_starting_is_one_line(module):
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "s2t_np", "info"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    while (line := process.stderr.readline()) and not line.endswith(f" {module}\n".encode()):
        pass
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (130, b"")
    assert err.endswith(b"s2t-np: interrupted\n")
    assert b"Traceback" not in err


NO_THREADS = """
import os, signal, sys, threading
def none(thread):
    raise RuntimeError("can't start new thread")
class Finder:
    def find_spec(self, name, *rest):
        if name == "numpy" and "OPENBLAS_NUM_THREADS" not in os.environ:
            signal.raise_signal(signal.SIGINT)
threading.Thread.start = none
sys.meta_path.insert(0, Finder())
"""


@posix
def test_without_threads_for_openblas_it_begins_anew_with_one(tmp_path):
    """OpenBLAS raises SIGINT where it gets no threads, as under `ulimit -u`: here the import of numpy does."""
    (tmp_path / "sitecustomize.py").write_text(NO_THREADS)
    few = {name: value for name, value in environment().items() if name != "OPENBLAS_NUM_THREADS"}
    few["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "s2t_np", *TRANSCRIBE, str(FIVE)], env=few, cwd=ROOT, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"five five\n", b"")


@posix
@pytest.mark.parametrize(
    ("name", "word"), [("SIGTERM", b"terminated"), ("SIGHUP", b"ended, as its terminal was closed")]
)
def test_other_signals_end_it_as_an_interrupt_does(long_recording, tmp_path, name, word):
    """The exit code is that of a process which the signal has ended, for a shell; nothing is left behind."""
    number = getattr(signal, name)
    endless = ("--min-length", "100000", "--max-length", "100000")
    process = start(*TRANSCRIBE, long_recording, *endless, "--output-dir", tmp_path / "out")
    while not (tmp_path / "out").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(number)
    assert finish(process) == (128 + number, b"", b"s2t-np: " + word + b"\n")
    assert os.listdir(tmp_path / "out") == []


@posix
def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    """nohup."""
    says = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); from s2t_np.__main__ import main; "
    says += f"sys.argv = ['s2t-np', 'transcribe', '--model', 'digits', {str(FIVE)!r}]; import s2t_np.cli as c; "
    says += "real = c.parse_and_run; c.parse_and_run = lambda a: (os.kill(os.getpid(), signal.SIGHUP), real(a))[1]; "
    done = subprocess.run(
        [sys.executable, "-c", says + "sys.exit(main())"], env=environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"five five\n", b"")


@posix
def test_a_second_signal_ends_it_where_it_is():
    says = "import os, signal, sys, time\nfrom s2t_np.system import signals\nsignals.begin()\n"
    says += "signals.raise_interrupt()\ntry:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
    says += "except KeyboardInterrupt:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(60)\n"
    done = subprocess.run([sys.executable, "-c", says], env=environment(), capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"s2t-np: interrupted\n")


@posix
def test_what_an_unbuffered_output_does_not_take_at_once_is_written_all_the_same(tmp_path):
    """python -u: its stream passes on what `write` takes of a text, and drops the rest, with exit code 0."""
    says = "import io, os, sys\nclass Slow(io.FileIO):\n    def write(self, data):\n"
    says += "        return super().write(bytes(data)[:3])\n"
    says += "sys.stdout = sys.__stdout__ = io.TextIOWrapper(Slow(os.dup(1), 'wb'), write_through=True)\n"
    says += f"from s2t_np.cli import main\nsys.exit(main(['transcribe', '--model', 'digits', {str(FIVE)!r}]))"
    done = subprocess.run([sys.executable, "-u", "-c", says], env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"five five\n", b"")


def copies(folder, count):
    """So many recordings of two digits, as each file is transcribed only once."""
    paths = [folder / f"{number:03}.flac" for number in range(count)]
    for path in paths:
        shutil.copy(FIVE, path)
    return paths


@posix
def test_an_interrupt_ends_a_batch_at_once_and_it_can_be_resumed(tmp_path):
    out = tmp_path / "out.tsv"
    paths = copies(tmp_path, 150)
    argv = (*TRANSCRIBE, *paths, "--output", out, "--jobs", "2")
    process = start(*argv)
    while not (out.exists() and out.stat().st_size) and process.poll() is None:
        time.sleep(0.01)
    (code, printed, err), spent = interrupted(process)
    assert (code, printed) == (130, b"")
    assert err.startswith(b"s2t-np: interrupted; ") and b"--resume" in err and err.count(b"\n") == 1
    assert spent < 2  # on two cores
    lines = [f"{path}\tfive five\n" for path in paths]
    done = out.read_text().count("\n")
    assert out.read_text() == "".join(lines[:done])
    assert finish(start(*argv, "--resume"))[:2] == (0, b"")
    assert 0 < done < 150
    assert out.read_text() == "".join(lines)


@posix
def test_a_closed_pipe_ends_quietly(tmp_path):
    process = start(*TRANSCRIBE, *copies(tmp_path, 40))
    assert process.stdout.readline().endswith(b"\tfive five\n")
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), err) == (141, b"")


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("argv", [(*TRANSCRIBE, FIVE), ("--help",), ("info",)])
def test_a_full_disk_under_stdout_is_an_error_of_one_line(argv):
    with open("/dev/full", "wb") as full:
        code, _, err = finish(start(*argv, stdout=full))
    assert (code, err.count(b"\n")) == (1, 1)
    assert b"No space left on device" in err


@posix
def test_closed_streams_do_no_harm(tmp_path):
    shell = f'exec "$0" -m s2t_np transcribe --model digits {FIVE} --output-dir {tmp_path} <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", shell, sys.executable], env=environment(), check=False).returncode == 0
    assert (tmp_path / "five-five.txt").read_bytes() == b"five five\n"
    shell = 'exec "$0" -m s2t_np transcribe --model digits - <&-'
    done = subprocess.run(["sh", "-c", shell, sys.executable], env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr[:32]) == (1, b"", b"s2t-np: standard input: is empty")


@posix
def test_a_terminal_sees_progress_on_stderr_only(tmp_path):
    import pty

    master, slave = pty.openpty()
    paths = copies(tmp_path, 2)
    process = start(*TRANSCRIBE, *paths, stderr=slave)
    os.close(slave)
    out = process.stdout.read()
    process.wait(timeout=60)
    process.stdout.close()
    seen = os.read(master, 65536)
    os.close(master)
    assert out == "".join(f"{path}\tfive five\n" for path in paths).encode()
    assert b"0/2" in seen
    assert b"1/2" in seen
    assert seen.endswith(b"\r\x1b[K")  # and takes it away in the end
