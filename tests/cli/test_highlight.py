"""Uncertain words in colour: which ones, and where nobody wants colours."""

import io
import re

import pytest

from s2t_np.cli import main
from s2t_np.cli.highlight import coloured, has_colours, highlighted
from s2t_np.formats import STREAMED, Layout
from s2t_np.longform.segment import Segment, Word
from tests.support.paths import DIGITS
from tests.support.terminals import Terminal

TWO = DIGITS.parent.parent / "recordings" / "two-nine-three-four-zero.flac"
COMMAND = ["transcribe", "--model", "digits", "--highlight"]


def word(probability, text="five"):
    return Word(text, 0.0, 1.0, probability)


def test_words_cannot_steer_the_terminal():
    assert coloured(word(0.1, "a\x1b[2J")) == "\x1b[31ma\\x1b[2J\x1b[39m"
    shown = "".join(highlighted([segment([word(0.95)], "b\x1bc")]))
    assert shown == "five\nb\\x1bc\n"


def segment(words, *others):
    text = " ".join(w.text for w in words)
    return Segment(0, 0.0, 1.0, text, (), -0.1, 1.0, tuple(words), texts=(text, *others))


@pytest.mark.parametrize(
    "probability, colour", [(0.0, "31"), (0.69, "31"), (0.7, "33"), (0.89, "33"), (0.9, None), (1.0, None)]
)
def test_the_less_probable_the_warmer(probability, colour):
    assert coloured(word(probability)) == ("five" if colour is None else f"\x1b[{colour}mfive\x1b[39m")


def test_without_its_colours_it_is_the_txt_format():
    segments = [segment([word(0.1), word(0.8, "six"), word(0.95, "two")], "five six"), segment([])]
    text = "".join(highlighted(segments))
    assert text.count("\x1b[3") == 4  # two words, on and off
    assert re.sub(r"\x1b\[\d+m", "", text) == "".join(STREAMED["txt"](segments, Layout()))


@pytest.mark.parametrize(
    "stream, environment, wanted",
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),  # no-color.org: present and not empty
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_who_wants_colours(stream, environment, wanted):
    assert has_colours(stream, environment) == wanted


def test_the_command_colours_on_a_terminal_only(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main([*COMMAND, str(TWO)]) == 0
    assert capsys.readouterr().out == "two nine three four zero\n"
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    assert main([*COMMAND, str(TWO)]) == 0
    assert " three \x1b[31mfour\x1b[39m \x1b[33mzero\x1b[39m" in terminal.getvalue()  # 0.91, 0.65, 0.88


@pytest.mark.parametrize("more", [[str(TWO)], ["--format", "json"], ["--output-dir", "out"], ["--output", "out.txt"]])
def test_what_cannot_be_coloured_is_refused(more, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*COMMAND, str(TWO), *more]) == 2
    assert "--highlight" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
