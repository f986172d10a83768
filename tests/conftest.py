"""What holds for the whole suite: the command line as a fixture; programs started by tests can be interrupted.

A shell that starts a job in the background (`&`) lets it ignore SIGINT, nohup lets it ignore SIGHUP, and programs
inherit that.
"""

import signal
import sys
import threading
import time

import pytest

from s2t_np.audio.ffmpeg import has_ffmpeg
from s2t_np.cli import main
from s2t_np.system import threads

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def run(capsys):
    """Run the command line; (exit code, stdout, stderr)."""

    def run(*argv):
        code = main([str(a) for a in argv])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(autouse=True)
def threads_as_before():
    """A test that chooses the number of threads leaves no trace of it."""
    yield
    threads.set_threads(None)


@pytest.fixture(autouse=True, scope="module")
def no_limit_stays():
    """Every thread of a file of tests has ended with it: one that stays would limit OpenBLAS for all later tests."""
    yield
    end = time.monotonic() + 10
    while threads._process.held and time.monotonic() < end:
        time.sleep(0.01)
    assert threads._process.held == [], sorted(thread.name for thread in threading.enumerate())


@pytest.fixture
def without_pyav(monkeypatch):
    """PyAV seems not to be installed."""
    monkeypatch.setitem(sys.modules, "av", None)
    has_ffmpeg.cache_clear()
    yield
    has_ffmpeg.cache_clear()
