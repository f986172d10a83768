"""Numba's names, for modules that must be importable without Numba.

Importing Numba and waking its compiler takes longer than transcribing ten seconds of speech, and where every kernel is
in the cache nobody needs it. So what kernels say in Numba's words when they are imported (signatures, intrinsics) is
only written down, as a `Late`, and looked up when the first of them must be compiled: then `wake` is called, which runs
what was put off with `when_compiling` and puts in the place of every Late, in all modules, what it stands for. From
that moment on names are looked up at once.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType


class Late:
    """An expression over Numba's names that has not been evaluated yet."""

    def __init__(self, evaluate: Callable):
        self._evaluate, self._known = evaluate, []

    def _now(self):
        if not self._known:
            self._known.append(self._evaluate())
        return self._known[0]

    def __getattr__(self, name: str):
        return later(lambda: getattr(self._now(), name))

    def __getitem__(self, key):
        return later(lambda: self._now()[now(key)])

    def __call__(self, *arguments):
        return later(lambda: self._now()(*map(now, arguments)))


_awake, _put_off = False, []


def later(evaluate: Callable):
    return evaluate() if _awake else Late(evaluate)


def now(value):
    """What a Late stands for, also in lists and tuples; anything else is itself."""
    if type(value) in (list, tuple):
        return type(value)(map(now, value))
    return value._now() if type(value) is Late else value


def name_of(module: str, name: str) -> Late:
    """`from module import name`, when it is needed."""
    return Late(lambda: getattr(importlib.import_module(module), name))


def when_compiling(task: Callable) -> None:
    """Run `task()` before anything is compiled: what Numba must be taught first."""
    if _awake:
        task()
    else:
        _put_off.append(task)


def wake() -> None:
    """Import Numba, run what was put off, and put in the place of every Late what it stands for."""
    global _awake  # noqa: PLW0603 - a process wakes once
    if _awake:
        return
    _awake = True
    for task in _put_off:
        task()
    for module in list(sys.modules.values()):
        if type(module) is ModuleType:
            names = vars(module)
            names.update({name: now(value) for name, value in names.items() if type(value) is Late})


def declared(evaluate: Callable):
    """What `evaluate()` gives, which teaches Numba something and so is called before anything is compiled."""
    made = later(evaluate)
    when_compiling(lambda: now(made))
    return made


def intrinsic(function: Callable):
    """numba.extending.intrinsic, as a decorator."""
    return declared(lambda: name_of("numba.extending", "intrinsic")(function))


types, cgutils = name_of("numba", "types"), name_of("numba.core", "cgutils")
