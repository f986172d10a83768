"""The options of the stream, as arguments of a sub-command: every field of StreamOptions, under its own name."""

import argparse
import dataclasses
import types
import typing
from argparse import ArgumentParser, Namespace

from ..stream import StreamOptions


def value_type(kind: type) -> type:
    """The type to parse a value to: the one that may also be None, or the type itself."""
    if isinstance(kind, types.UnionType):
        kind = next(one for one in typing.get_args(kind) if one is not types.NoneType)
    return kind


def add_stream_arguments(parser: ArgumentParser) -> None:
    """An option for each field: a switch (and its --no- twin where it is on) or a value; `help` is in its metadata."""
    group = parser.add_argument_group("segments", "How a recording is cut, and what is told of each segment.")
    kinds = typing.get_type_hints(StreamOptions)
    for field in dataclasses.fields(StreamOptions):
        flag, kind = f"--{field.name.replace('_', '-')}", value_type(kinds[field.name])
        says = field.metadata.get("help", "")
        if kind is bool:
            action = argparse.BooleanOptionalAction if field.default else "store_true"
            group.add_argument(flag, action=action, default=field.default, help=says)
        else:
            says = f"{says} (default: {field.default})" if field.default is not None else says
            metavar = field.metadata.get("metavar", kind.__name__.upper())
            group.add_argument(flag, type=kind, default=field.default, metavar=metavar, help=says)


def stream_options(args: Namespace) -> StreamOptions:
    """The values of those arguments. Raises OptionError for ones that mean nothing."""
    return StreamOptions(**{field.name: getattr(args, field.name) for field in dataclasses.fields(StreamOptions)})
