"""Standard output and error: nothing in a name or text can steer a terminal; pipes and files get every byte."""

import errno
import json
import os
import shutil

import pytest

from s2t_np import cli
from s2t_np.cli import terminal
from s2t_np.formats import to_json
from tests.support.paths import DIGITS
from tests.support.terminals import Terminal

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
HOSTILE = "a\x1b]0;owned\x07\x9b31m\u202e.flac"  # sets a title, colours, turns the direction of writing
ESCAPED = r"a\x1b]0;owned\x07\x9b31m\u202e.flac"


@pytest.fixture
def hostile(tmp_path):
    """A folder with a recording whose name holds escape sequences."""
    shutil.copy(FIVE, tmp_path / HOSTILE)
    return tmp_path


def commands(folder, output):
    """Command lines that print the name of a file."""
    (folder / "table.jsonl").write_text(json.dumps({"audio": HOSTILE, "text": "nine five", "group": "g" + HOSTILE}))
    return {
        "transcribe": ("transcribe", "--model", "digits", folder),
        "json": ("transcribe", "--model", "digits", "--format", "json", folder),
        "evaluate": ("evaluate", "--model", "digits", folder / "table.jsonl", "--show-alignment"),
        "score": ("score", "--model", "digits", folder / HOSTILE, "--text", "five", "--format", "json"),
        "features": ("features", "--model", "digits", folder / HOSTILE, "-o", output / HOSTILE),
        "info": ("info", "--model", folder / HOSTILE / "no-model"),
    }


@pytest.mark.parametrize("name", ["transcribe", "json", "evaluate", "score", "features", "info"])
def test_names_cannot_steer_a_terminal(run, monkeypatch, hostile, tmp_path_factory, name):
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    _, _, err = run(*commands(hostile, tmp_path_factory.mktemp("out"))[name])
    written = screen.getvalue() + err
    assert "owned" in written
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(written)


def test_a_pipe_gets_the_name_as_it_is(run, hostile):
    code, out, _ = run("transcribe", "--model", "digits", hostile)
    assert (code, out) == (0, f"{hostile / HOSTILE}\tfive five\n")


def test_what_is_harmless_on_a_terminal():
    assert terminal.harmless(f"{HOSTILE}\tfive\n") == f"{ESCAPED}\tfive\n"
    for text in ("gr\u00fcn\u00a0\u3000\u6f22\tx\n", "plain\n", ""):
        assert terminal.harmless(text) == text
    assert terminal.harmless("a\rb\udcff\x7f") == r"a\rb\xff\x7f"
    assert terminal.visible("a\nb\tc") == r"a\nb\tc"


def test_a_message_shows_the_bytes_of_a_name_also_where_repr_has_written_them():
    name = "caf\udcc3\udca9 \udcff"  # an é as Python has it where the locale is C; a byte that is not UTF-8
    assert terminal.visible(f"{name}: {name!r:.60}") == r"café \xff: 'café \xff'"
    assert terminal.visible("half \ud800") == r"half \ud800"
    assert terminal.visible("\udcc2\udc9b31m") == r"\x9b31m"  # bytes that are a control character
    assert terminal.harmless("\udcc3\udca9\udcff\n") == "é\\xff\n"


def test_json_is_harmless_and_the_same_object():
    record = {"file": HOSTILE + "\x85\u2028", "text": "gr\u00fcn"}
    line = to_json(record)
    assert line.isprintable() and "gr\u00fcn" in line
    assert json.loads(line) == record


def test_json_has_no_halves_of_surrogate_pairs():
    """RFC 7493 forbids them; readers in Rust or PostgreSQL refuse the whole object."""
    line = to_json({"file": "caf\udcc3\udca9 \udcff\ud800"})
    assert json.loads(line.encode("utf-8")) == {"file": r"café \xff\ud800"}
    assert r"\ud" not in line.replace(r"\\ud800", "")


class Full(Terminal):
    """A stream on a full disk."""

    def flush(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_error_of_standard_output_names_it(run, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdout", Full())
    monkeypatch.setattr(cli, "lose_output", lambda: None)
    code, _, err = run("transcribe", "--model", "digits", FIVE)
    assert (code, err) == (1, "s2t-np: error: standard output: No space left on device\n")
