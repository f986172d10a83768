"""In a clone: the name under which the folder kernels/ is installed.

An installed package gets kernels/ itself under this name (pyproject.toml says so), because a package that other
programs import is called `kernels` too.
"""

from pathlib import Path

__path__ = [str(Path(__file__).with_name("kernels"))]
