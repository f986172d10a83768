"""What a command imports: each module costs part of a millisecond at every start, numpy and LLVM much more."""

import subprocess
import sys

import pytest

from s2t_np.cli import COMMANDS
from s2t_np.cli.command import Command
from tests.support.commands import FIVE, TRANSCRIBE, environment

PROGRAM = """
import sys
from s2t_np.__main__ import main
code = main()
print(code, *sys.modules, file=sys.stderr)
"""
NOT_TO_ANSWER = {"numpy", "logging", "dataclasses", "subprocess", "s2t_np.audio", "s2t_np.model", "s2t_np.backend"}
# what a transcript of one recording with a plain checkpoint does without, beside the other commands
NOT_TO_TRANSCRIBE = {
    *("numpy.ma", "numpy.random", "scipy", "numba", "logging", "concurrent.futures", "fractions", "difflib", "shlex"),
    *("s2t_np.ensemble", "s2t_np.architectures.conformer", "s2t_np.architectures.convtransformer"),
    *("s2t_np.checkpoint.torch_zip", "s2t_np.checkpoint.torch_objects", "s2t_np.checkpoint.fairseq.checkpoint"),
    *("s2t_np.evaluation", "s2t_np.hf", "s2t_np.inspect", "s2t_np.serve", "s2t_np.training"),
}
OTHER_COMMANDS = {f"s2t_np.cli.commands.{command.module}" for command in COMMANDS} - {"s2t_np.cli.commands.transcribe"}


def imported(*argv) -> tuple[int, set[str]]:
    """The exit code of a command in a new process, and all modules that are there in the end."""
    program = [sys.executable, "-c", PROGRAM, *map(str, argv)]
    done = subprocess.run(program, env=environment(), capture_output=True, text=True, check=True)
    code, *modules = done.stderr.splitlines()[-1].split()
    return int(code), set(modules)


@pytest.mark.parametrize(("argv", "code"), [("--version", 0), ("--help", 0), ("transcrib", 2)])
def test_what_needs_no_command_imports_none(argv, code):
    found, modules = imported(argv)
    assert found == code and "s2t_np.cli" in modules
    assert not modules & {*NOT_TO_ANSWER, *OTHER_COMMANDS, "s2t_np.cli.commands.transcribe"}


def test_a_transcript_imports_only_what_it_uses():
    found, modules = imported(*TRANSCRIBE, FIVE)
    assert found == 0 and {"numpy", "s2t_np.model", "s2t_np.cli.commands.transcribe"} <= modules
    assert not modules & {*NOT_TO_TRANSCRIBE, *OTHER_COMMANDS}


def test_every_command_is_where_the_list_says():
    for listed in COMMANDS:
        command = listed.find()
        assert isinstance(command, Command) and callable(command.run), listed.name
