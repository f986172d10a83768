"""The memory that is left is asked before something large is made.

Linux grants memory that it does not have, and ends the process that uses it. So a MemoryError comes too late or never,
and what is large beyond doubt is refused before it is begun.
"""

import os
from pathlib import Path

UNASKED = 1 << 28  # bytes that are taken without asking
GROUPS = Path("/sys/fs/cgroup")


def lacking(needed: float) -> str | None:
    """Return words about `needed` bytes that are not there: "14.2 GB of memory, 3.1 GB are free"; None if they are."""
    if needed < UNASKED or (left := free()) is None or needed <= left:
        return None
    return f"{needed / 1e9:,.1f} GB of memory, {left / 1e9:,.1f} GB are free"


def free() -> int | None:
    """Bytes that this process may still take, None where the system does not tell."""
    told = (of_machine(), of_group(), of_process())
    return min((max(0, left) for left in told if left is not None), default=None)


def of_machine() -> int | None:
    """Bytes that all processes together may still take without swapping (proc(5))."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def of_group() -> int | None:
    """Bytes that the control group of this process may still take: a container's limit (Linux, cgroup v2)."""
    try:
        name = Path("/proc/self/cgroup").read_text(encoding="utf-8").rpartition("::/")[2].strip()
        folder = GROUPS / name
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None


def of_process() -> int | None:
    """Bytes of address space that `ulimit -v` leaves to this process."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):
        return None
    return None if limit == resource.RLIM_INFINITY else limit - taken
