"""What all commands share: --version, and a help that fits the terminal."""

import pytest

import s2t_np
from s2t_np import cli
from s2t_np.cli.command import filled


def test_version_and_help(run):
    assert run("--version") == (0, f"s2t-np {s2t_np.__version__}\n", "")
    code, out, _ = run("--help")
    assert code == 0
    words = " ".join(out.split())
    assert all(f" {command.name} {command.summary} " in words for command in cli.COMMANDS)


@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_the_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for argv in ((), *((command.name,) for command in cli.COMMANDS)):
        code, out, err = run(*argv, "--help")
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) < columns
    assert max(map(len, run("transcribe", "--help")[1].splitlines())) > columns - 4  # wider terminals have longer lines


def test_there_is_one_command_for_translation(run):
    code, out, err = run("translate", "talk.flac")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "choose it with --model, its language with --lang (s2t-np transcribe --model NAME ...)" in err
    assert "translate, so this is the command for translation" in " ".join(run("transcribe", "--help")[1].split())


def test_prose_is_filled_and_examples_stay():
    text = "one two\nthree four\n\nexamples:\n  s2t-np transcribe talk.wav\n  second\n\nexit codes: 0 ok\n1 not"
    assert filled(text, 12) == (
        "one two\nthree four\n\nexamples:\n  s2t-np transcribe talk.wav\n  second\n\nexit codes:\n0 ok 1 not"
    )
    assert filled("one two three four", 9) == "one two\nthree\nfour"
    assert filled(None, 9) is None
