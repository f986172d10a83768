"""The library that makes calls fail: compiled on the spot, loaded, and told what to do through a small file."""

import ctypes
import errno
import mmap
import os
import signal
from pathlib import Path
from typing import NamedTuple

from tools import preload

SOURCE = Path(__file__).with_name("shim.c")
KINDS = (
    *("open", "read", "write", "fsync", "rename", "mkdir", "mmap"),
    *("unlink", "close", "truncate", "stat", "list", "network", "spawn", "thread", "memory"),
)
ANY = "any"  # all kinds but the last three, with one count
SIGNAL, SHORT = 1000, 2000  # as in shim.c
TEXT = 512  # bytes of a text


class Fault(NamedTuple):
    """What is to go wrong."""

    kind: str  # one of KINDS, or ANY
    error: str  # the name of an errno or of a signal; SHORT: half is read or written
    n: int = 0  # the call, from 1
    lasting: bool = False  # and all after it

    def __str__(self) -> str:
        return f"{self.kind} {self.n} {self.error}" + " from then on" * self.lasting


NONE = Fault("any", "EIO")  # calls are counted, none fails


class Order(ctypes.Structure):
    """`struct order` of shim.c."""

    _fields_ = [
        ("armed", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("n", ctypes.c_long),
        ("error", ctypes.c_int),
        ("lasting", ctypes.c_int),
        ("count", ctypes.c_long),
        ("struck", ctypes.c_int),
        ("under", ctypes.c_char * TEXT),
        ("where", ctypes.c_char * TEXT),
    ]


def why_not() -> str | None:
    """Return why faults cannot be made here; None if they can."""
    return preload.why_not("makes calls fail")


def compiled(folder: Path) -> Path:
    """The library, compiled into `folder`. Raises CalledProcessError."""
    return preload.compiled(SOURCE, folder)


def number_of(error: str) -> int:
    """The number that shim.c knows a fault by: ENOSPC, SIGKILL, SHORT."""
    if error == "SHORT":
        return SHORT
    return SIGNAL + getattr(signal, error) if error.startswith("SIG") else getattr(errno, error)


class Board:
    """The order and its counters, shared with every process that has the library loaded."""

    def __init__(self, path: Path):
        """The file, which is made if it is not there."""
        self.path = path
        if not path.exists():
            path.write_bytes(bytes(ctypes.sizeof(Order)))
        with open(path, "r+b") as file:
            self.order = Order.from_buffer(mmap.mmap(file.fileno(), 0))

    def environment(self, library: Path) -> dict[str, str]:
        """The variables of a process that is to obey."""
        return os.environ | {"LD_PRELOAD": str(library), "S2T_FAULTS": str(self.path)}

    def set(self, fault: Fault, under: Path) -> None:
        """Give the order, without arming it: it is for calls on what lies below a folder."""
        order = self.order
        order.armed, order.count, order.struck, order.where = 0, 0, 0, b""
        order.kind, order.n = (len(KINDS) if fault.kind == ANY else KINDS.index(fault.kind)), fault.n
        order.error, order.lasting, order.under = number_of(fault.error), int(fault.lasting), os.fsencode(under)

    def arm(self, on: bool = True) -> None:
        """From now on calls are counted, and fail; or every call passes."""
        self.order.armed = int(on)

    @property
    def struck(self) -> bool:
        """Whether a call was made to fail."""
        return self.order.struck > 0

    @property
    def where(self) -> str:
        """The first of them, and on what."""
        return os.fsdecode(self.order.where)
