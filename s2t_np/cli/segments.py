"""The options of the stream, as arguments of a sub-command: every field of StreamOptions, under its own name."""

import argparse
import dataclasses
import types
import typing
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from ..longform.options import MODEL, StreamOptions


def value_type(kind: type) -> tuple[Callable[[str], object], str]:
    """A parser for values of that type, and a metavar; `none` and `model` are values where the type has them."""
    if not isinstance(kind, types.UnionType):
        return kind, "X"
    words = {types.NoneType: ("none", None), str: (MODEL, MODEL)}
    known = dict(words[one] for one in typing.get_args(kind) if one in words)

    def number_or_word(text: str):
        return known[text.lower()] if text.lower() in known else float(text)

    return number_or_word, "|".join(["X", *known])


def add_stream_arguments(parser: ArgumentParser) -> None:
    """An option for each field: a switch (and its --no- twin if it is on) or a value; `help` is in its metadata."""
    group = parser.add_argument_group(
        "segments", f'How a recording is cut, and what is reported of each segment. "{MODEL}": as the model has it.'
    )
    kinds = typing.get_type_hints(StreamOptions)
    for field in dataclasses.fields(StreamOptions):
        flag, says = f"--{field.name.replace('_', '-')}", field.metadata["help"]
        if kinds[field.name] is bool:
            action = argparse.BooleanOptionalAction if field.default else "store_true"
            group.add_argument(flag, action=action, default=field.default, help=says)
        else:
            default = field.default if field.default == MODEL else f"{field.default:g}"
            kind, metavar = value_type(kinds[field.name])
            says = f"{says} (default: {default})"
            group.add_argument(flag, type=kind, default=field.default, metavar=metavar, help=says)


def stream_options(args: Namespace) -> StreamOptions:
    """The values of those arguments. Raises OptionError for ones that mean nothing."""
    return StreamOptions(**{field.name: getattr(args, field.name) for field in dataclasses.fields(StreamOptions)})
