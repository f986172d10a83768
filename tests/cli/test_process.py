"""The command as a process: signals, pipes, terminals, and what it imports."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import FIVE, TRANSCRIBE, environment, finish, posix, start
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow


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


BLAS_PATIENCE = """
import os, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == "numpy":
            print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"), file=sys.stderr)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("asked", [None, "26"])
def test_openblas_is_told_how_long_to_look_for_work_before_it_is_loaded(tmp_path, asked):
    (tmp_path / "sitecustomize.py").write_text(BLAS_PATIENCE)
    patient = environment() | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    patient |= {"OPENBLAS_THREAD_TIMEOUT": asked} if asked else {}
    done = subprocess.run(
        [sys.executable, "-m", "s2t_np", "info"], env=patient, cwd=ROOT, capture_output=True, check=False
    )
    assert done.stderr.split()[:1] == [(asked or "20").encode()]


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
