"""A processor of 2014 for everyone: the library that answers `cpuid`, and the proof that AVX-512 is not used.

`held_cpuid.c` says how. It holds those who ask the processor itself, which no environment variable does. Linux also
keeps, for each thread, when it was last switched away from with registers of AVX-512 in use (`/proc/TID/arch_status`),
so that what really ran can be seen from outside.
"""

import ctypes
import os
import platform
import time
from pathlib import Path

from s2t_np_kernels.cpu import ARCH_PRCTL

from tools import preload

SOURCE = Path(__file__).with_name("held_cpuid.c")
ARCH_GET_CPUID = 0x1011  # 0: `cpuid` faults
LOADER_SETS = ("AVX512F", "AVX512VL", "AVX512BW", "AVX512CD", "AVX512DQ")  # by which memcpy and the like are chosen
TUNABLES = "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in LOADER_SETS)


def why_not() -> str | None:
    """Return why `cpuid` cannot be answered in the processor's place here; None if it can."""
    flags = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not flags.exists() or "cpuid_fault" not in flags.read_text():
        return "needs Linux on a processor whose cpuid can fault (cpuid_fault in /proc/cpuinfo)"
    return preload.why_not("answers cpuid")


def compiled(folder: Path) -> Path:
    """The library, compiled into `folder`; its constructor comes before all others. Raises CalledProcessError."""
    return preload.compiled(SOURCE, folder, "-Wl,-z,initfirst")


def environment(folder: Path) -> dict[str, str]:
    """The variables of a process that, with all its children, is to see a Haswell. Raises CalledProcessError."""
    return {"LD_PRELOAD": str(compiled(folder)), "GLIBC_TUNABLES": TUNABLES}


def in_force() -> bool:
    """Return whether `cpuid` faults in this thread, so that the library answers it."""
    return why_not() is None and ctypes.CDLL(None).syscall(ARCH_PRCTL, ARCH_GET_CPUID, 0) == 0


def last_uses(process: int) -> list[float] | None:
    """Seconds since each thread was seen with AVX-512 in use, infinite for never; None where Linux does not tell."""
    try:
        threads = os.listdir(f"/proc/{process}/task")
        values = [int(Path(f"/proc/{thread}/arch_status").read_text().split()[1]) for thread in threads]
    except OSError:
        return None
    return [value / 1000 if value >= 0 else float("inf") for value in values]


def wide_threads(process: int, since: float) -> str:
    """How many of the threads of a process used AVX-512 after `since`, by time.monotonic()."""
    uses = last_uses(process)
    if uses is None:
        return "unknown"
    return f"in {sum(ago < time.monotonic() - since for ago in uses)} of {len(uses)} threads"
