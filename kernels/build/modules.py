"""All device code there is. To import this is to import Numba."""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from . import device
from .entry import PACKAGE
from .object_loader import Code

ROOMS = (
    "simd",
    "ops",
    "decoder",
    "encoder",
)  # whose modules are device code, except those whose names end in `host` or `columns`


def device_functions() -> dict[str, Callable[[], Code]]:
    """The functions that compile, by name."""
    for room in ROOMS:
        for module in pkgutil.iter_modules([str(Path(__file__).parent.parent / room)]):
            if not module.name.endswith(("host", "columns")):
                importlib.import_module(f"{PACKAGE}.{room}.{module.name}")
    return device.functions
