"""The progress bar: what it says, that it fits the line, and when it is drawn."""

import io

import pytest

from s2t_np.batch.inputs import Input
from s2t_np.cli import main, progress, terminal
from s2t_np.cli.progress import Progress, clock
from s2t_np.longform.segment import Segment
from tests.support.paths import DIGITS
from tests.support.terminals import Terminal

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE, TWO = RECORDINGS / "five-five.flac", RECORDINGS / "two-nine-three-four-zero.flac"


@pytest.fixture
def wide(monkeypatch):
    """A terminal of 120 columns."""
    monkeypatch.setenv("COLUMNS", "120")


def test_the_bar_says_how_far_how_fast_and_how_long(wide):
    inputs = [Input(str(path), "name") for path in (FIVE, TWO, "gone.wav")]
    bar = Progress(inputs)
    bar.length, bar.total = [10.0, 30.0, 0.0], 40.0
    assert bar.line(0.0) == f"[{'.' * 20}] 0/3 inputs, 0 %: five-five.flac"
    bar.heard(inputs[1], Segment(0, 0.0, 10.0, "", (), 0.0, 1.0))
    assert bar.line(5.0) == f"[#####{'.' * 15}] 0/3 inputs, 25 %, 2.0 x real time, 0:15 left: {TWO.name}"
    bar.finished(1, inputs[1], 40.0)  # longer than it claimed
    bar.finished(0, inputs[0], None)  # failed
    bar.finished(2, inputs[2], None)
    assert bar.line(25.0) == f"[{'#' * 20}] 3/3 inputs, 100 %, 2.0 x real time: gone.wav"


def test_a_name_that_does_not_fit_loses_its_beginning(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    line = Progress([Input("/a/folder/" + "x" * 80 + "-take7.wav", "name")]).line(0.0)
    assert line.endswith("xx-take7.wav")
    assert "0 %: ..." in line
    assert len(line) == 60 - len("^C") - 1  # an interrupt echoes ^C, which must not begin another line
    assert progress.shortened("12345", "name.wav", 7) == "12345"


def test_a_clock():
    assert [clock(s) for s in (-1, 0, 59.6, 3599, 3600)] == ["0:00", "0:00", "1:00", "59:59", "1:00:00"]


@pytest.mark.parametrize("stdout, bars", [(io.StringIO, True), (Terminal, False)])
def test_one_recording_has_a_bar_where_its_text_goes_elsewhere(monkeypatch, stdout, bars):
    out, err = stdout(), Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    assert main(["transcribe", "--model", "digits", "--format", "srt", str(FIVE)]) == 0
    assert "five five" in out.getvalue()
    assert ("0/1 inputs" in err.getvalue()) == bars
    assert err.getvalue().endswith(terminal.ERASE_LINE)


def test_a_text_that_was_cut_off_is_told_of(run, tmp_path):
    cut = ("transcribe", "--model", "digits", "--max-length", 3)
    says = "was cut off after 2 tokens; a higher --max-length gives the rest\n"
    code, out, err = run(*cut, TWO)
    assert (code, out) == (0, "two nine [...]\n")
    assert err.startswith(f"s2t-np: warning: {TWO}: the text of 0.") and err.endswith(says)
    code, _, err = run(*cut, TWO, "-o", tmp_path)
    assert (code, err.count(says)) == (0, 1)
