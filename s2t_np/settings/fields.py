"""Dataclass fields that know what they may hold: the rules behind config.py, generation_config.py and other options.

A rule is a test of a value, and the words for what was expected; `check_fields` holds every field of an instance to its
rule. Values come from JSON files or from a caller, so a test may meet anything.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ModelError


def rule(default: Any, expected: str, accepts: Callable[[Any], bool], optional: bool = False):
    """A dataclass field that knows what it may hold and how to say so; `optional` lets null through as well."""

    def check(value):
        return value is None if value is None and optional else value is not None and accepts(value)

    return dataclasses.field(default=default, metadata={"expected": expected + " or null" * optional, "check": check})


def is_integer(value, low=0, high=2**31 - 1):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_real(value, low=-sys.float_info.max, high=sys.float_info.max):
    """A finite number in a range: an int may be too large for a float, and NaN compares False."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_integers(value, low=0, high=2**31 - 1):
    return isinstance(value, list | tuple) and all(is_integer(v, low, high) for v in value)


def integer(default, low=0, high=2**31 - 1, optional=False):
    return rule(default, f"a whole number from {low} to {high}", lambda v: is_integer(v, low, high), optional)


def flag(default, optional=False):
    return rule(default, "true or false", lambda v: isinstance(v, bool), optional)


def text(default, optional=False):
    return rule(default, "a string", lambda v: isinstance(v, str), optional)


def side(default):
    return rule(default, '"right" or "left"', lambda v: v in ("right", "left"))


def real(default, low, high):
    return rule(default, f"a number from {low:g} to {high:g}", lambda v: is_real(v, low, high))


def is_texts(value):
    return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)


def numbers(default):
    return rule(default, "a list of numbers", lambda v: isinstance(v, tuple | list) and all(map(is_real, v)), True)


def token_ids(default):
    return rule(default, "a list of token ids", is_integers, optional=True)


def is_token_lists(value):
    """Lists of token ids, none of them empty."""
    return isinstance(value, list | tuple) and all(is_integers(ids) and len(ids) > 0 for ids in value)


def frozen(value, depth: int = 3):
    """A value with lists as tuples, down to `depth` levels."""
    return tuple(frozen(v, depth - 1) for v in value) if isinstance(value, list | tuple) and depth else value


def bounded_number(default, help: str, low: float = 0.0, optional: bool = False):
    """An option: a number of at least `low`, with a line of help for the command."""
    checked = rule(default, f"a number of at least {low:g}", lambda v: is_real(v) and v >= low, optional)
    return dataclasses.field(default=default, metadata={**checked.metadata, "help": help})


def show(value) -> str:
    """A value for a message: short, and never an error of its own (repr refuses huge integers and deep nesting)."""
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):
        return f"a huge {type(value).__name__}"


@functools.cache
def rules_of(cls) -> dict[str, Mapping]:
    """The metadata of each field of a dataclass, by its name: a rule, where it has one."""
    return {field.name: field.metadata for field in dataclasses.fields(cls)}


def check_fields(config, source: str, error: type[Exception] = ModelError) -> None:
    """Hold every field of a dataclass instance to its rule, or raise `error` naming the source and the field."""
    for name, metadata in rules_of(type(config)).items():
        value = getattr(config, name)
        if "check" in metadata and not metadata["check"](value):
            raise error(f"{source}: {name} is {show(value)}, expected {metadata['expected']}")


def from_dict(cls, data: dict, source: str):
    """Build the dataclass `cls` from the fields of `data` that it knows, and check them. Raises ModelError."""
    known = rules_of(cls)
    config = cls(**{k: frozen(v) for k, v in data.items() if k in known})
    check_fields(config, source)
    return config
