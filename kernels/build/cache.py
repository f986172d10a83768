"""Compiled kernels, kept between runs.

Numba's own cache watches the file a function stands in; an edited helper in another file goes unnoticed, and an error
while saving kills the call. Here the directory's name is a hash over everything machine code depends on: the source of
every file of this package, the versions of python, numpy, numba and llvmlite, and the processor. Nothing in such a
directory is ever stale, so there is nothing to check but that a file is whole.

One file a kernel: magic, SHA-256 of the rest, the rest. It is written to a temporary name and renamed, so processes
that race each write a whole file and the last one stays. A file that cannot be read, is truncated or damaged counts as
absent; a directory that cannot be written costs one warning, and kernels are compiled anew in every run.

S2T_NP_CACHE_DIR chooses the place; the default is the user's cache directory. Loading a kernel runs its code, so a
directory that belongs to another user is not used.
"""

import functools
import hashlib
import importlib.util
import os
import sys
import tempfile
import warnings
from pathlib import Path

MAGIC = b"s2t-np kernel 1\n"


def default_root() -> Path:
    """The user's cache directory by the custom of the system. Raises RuntimeError when there is no home."""
    if chosen := os.environ.get("S2T_NP_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "s2t-np" / "kernels"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "s2t-np" / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s2t-np" / "kernels"


def fingerprint() -> str:
    """Hash of all that the machine code depends on: 16 hexadecimal digits. Raises OSError if sources are unreadable."""
    import llvmlite
    import numpy as np

    from ..cpu import compiler_target, detect

    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.parent.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    versions = (sys.version, np.__version__, _numba_version(), llvmlite.__version__)
    cpu = detect()
    digest.update(repr((versions, compiler_target(), cpu.machine, sorted(cpu.features))).encode())
    return digest.hexdigest()[:16]


def _numba_version() -> bytes:
    """The file in which Numba keeps its version, read without importing it. Raises ImportError, OSError."""
    spec = importlib.util.find_spec("numba")
    if spec is None:
        raise ImportError("No module named 'numba'")
    return Path(spec.origin).with_name("_version.py").read_bytes()


def warn(reason) -> None:
    """The one warning there is, however many kernels meet the trouble."""
    if not warn.given:
        warn.given = True
        text = f"compiled kernels are not kept ({reason}); every run compiles anew. S2T_NP_CACHE_DIR chooses a place"
        warnings.warn(text, RuntimeWarning, stacklevel=2)


warn.given = False


def _trusted(path: Path) -> bool:
    """Whether only this user or root can have put files there."""
    return not hasattr(os, "getuid") or path.stat().st_uid in (0, os.getuid())


@functools.cache
def directory() -> Path | None:
    """Where this build's kernels lie, made if need be; None (and a warning) when there is no such place."""
    try:
        path = default_root() / fingerprint()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _trusted(path):
            return path
        warn(f"{path} belongs to another user")
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: no home; ValueError: a NUL in the name
        warn(error)
    return None


def read(name: str) -> bytes | None:
    """What was stored under that name, or None if nothing whole was."""
    if (folder := directory()) is None:
        return None
    try:
        raw = (folder / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        warn(error)
        return None
    head, digest, payload = raw[: len(MAGIC)], raw[len(MAGIC) : len(MAGIC) + 32], raw[len(MAGIC) + 32 :]
    return payload if head == MAGIC and hashlib.sha256(payload).digest() == digest else None


def write(name: str, payload: bytes) -> None:
    """Store under that name, whole or not at all; trouble is a warning."""
    if (folder := directory()) is None:
        return
    try:
        handle, temporary = tempfile.mkstemp(prefix=name, suffix=".part", dir=folder)
        try:
            with open(handle, "wb") as file:
                file.write(MAGIC + hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, folder / name)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        warn(error)
