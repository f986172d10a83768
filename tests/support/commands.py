"""The command as a process of its own: its environment, its start and its end."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import DIGITS, ROOT

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
TRANSCRIBE = ("transcribe", "--model", "digits")
posix = pytest.mark.skipif(os.name != "posix", reason="signals, pipes and terminals as POSIX has them")


def environment(**more):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    return inherited | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def start(*argv, **kwargs):
    """The process of a command line; stdout and stderr are pipes unless told otherwise."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | kwargs
    pipes.setdefault("env", environment())
    return subprocess.Popen([sys.executable, "-m", "s2t_np", *map(os.fsencode, argv)], **pipes)


def finish(process, data=None):
    """(exit code, stdout, stderr) of a process, as bytes; one that does not end is killed, and the test fails."""
    try:
        out, err = process.communicate(data, timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err
