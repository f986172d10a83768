"""A fork while threads compute in numpy, with an OpenBLAS that is mostly within its lock: no child may hang."""

import subprocess
import sys

import pytest

from s2t_np.system import openblas
from tests.support.paths import ROOT
from tests.support.preload import preloaded, why_not

SLOW_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*lock)(pthread_mutex_t *);
    Dl_info caller;
    if (!lock)
        lock = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
    int failed = lock(mutex);
    if (dladdr(__builtin_return_address(0), &caller) && caller.dli_fname && strstr(caller.dli_fname, "openblas"))
        usleep(300);
    return failed;
}
"""
PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
import s2t_np
from s2t_np import loading
if sys.argv[1] == "without the gate":
    loading.for_network = lambda backend, config: backend
model = s2t_np.load("digits", backend="numpy")
features = np.random.default_rng(0).standard_normal((60, 80)).astype(np.float32)
def work():
    with s2t_np.own_threads(1):
        while True:
            model.encode(features)
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
hung, children, enough, seconds = 0, *(int(number) for number in sys.argv[2:])
for _ in range(children):
    time.sleep(0.02)
    if not (pid := os.fork()):
        signal.alarm(seconds)
        model.encode(features)
        os._exit(0)
    hung += os.waitpid(pid, 0)[1] == signal.SIGALRM
    if hung == enough:
        break
print(hung, "hung", flush=True)
os._exit(0)
"""


def hung(environment: dict[str, str], gate: str, children: int, enough: int, seconds: int) -> int:
    """The number of children that did not come to an end within ``seconds``; no more are made once it is ``enough``."""
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM, gate, *map(str, (children, enough, seconds))]
    done = subprocess.run(program, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    return int(done.stdout.split()[0])


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.skipif(openblas.control() is None, reason="needs OpenBLAS")
def test_no_child_waits_for_a_lock_of_openblas(tmp_path):
    environment = preloaded(SLOW_LOCKS, tmp_path)
    assert hung(environment, "behind the gate", children=5, enough=1, seconds=60) == 0
    # About half of these children hang: one of a hundred must, or this test would show nothing.
    assert hung(environment, "without the gate", children=100, enough=1, seconds=5) == 1
