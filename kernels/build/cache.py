"""Compiled kernels, kept between runs: one file for each build.

The file's name is a hash over everything machine code depends on: the source of every file of this package, the
versions of python, numpy, numba and llvmlite, and the processor. So it is never stale, and there is nothing to check
but that it is whole: magic, SHA-256 of the rest, and in it the name once more, for files can be copied. A file that is
truncated or damaged counts as absent.

S2T_NP_CACHE_DIR chooses the place; the default is the user's cache directory. Loading a kernel runs its code, so only
places are used that no other user can write to (`trusted_files.py` has the rule). A cache that root has prepared, in an
image say, serves every user.
"""

import contextlib
import functools
import hashlib
import importlib.util
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from .object_loader import Code
from .trusted_files import Folder, Untrusted

LONGEST_WAIT = 900.0  # seconds to wait for a process that compiles, which may have little of a busy machine
MAGIC = b"s2t-np kernels 2\n"
DIGEST = hashlib.sha256().digest_size
SOURCES = Path(__file__).parent.parent


def root() -> Path:
    """The user's cache directory by the custom of the system. Raises RuntimeError when there is no home."""
    if chosen := os.environ.get("S2T_NP_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "s2t-np" / "kernels"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "s2t-np" / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s2t-np" / "kernels"


def _mode() -> int:
    """The mode of folders that are made: a chosen place may serve several users, the default place is private."""
    return 0o755 if os.environ.get("S2T_NP_CACHE_DIR") else 0o700


def fingerprint() -> str:
    """Hash of all that the machine code depends on: 16 hexadecimal digits. Raises OSError if sources are unreadable."""
    import llvmlite
    import numpy as np

    from ..cpu import compiler_target, detect

    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES).as_posix()
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    versions = (sys.version, np.__version__, _numba_version(), llvmlite.__version__)
    cpu = detect()
    digest.update(repr((versions, compiler_target(), cpu.machine, sorted(cpu.features))).encode())
    return digest.hexdigest()[:16]


def _numba_version() -> bytes:
    """The file in which Numba keeps its version, read without importing it. Raises ImportError, OSError."""
    spec = importlib.util.find_spec("numba")
    if spec is None or spec.origin is None:
        raise ImportError("No module named 'numba'")
    return Path(spec.origin).with_name("_version.py").read_bytes()


@functools.cache
def file_name() -> str:
    """The name of this build's file."""
    return fingerprint() + ".kernels"


def pack(codes: list[Code]) -> bytes:
    """A file of object files."""
    head = [file_name(), [(code.defines, code.needs, len(code.data)) for code in codes]]
    payload = b"\n".join([json.dumps(head).encode(), b"".join(code.data for code in codes)])
    return MAGIC + hashlib.sha256(payload).digest() + payload


def unpack(data: bytes) -> list[Code] | None:
    """Return what `pack` was given, in this build; None for anything else."""
    payload = data[len(MAGIC) + DIGEST :]
    if data[: len(MAGIC) + DIGEST] != MAGIC + hashlib.sha256(payload).digest():
        return None
    head, _, code = payload.partition(b"\n")
    try:
        name, parts = json.loads(head)
        sizes = [size for _, _, size in parts]
        names_are_texts = all(isinstance(name, str) for d, n, _ in parts for name in (*d, *n))
        if name != file_name() or not names_are_texts or min(sizes, default=0) < 0 or sum(sizes) != len(code):
            return None
    except (ValueError, TypeError, RecursionError):  # a checksum that fits does not make it a file of ours
        return None
    ends = [0, *itertools.accumulate(sizes)]
    return [Code(d, n, code[ends[i] : ends[i + 1]]) for i, (d, n, _) in enumerate(parts)]


class Unkept(Exception):
    """Why compiled kernels cannot be kept."""


TROUBLE = (OSError, RuntimeError, ValueError, Untrusted)  # RuntimeError: no home; ValueError: a NUL in the name


def read() -> list[Code] | None:
    """This build's kernels, None if there are none. Raises Unkept where they cannot be read or trusted."""
    try:
        with Folder(root(), None) as folder:
            data = folder.read(file_name())
    except FileNotFoundError:
        return None
    except TROUBLE as error:
        raise Unkept(str(error)) from None
    return unpack(data) if data is not None else None


def write(codes: list[Code]) -> None:
    """Keep this build's kernels. Raises Unkept."""
    try:
        with Folder(root(), _mode()) as folder:
            folder.write(file_name(), pack(codes))
    except TROUBLE as error:
        raise Unkept(str(error)) from None


def check_writable() -> None:
    """Raise Unkept if kernels could not be kept: asked before they are compiled."""
    try:
        with Folder(root(), _mode()) as folder:
            folder.check_writable()
    except TROUBLE as error:
        raise Unkept(str(error)) from None


@contextlib.contextmanager
def turn(tell: Callable[[], None]) -> Iterator[None]:
    """Within this context no other process compiles for this cache: what many would do at once, one does for all.

    `tell` is called before this process waits for another. Raises Unkept.
    """
    try:
        folder = Folder(root(), _mode())
    except TROUBLE as error:
        raise Unkept(str(error)) from None
    with folder, folder.locked(LONGEST_WAIT, tell):
        yield


def describe() -> str:
    """Return where kernels are kept, for `info`."""
    try:
        return f"{root() / file_name()}"
    except (OSError, RuntimeError, ImportError) as error:
        return f"none ({error})"
