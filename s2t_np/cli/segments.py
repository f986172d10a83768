"""The options of the stream, as arguments of a sub-command: every field of StreamOptions, under its own name.

And what the command says about segments as they come.
"""

import argparse
import dataclasses
import types
import typing
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from ..audio import name_of
from ..formats import is_cut_off
from ..longform.segment import Segment
from ..longform.stream import StreamOptions
from .terminal import say


def warn_if_cut_off(path: str, segment: Segment) -> None:
    """Say on stderr that the text of a segment reached the maximum length before its end."""
    if is_cut_off(segment):
        say(
            f"warning: {name_of(path)}: the text of {segment.start:.2f} to {segment.end:.2f} s was cut off after "
            f"{len(segment.tokens)} tokens; a higher --max-length gives the rest"
        )


def value_type(kind: type) -> Callable[[str], object]:
    """A function that parses a value of that type; it also takes `none` where the value may be None."""
    if not isinstance(kind, types.UnionType):
        return kind
    one = next(one for one in typing.get_args(kind) if one is not types.NoneType)

    def number_or_none(text: str):
        try:
            return None if text.lower() == "none" else one(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r:.60} is not a number, and not none") from None

    return number_or_none


def add_stream_arguments(parser: ArgumentParser) -> None:
    """One option per field: a switch (and --no-NAME if it is on by default) or a value; the metadata hold its help."""
    group = parser.add_argument_group("segments", "How a recording is cut, and what is reported about each segment.")
    kinds = typing.get_type_hints(StreamOptions)
    for field in dataclasses.fields(StreamOptions):
        flag, says = f"--{field.name.replace('_', '-')}", field.metadata["help"]
        if kinds[field.name] is bool:
            action = argparse.BooleanOptionalAction if field.default else "store_true"
            group.add_argument(flag, action=action, default=field.default, help=says)
        else:
            says, kind = f"{says} (default: {field.default:g})", value_type(kinds[field.name])
            metavar = "X" if kind is kinds[field.name] else "X|none"
            group.add_argument(flag, type=kind, default=field.default, metavar=metavar, help=says)


def stream_options(args: Namespace) -> StreamOptions:
    """The values of those arguments. Raises OptionError for values out of range."""
    return StreamOptions(**{field.name: getattr(args, field.name) for field in dataclasses.fields(StreamOptions)})
