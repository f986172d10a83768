"""Ctrl-C while libsndfile calls Python for the bytes of a file: C cannot pass the exception on, and it is not lost."""

import signal
import sys

import pytest

from s2t_np import audio
from s2t_np.audio.containers import Part
from s2t_np.system import signals
from tests.support.paths import RECORDINGS

FIVE = RECORDINGS / "five-five.flac"


@pytest.fixture
def _as_in_the_command(monkeypatch):
    """The handler and the hook of a command, for this test."""
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    signals.begin()
    signals.raise_interrupt()
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_as_in_the_command")
@pytest.mark.parametrize("function", ["tell", "seek", "read"])
@pytest.mark.parametrize("call", [1, 2, 6])
def test_an_interrupt_between_libsndfile_and_the_file_is_raised(function, call, monkeypatch, capfd):
    calls, usual = [], getattr(Part, function)

    def interrupted(part, *arguments):
        calls.append(part)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return usual(part, *arguments)

    monkeypatch.setattr(Part, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        audio.read(FIVE, 16000)
        if len(calls) < call:  # libsndfile does not ask so often
            raise KeyboardInterrupt
    assert capfd.readouterr().err == ""
    monkeypatch.undo()
    assert len(audio.read(FIVE, 16000)) > 16000  # and not a second time


def test_other_errors_that_go_no_further_are_told_as_python_does(capfd):
    class Faulty:
        def __del__(self):
            raise ValueError("on the way out")

    hook = sys.unraisablehook
    try:
        sys.unraisablehook = signals.note_lost
        Faulty()
    finally:
        sys.unraisablehook = hook
    assert "ValueError: on the way out" in capfd.readouterr().err
