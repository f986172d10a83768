"""Fixtures for tests of the command."""

import pytest

from s2t_np.cli import main


@pytest.fixture
def transcribe(capsys):
    """Run `transcribe --model digits`; (exit code, stdout, stderr)."""

    def run(*argv):
        code = main(["transcribe", "--model", "digits", *map(str, argv)])
        return code, *capsys.readouterr()

    return run
