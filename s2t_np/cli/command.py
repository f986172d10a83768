"""The definition of a sub-command, the parsing of its arguments, and arguments that several of them take."""

import argparse
import re
import shutil
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, NoReturn

from ..backend import DTYPES
from ..errors import HubError, OptionError
from ..loading import load
from ..model import DEFAULT_MODEL, S2T
from ..system.threads import set_threads
from .aliases import may_be_alias, suggestion, translated

HELP_FORMAT = partial(argparse.RawDescriptionHelpFormatter, max_help_position=34)
OPTION = re.compile(r"(?<=[ ,])--?[a-z][\w-]*")
OPTION_COLUMN = re.compile(r"^  (-.*?)(?:  |$)", re.MULTILINE)  # the names in a line of the help


class Command(NamedTuple):
    """One sub-command of s2t-np."""

    name: str
    summary: str  # a phrase for the list of commands
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]  # returns the exit code
    description: str | None = None  # the beginning of its own --help; the summary if None
    examples: str | None = None  # the end of its own --help


def filled(text: str | None, width: int) -> str | None:
    """Text with its paragraphs broken at the width; lines that begin with a space are examples and stay."""
    if text is None:
        return None
    blocks = []
    for block in re.findall(r"(?:^ .*\n?)+|(?:^\S.*\n?)+|^\n", text, re.MULTILINE):
        prose = block[0] not in " \n"
        blocks.append(textwrap.fill(block, width, break_on_hyphens=False) + "\n" if prose else block)
    return "".join(blocks).rstrip()


class Parser(ArgumentParser):
    """A parser that raises OptionError, one line, where argparse would print its usage and exit."""

    def __init__(self, *args, **kwargs):
        """As argparse's, without abbreviations: a script that uses one would break when an option is added."""
        super().__init__(*args, **kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises OptionError."""
        raise OptionError(f"{message} ({self.prog} --help lists what there is)")

    def format_help(self) -> str:
        """The help, in the width of the terminal."""
        width = shutil.get_terminal_size().columns - 2
        self.description, self.epilog = filled(self.description, width), filled(self.epilog, width)
        return super().format_help()

    def options(self) -> set[str]:
        """The names of all options, as the help lists them."""
        return {name for names in OPTION_COLUMN.findall(super().format_help()) for name in OPTION.findall(f" {names}")}


class CommandParser(Parser):
    """The parser of one sub-command: it also takes options under whisper's names, and explains unknown ones."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Namespace | None = None):
        """As argparse's, but nothing may be left over. Raises OptionError."""
        given = list(args or ())
        if any(map(may_be_alias, given)):
            given = translated(given, self.options())
        found, unknown = super().parse_known_args(given, namespace)
        if unknown:
            self.refuse(unknown)
        return found, unknown

    def refuse(self, unknown: list[str]) -> NoReturn:
        """Raise OptionError for arguments that mean nothing to this command."""
        options = [argument.partition("=")[0] for argument in unknown if argument.startswith("-")]
        if not options:
            self.error(f"there is one argument too many: {unknown[0]!r:.80}")
        hint = suggestion(options[0], self.options())
        self.error(f"unknown option{'s' * (len(options) > 1)} {', '.join(options):.80}{hint}")


def add_format(parser: ArgumentParser) -> None:
    """--format txt|json."""
    parser.add_argument(
        "--format", choices=["txt", "json"], default="txt", help="print lines of text or one JSON object"
    )


def add_model_arguments(parser: ArgumentParser, default: str | None = DEFAULT_MODEL) -> None:
    """--model, --revision, --backend, --dtype, --threads."""
    group = parser.add_argument_group("model")
    says = (
        f"digits (bundled; it knows the ten English digits), a folder, a .pt of fairseq's, or a hub id (default: "
        f"{default}; it writes English in lower case without punctuation); A:B averages the probabilities of both"
    )
    group.add_argument("--model", metavar="NAME", default=default, help=says if default else "the model to describe")
    group.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub id")
    group.add_argument("--backend", default="auto", help="numba, numpy or auto (default): numba if installed")
    says = "float32 (default), float64 with numpy; weights kept in float16 or int8 with numba"
    group.add_argument("--dtype", default="float32", choices=list(DTYPES), help=says)
    group.add_argument("--threads", metavar="N", type=int, help="default: as many as this process may use")


def load_model(args: Namespace) -> S2T:
    """The model that the arguments name; its calls use the number of threads they give.

    Raises ModelError, BackendError, OptionError.
    """
    set_threads(args.threads)
    try:
        return load(args.model, backend=args.backend, dtype=args.dtype, revision=args.revision)
    except HubError as error:
        if args.model != DEFAULT_MODEL:
            raise
        raise HubError(f"{error}; `--model digits` runs the small bundled model") from error
