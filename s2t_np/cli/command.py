"""The definition of a sub-command, and the parsing of its arguments: nothing here needs numpy or the model."""

import argparse
import re
import shutil
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, NoReturn

from ..errors import OptionError
from .aliases import may_be_alias, suggestion, translated

HELP_FORMAT = partial(argparse.RawDescriptionHelpFormatter, max_help_position=34)
OPTION = re.compile(r"(?<=[ ,])--?[a-z][\w-]*")
OPTION_COLUMN = re.compile(r"^  (-.*?)(?:  |$)", re.MULTILINE)  # the names in a line of the help


class Command(NamedTuple):
    """The arguments and the function of one sub-command of s2t-np."""

    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]  # returns the exit code
    description: str | None = None  # the beginning of its own --help; the summary of the list if None
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

    def __init__(self, *args, find: Callable[[], Command] | None = None, **kwargs):
        """As a Parser; `find` imports the command, and is called when this parser is given arguments."""
        super().__init__(*args, **kwargs)
        self.find = find

    def complete(self) -> None:
        """Find the command and add its arguments, once."""
        if self.find is None:
            return
        command, self.find = self.find(), None
        self.description, self.epilog = command.description or self.description, command.examples
        command.add_arguments(self)
        self.set_defaults(run=command.run)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Namespace | None = None):
        """As argparse's, but nothing may be left over. Raises OptionError."""
        self.complete()
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
