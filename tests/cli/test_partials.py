"""--partial: a line on the terminal that is renewed, or events in JSON; refused where it cannot be shown."""

import json

import pytest

from s2t_np.cli import main, partials
from s2t_np.longform import pace
from s2t_np.longform.partial import Partial
from tests.support.paths import DIGITS

TWO = DIGITS.parent.parent / "recordings" / "two-nine-three-four-zero.flac"
ARGV = ["transcribe", "--model", "digits", "--backend", "numpy", "--partial", "--partial-interval", "0.3"]


@pytest.fixture(autouse=True)
def hears_as_often_as_asked(monkeypatch):
    """However slow this machine is."""
    monkeypatch.setattr(pace, "BUSY", 0.0)


def test_events(capsys):
    assert main([*ARGV, str(TWO), "-f", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["partial"] * (len(kinds) - 2) + ["segment", "end"]
    assert len(kinds) >= 4
    assert events[-1] == {"event": "end", "text": "two nine three four zero", "incomplete": None}
    assert events[-2]["text"] == "two nine three four zero"
    assert events[0].keys() == {"event", "start", "end", "stable", "tentative"}
    assert events[0]["start"] == events[-2]["start"] < events[0]["end"]


def test_times_are_those_of_the_whole_recording(capsys):
    assert main([*ARGV, str(TWO), "-f", "json", "--clip", "0.2"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["start"] for event in events[:-1]} == {events[-2]["start"]}
    assert events[0]["start"] >= 0.2


def test_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main([*ARGV, str(TWO)]) == 0
    out, err = capsys.readouterr()
    assert out == "two nine three four zero\n"
    assert "\x1b[2m" in err
    assert err.endswith("\r\x1b[K")  # the line is away when the text is printed


def test_without_colours(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    partials.draw_partial(Partial(0.0, 1.0, "two \x1b[31mnine", "three"))
    partials.draw_partial(Partial(0.0, 1.0, "two", ""))
    first, second = capsys.readouterr().err.split("\r\x1b[K")[1:]
    assert first == r"two \x1b[31mnine (three)"
    assert second == "two "


@pytest.mark.parametrize(
    "stable, tentative, shown",
    [
        ("two nine", "three", ("two nine ", "three")),
        ("one two nine", "three", ("o nine ", "three")),
        ("", "three four five", ("", "ee four five")),
        ("one", "three four five", ("", "ee four five")),
    ],
)
def test_the_end_fits_the_line(stable, tentative, shown):
    assert partials.fitting(stable, tentative, 12 if stable != "two nine" else 14) == shown


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([TWO, TWO], "one recording"),
        ([TWO, "-o", "out"], "not in a file"),
        ([TWO, "-f", "srt"], "txt or json, not srt"),
        ([TWO, "-f", "json", "--channels", "each"], "follows one channel"),
        ([TWO], "needs a terminal"),
    ],
)
def test_where_it_cannot_be_shown(capsys, arguments, words):
    argv = [*ARGV, *map(str, arguments)]
    assert main(argv) == 2
    assert words in capsys.readouterr().err
