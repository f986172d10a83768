"""What a sub-command is, and the arguments that several of them take."""

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, NoReturn

from ..backend import DTYPES
from ..errors import HubError, OptionError
from ..model import DEFAULT_MODEL, S2T, load
from ..system.threads import set_threads

HELP_FORMAT = partial(argparse.RawDescriptionHelpFormatter, max_help_position=34)


class Command(NamedTuple):
    """One sub-command of s2t-np."""

    name: str
    summary: str  # a phrase for the list of commands
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]  # returns the exit code
    description: str | None = None  # begins its own --help; the summary if None
    examples: str | None = None  # ends it


class Parser(ArgumentParser):
    """A parser that raises OptionError, one line, where argparse would print its usage and leave."""

    def __init__(self, *args, **kwargs):
        """As argparse's, without abbreviations: a script that uses one breaks when an option is added."""
        super().__init__(*args, **kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises OptionError."""
        raise OptionError(f"{message} ({self.prog} --help lists what there is)")


def add_model_arguments(parser: ArgumentParser, default: str | None = DEFAULT_MODEL) -> None:
    """--model, --revision, --backend, --dtype, --threads."""
    group = parser.add_argument_group("model")
    says = f"digits (bundled), a folder, or a hub id (default: {default})" if default else "the model to describe"
    group.add_argument("--model", metavar="NAME", default=default, help=says)
    group.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub id")
    group.add_argument("--backend", default="auto", help="numba, numpy or auto (default): numba where installed")
    says = "float32 (default), float64 with numpy; weights kept in float16 or int8 with numba"
    group.add_argument("--dtype", default="float32", choices=list(DTYPES), help=says)
    group.add_argument("--threads", metavar="N", type=int, help="default: the processors this process may use")


def load_model(args: Namespace) -> S2T:
    """The model that the arguments name; its calls use as many threads as they say.

    Raises ModelError, BackendError, OptionError.
    """
    set_threads(args.threads)
    try:
        return load(args.model, backend=args.backend, dtype=args.dtype, revision=args.revision)
    except HubError as error:
        if args.model != DEFAULT_MODEL:
            raise
        raise HubError(f"{error}; `--model digits` runs the small bundled model") from error
