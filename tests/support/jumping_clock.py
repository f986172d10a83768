"""A program whose clock is set back and forward by a day, again and again, as by someone who cannot decide."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .paths import ROOT

SOURCE = r"""
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) /* seconds, another number at each call */
{
    static const long days[] = {0, 1, -1, 1, 0, -1};
    static atomic_uint calls;
    return days[atomic_fetch_add(&calls, 1) % 6] * 86400;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += jump();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}
"""


def why_not() -> str | None:
    """Return why no clock can jump here; None if one can."""
    if not sys.platform.startswith("linux"):
        return "clocks jump by LD_PRELOAD, on Linux"
    return None if shutil.which("cc") else "needs a C compiler (cc) for a clock that jumps"


def jumping(folder: Path) -> dict[str, str]:
    """The environment of a program whose clock jumps; its library is compiled into `folder`."""
    library = folder / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, "-xc", "-"], input=SOURCE.encode(), check=True)
    return steady() | {"LD_PRELOAD": str(library)}


def steady() -> dict[str, str]:
    """The environment of one whose clock is that of the machine."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
