"""The parts of a trace: an array for every stage, and an entry that describes it and names the function that made it.

The manifest is the list of entries. Everything in an entry is read off the array and the function when the array passes
by, so it cannot disagree with the computation.
"""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[3]  # the folder that holds the package; paths in a manifest are relative to it


class Place(NamedTuple):
    """A function, or a line that calls one."""

    function: str  # s2t_np.ops.layer_norm
    file: str  # s2t_np/ops.py
    line: int


class Entry(NamedTuple):
    """One stage of a trace, as its manifest lists it. Statistics are over finite numbers; None if there are none."""

    stage: str
    shape: tuple[int, ...]
    dtype: str
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    not_finite: int  # the number of NaNs and infinities
    made_by: Place  # the function that computed it
    called_from: Place  # the line of the model that asked for it


def relative(path: str) -> str:
    """A source file's path as a manifest gives it."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def place_of(function: Callable) -> Place:
    """The place where a function is defined."""
    code = inspect.unwrap(function).__code__
    return Place(f"{function.__module__}.{function.__qualname__}", relative(code.co_filename), code.co_firstlineno)


def calling_place() -> Place:
    """The line that called the recorded function: the nearest in the model, else the one in this package."""
    frame = own = sys._getframe(2)  # the caller of the recorder
    while frame is not None and not is_model_code(frame.f_code.co_filename):
        frame = frame.f_back
    frame = frame or own
    name = f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
    return Place(name, relative(frame.f_code.co_filename), frame.f_lineno)


def is_model_code(file: str) -> bool:
    """True for a source file of the package outside this folder."""
    here = Path(__file__).parent
    return Path(file).is_relative_to(here.parents[1]) and not Path(file).is_relative_to(here)


def describe(stage: str, array: np.ndarray, made_by: Place, called_from: Place) -> Entry:
    """The entry of an array, its statistics in float64."""
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array.ravel()
    numbers = (None,) * 4
    if finite.size:
        wide = (finite.min(), finite.max(), finite.mean(dtype=np.float64), finite.std(dtype=np.float64))
        numbers = tuple(map(float, wide))
    missing = array.size - finite.size
    return Entry(stage, array.shape, array.dtype.name, *numbers, missing, made_by, called_from)


class Recorder:
    """Keeps the stages that are wanted; an array that only the recorder would need is not computed otherwise."""

    def __init__(self, wanted: Callable[[str], bool]):
        """`wanted` tells from a stage's name whether to keep it."""
        self.wanted = wanted
        self.arrays: dict[str, np.ndarray] = {}
        self.entries: dict[str, Entry] = {}
        self.prefix = ""  # "steps.007." while a decoding step runs

    def __call__(self, stage: str, made_by: Callable, array: np.ndarray | Callable[[], np.ndarray]) -> None:
        """Keep an array, or what `array()` returns, under `stage`; the first of a name stays."""
        name = self.prefix + stage
        if name in self.arrays or not self.wanted(name):
            return
        value = np.asarray(array() if callable(array) else array)
        self.arrays[name] = value
        called_from = calling_place()
        self.entries[name] = describe(name, value, place_of(made_by), called_from)
