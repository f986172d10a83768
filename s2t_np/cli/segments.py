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
from ..longform.options import MODEL, StreamOptions
from ..longform.segment import Segment
from .terminal import say


def warn_if_cut_off(path: str, segment: Segment) -> None:
    """Say on stderr that the text of a segment reached the maximum length before its end."""
    if is_cut_off(segment):
        say(
            f"warning: {name_of(path)}: the text of {segment.start:.2f} to {segment.end:.2f} s was cut off after "
            f"{len(segment.tokens)} tokens; a higher --max-length gives the rest"
        )


def value_type(kind: type) -> tuple[Callable[[str], object], str]:
    """A parser for values of that type, and a metavar; `none` and `model` are values where the type has them."""
    if not isinstance(kind, types.UnionType):
        return kind, "X"
    words = {types.NoneType: ("none", None), str: (MODEL, MODEL)}
    known = dict(words[one] for one in typing.get_args(kind) if one in words)

    def number_or_word(text: str):
        try:
            return known[text.lower()] if text.lower() in known else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r:.60} is not a number or {' or '.join(sorted(known))}") from None

    return number_or_word, "|".join(["X", *known])


def add_stream_arguments(parser: ArgumentParser) -> None:
    """One option per field: a switch (and --no-NAME if it is on by default) or a value; the metadata hold its help."""
    group = parser.add_argument_group(
        "segments", f'How a recording is cut. "{MODEL}" stands for what the model itself states.'
    )
    kinds = typing.get_type_hints(StreamOptions)
    for field in dataclasses.fields(StreamOptions):
        flag, says = f"--{field.name.replace('_', '-')}", field.metadata["help"]
        if kinds[field.name] is bool:
            action = argparse.BooleanOptionalAction if field.default else "store_true"
            group.add_argument(flag, action=action, default=field.default, help=says)
        else:
            default = f"{field.default:g}" if isinstance(field.default, float | int) else field.default or "none"
            kind, metavar = value_type(kinds[field.name])
            says = f"{says} (default: {default})"
            group.add_argument(flag, type=kind, default=field.default, metavar=metavar, help=says)


def stream_options(args: Namespace) -> StreamOptions:
    """The values of those arguments. Raises OptionError for values out of range."""
    return StreamOptions(**{field.name: getattr(args, field.name) for field in dataclasses.fields(StreamOptions)})
