"""The command `s2t-np`: its sub-commands are in `commands/`; here and in the files beside is what they share.

A sub-command is a `Command` (command.py): its arguments, its function. To add one, write it in `commands/` and list it
there in COMMANDS. It is imported when it is asked for, so that `s2t-np --help` needs neither numpy nor the model.

    0  done                                   3  the model or backend is refused
    1  some inputs failed, the rest is done   130  interrupted (SIGTERM: 143, SIGHUP: 129)
    2  the command line is wrong              141  the reader of the output has closed it (`| head -1`)
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..errors import BackendError, ModelError, OptionError, S2TError
from ..system import signals
from ..system.helpers import NO_THREADS, is_lack_of_threads
from .aliases import TASK, suggestion
from .command import HELP_FORMAT, CommandParser, Parser
from .commands import COMMANDS
from .terminal import flush_output, guard_streams, lose_output, say, warnings_on_stderr

OK, FAILED, USAGE, REFUSED, CLOSED = 0, 1, 2, 3, 141
EXAMPLES = """\
examples:
  s2t-np transcribe talk.flac                     print the text
  s2t-np transcribe --model digits digits.wav     use the small bundled model
  s2t-np transcribe recordings/ --output-dir out  write a file per recording
  s2t-np transcribe --help                        list all options of a command

exit codes: 0 ok, 1 some inputs failed (the rest is done), 2 usage, 3 model refused, 130 interrupted"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, with one sub-parser per command."""
    parser = Parser(
        "s2t-np", description="Speech to text with the S2T transformer.", epilog=EXAMPLES, formatter_class=HELP_FORMAT
    )
    parser.add_argument("--version", action="version", version=f"s2t-np {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=CommandParser)
    for command in COMMANDS:
        commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            formatter_class=HELP_FORMAT,
            find=command.find,
        )
    return parser


def import_command(argv: Sequence[str]) -> None:
    """Import the command that a command line asks for, with numpy and all that it needs at once, if it is one."""
    for command in COMMANDS:
        if command.name in argv[:1]:
            command.find()


def check_command(argv: Sequence[str]) -> None:
    """Raise OptionError, with the likely remedy, for a command line that does not begin with a command."""
    names = [command.name for command in COMMANDS]
    first = argv[0] if argv else "-h"
    if first in (*names, "-h", "--help", "--version"):
        return
    if chosen := [argument for argument in argv if argument in names]:
        raise OptionError(f"the command comes first: s2t-np {chosen[0]} {first:.60} ...")
    if first == "translate":
        raise OptionError(f"'translate' is not a command: {TASK} (s2t-np transcribe --model NAME ...)")
    hint = suggestion(first, names) or f"; did you mean s2t-np transcribe {first:.60}?"
    raise OptionError(f"{first!r:.60} is not a command{hint} (s2t-np --help lists what there is)")


def parse_and_run(argv: Sequence[str] | None) -> int:
    """Parse, run the chosen command, make sure that its output has left. Raises whatever goes wrong."""
    argv = sys.argv[1:] if argv is None else argv
    check_command(argv)
    try:
        args = build_parser().parse_args(argv)
        code = args.run(args)
    except SystemExit as done:  # --help and --version
        code = int(done.code or 0)
    flush_output()
    return code


def exit_code(error: BaseException) -> int:
    """The exit code for one of our own errors."""
    if isinstance(error, OptionError):
        return USAGE
    return REFUSED if isinstance(error, ModelError | BackendError) else FAILED


def guarded(run: Callable[[], int]) -> int:
    """Call `run`; signals, and errors that a user or the machine can cause, become one line and an exit code."""
    try:
        signals.raise_interrupt()
        code = without_errors(run)
        signals.end()
        return code
    except KeyboardInterrupt as interrupt:  # may say how to go on
        say("; ".join([signals.word(), *map(str, interrupt.args)]))
        signals.end(told=True)
        return signals.exit_code()


def without_errors(run: Callable[[], int]) -> int:
    """Call `run`; its errors become one line on stderr and an exit code. Raises KeyboardInterrupt."""
    try:
        return run()
    except S2TError as error:
        say(f"error: {error}")
        return exit_code(error)
    except BrokenPipeError:
        lose_output()
        return CLOSED
    except OSError as error:  # a full disk, a folder that is not writable; reading has its own errors
        where = error.filename2 or error.filename or "an output file"  # a copy has two: where to comes second
        say(f"error: {where}: {error.strerror or error}")
        lose_output()
        return FAILED
    except MemoryError:
        say("error: not enough memory")
        return FAILED
    except RuntimeError as error:
        if not is_lack_of_threads(error):
            raise
        say(f"error: {NO_THREADS}; try --jobs 1 --threads 1")
        return FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process); returns the exit code."""
    guard_streams()
    with warnings_on_stderr():
        return guarded(lambda: parse_and_run(argv))


__all__ = ["COMMANDS", "build_parser", "import_command", "main"]
