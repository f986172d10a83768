"""A package of kernels with this project's machinery and one kernel of its own, compiled in two seconds.

y = 3 x, where 3 comes from a helper in another file, and a linked function lies between.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

HELPER = '''"""A helper."""
from ..build.device import inlined

@inlined
def factor():
    """Three."""
    return 3.0
'''
SCALE = '''"""Device code."""
from ..build.arguments import Floats, OutFloats, Single
from ..build.device import entry, linked
from .helper import factor
from .host import ScaleCall

@linked
def scale_one(x: Floats, y: OutFloats, place: int, by: Single):
    """y[place] = x[place] by."""
    y[place] = x[place] * by

@entry
def scale(call: ScaleCall):
    """y = 3 x."""
    for i in range(call.count):
        scale_one(call.x, call.y, i, call.one * factor())
'''
HOST = '''"""The host's side."""
from typing import NamedTuple
from ..build.arguments import Floats, OutFloats, Single
from ..build.entry import Entry

class ScaleCall(NamedTuple):
    """What `scale` takes."""
    x: Floats
    y: OutFloats
    count: int
    one: Single

scale = Entry("ops.scale", "scale", ScaleCall)
'''
PROGRAM = """
import sys, warnings
import numpy as np
from s2t_np_kernels.build import runtime
from s2t_np_kernels.ops.host import scale
x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
scale(x, y, 3, 1.0)
print(y.tolist(), runtime.statistics["loaded"], "loaded", runtime.statistics["compiled"], "compiled,",
      "with" if "numba" in sys.modules else "without", "numba")
"""
RIGHT = "[0.0, 3.0, 6.0, 0.0]"
COMPILED, LOADED = "0 loaded 2 compiled", "2 loaded 0 compiled"


class Tiny:
    """The package in a folder, and a cache beside it."""

    def __init__(self, folder: Path):
        self.folder, self.cache, self.kernels = folder, folder / "cache", folder / "kernels"
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "kernels" / "build", self.kernels / "build", ignore=without)
        for name in ("__init__.py", "cpu.py", "forks.py", "layout.py"):
            shutil.copy(ROOT / "kernels" / name, self.kernels)
        shutil.copy(ROOT / "s2t_np_kernels.py", folder)
        for room in ("simd", "decoder", "encoder", "ops"):
            (self.kernels / room).mkdir()
            (self.kernels / room / "__init__.py").write_text('"""A room."""\n')
        for name, text in (("helper", HELPER), ("scale", SCALE), ("host", HOST)):
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Put a module into ops/."""
        (self.kernels / "ops" / f"{name}.py").write_text(text)

    def command(self, program: str) -> list[str]:
        """What runs a program with this package; `-B` keeps a module edited twice in a second from being stale."""
        return [sys.executable, "-B", "-c", program]

    def environment(self, **more: str) -> dict[str, str]:
        return os.environ | {"S2T_NP_CACHE_DIR": str(self.cache), "PYTHONPATH": str(self.folder)} | more

    def run(self, program: str = PROGRAM, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """One process."""
        return subprocess.run(
            self.command(program),
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=120,
            check=check,
        )

    def files(self) -> list[Path]:
        """What is in the cache."""
        return [path for path in self.cache.rglob("*") if path.is_file()]
