"""The options of the stream, as arguments of a sub-command: every field of StreamOptions, under its own name."""

import argparse
import dataclasses
import types
import typing
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from ..longform.stream import StreamOptions


def value_type(kind: type) -> Callable[[str], object]:
    """What parses a value of that type; `none` where it may be None."""
    if not isinstance(kind, types.UnionType):
        return kind
    one = next(one for one in typing.get_args(kind) if one is not types.NoneType)

    def number_or_none(text: str):
        return None if text.lower() == "none" else one(text)

    return number_or_none


def add_stream_arguments(parser: ArgumentParser) -> None:
    """An option for each field: a switch (and its --no- twin where it is on) or a value; `help` is in its metadata."""
    group = parser.add_argument_group("segments", "How a recording is cut, and what is told of each segment.")
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
    """The values of those arguments. Raises OptionError for ones that mean nothing."""
    return StreamOptions(**{field.name: getattr(args, field.name) for field in dataclasses.fields(StreamOptions)})
