"""The scripts of the walkthrough as modules; running one is running all its assertions."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT / "walkthrough"


def load(name: str) -> ModuleType:
    """Run a script and return it as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def without_pictures(name: str) -> Iterator[ModuleType]:
    """The same, as if matplotlib were not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        yield load(name)
