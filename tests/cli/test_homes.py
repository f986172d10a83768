"""A home that is not there: every command does its work, and says nothing about it that is not needed."""

import logging
import os

import pytest

from s2t_np.cli.terminal import warnings_on_stderr
from tests.support.paths import DIGITS

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
MODEL = ("--model", "digits", "--backend", "numpy")
NOWHERE = "/proc/1/nowhere"  # no one can make a folder there
COMMANDS = {
    "info": ("info", *MODEL),
    "features": ("features", FIVE, "-o", "features.npy", *MODEL),
    "score": ("score", FIVE, "--text", "five five", *MODEL),
    "transcribe": ("transcribe", FIVE, "--output-dir", "out", *MODEL),
    "evaluate": ("evaluate", "table.tsv", *MODEL),
    "trace": ("trace", FIVE, "-o", "trace", *MODEL),
    "convert": ("convert", "digits", "converted"),
}


@pytest.mark.skipif(not os.path.isdir("/proc/1"), reason="needs /proc")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_home_that_is_not_there(name, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.tsv").write_text(f"id\taudio\ttext\na\t{FIVE}\tfive five\n")
    monkeypatch.setenv("HOME", NOWHERE)
    for variable in ("XDG_CACHE_HOME", "HF_HOME", "S2T_NP_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    code, _, err = run(*COMMANDS[name])
    assert code == 0 and "warning" not in err and NOWHERE not in err


def test_matplotlib_does_not_write_lines_of_its_own(capsys):
    with warnings_on_stderr():
        logging.getLogger("matplotlib").warning("created a temporary cache directory")
    assert capsys.readouterr().err == ""
