"""The bench's library that answers cpuid: programs that ask see a Haswell, and their own faults stay their own."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tools.bench import held_cpuid

pytestmark = pytest.mark.skipif(held_cpuid.why_not() is not None, reason=str(held_cpuid.why_not()))
ASKS = r"""
#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

static void *ask(void *who)
{
    unsigned a, b, c, d, seven[4], highest = __get_cpuid_max(0, 0), amx;
    __cpuid_count(7, 0, a, seven[1], seven[2], seven[3]);
    __cpuid_count(7, 1, amx, b, c, d);
    __cpuid_count(0xD, 0, a, b, c, d);
    printf("%s %u %x %x %x %x %x\n", (char *)who, highest, seven[1], seven[2], seven[3], amx, a);
    fflush(stdout);
    return NULL;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    printf("own %d at %p of %d\n", number, info->si_addr, context != NULL);
    fflush(stdout);
    _exit(7);
}

int main(int count, char **words)
{
    pthread_t thread;
    sigset_t all;
    struct sigaction own = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, found;
    sigfillset(&all);
    if (count > 1 && !strcmp(words[1], "own"))
        sigaction(SIGSEGV, &own, NULL);
    if (count > 1 && !strcmp(words[1], "ignored"))
        signal(SIGSEGV, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    ask("first");
    pthread_create(&thread, NULL, ask, "thread");
    pthread_join(thread, NULL);
    if (!fork())
        ask("child"), _exit(0);
    wait(NULL);
    sigaction(SIGSEGV, NULL, &found);
    printf("handler %d\n", found.sa_sigaction == on_fault ? 2 : found.sa_handler == SIG_IGN);
    fflush(stdout);
    return count > 1 ? *(volatile int *)8 : 0;
}
"""
NEITHER_VECTORS_NOR_2013 = ~0x7AB  # of leaf 7, EBX: all but BMI, AVX2 and the integer instructions of a Haswell


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    return held_cpuid.environment(tmp_path_factory.mktemp("held"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    target = tmp_path_factory.mktemp("asks") / "asks"
    compiler = ["cc", "-O1", "-x", "c", "-o", str(target), "-", "-lpthread"]
    subprocess.run(compiler, input=ASKS, text=True, check=True)
    return str(target)


def run(command, variables):
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


def answers(out: str) -> dict[str, list[int]]:
    """Who asked, and (highest leaf; EBX, ECX, EDX of leaf 7; EAX of leaf 7.1; the low half of XCR0)."""
    rows = [line.split() for line in out.splitlines() if len(line.split()) == 7]
    return {who: [int(highest), *(int(x, 16) for x in rest)] for who, highest, *rest in rows}


def test_first_thread_second_and_forked_child_see_a_haswell(program, variables):
    """Though every signal is blocked. Without the library the same processor shows more."""
    found, free = answers(run([program], variables).stdout), answers(run([program], {}).stdout)
    assert list(found) == list(free) == ["first", "thread", "child"]
    for highest, ebx, ecx, edx, later, xcr0 in found.values():
        assert (highest, ecx, edx, later, xcr0) == (0xD, 0, 0, 0, 7)
        assert ebx & 1 << 5 and not ebx & NEITHER_VECTORS_NOR_2013
    assert found["first"] != free["first"]


@pytest.mark.parametrize(("handler", "code", "known"), [("own", 7, 2), ("ignored", -11, 1), ("default", -11, 0)])
def test_a_wild_pointer_is_the_programs_own_affair(program, variables, handler, code, known):
    """Its handler runs, or it dies of SIGSEGV as without the library; it still reads back what it set."""
    done = run([program, handler], variables)
    assert done.returncode == code and f"handler {known}" in done.stdout
    assert ("own 11 at 0x8 of 1" in done.stdout) == (handler == "own") and "child 13" in done.stdout


def test_pythons_fault_handler_still_reports(variables):
    script = "import faulthandler, ctypes; faulthandler.enable(); import llvmlite.binding as llvm\n"
    script += "print(llvm.get_host_cpu_name(), flush=True); ctypes.string_at(8)"
    done = run([sys.executable, "-c", script], variables)
    assert done.returncode == -signal.SIGSEGV and done.stdout == "haswell\n"
    assert "Fatal Python error: Segmentation fault" in done.stderr and "File " in done.stderr


def test_a_signal_that_is_sent_ends_the_program(variables):
    script = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV); import time; time.sleep(20)"
    assert run([sys.executable, "-c", script], variables).returncode == -signal.SIGSEGV


def test_threads_with_avx512_are_counted(monkeypatch):
    """Seconds ago, thread by thread; what was before `since`, or never, does not count."""
    monkeypatch.setattr(held_cpuid, "last_uses", lambda process: [0.5, 30.0, float("inf")])
    assert held_cpuid.wide_threads(1, time.monotonic() - 10) == "in 1 of 3 threads"
    assert held_cpuid.wide_threads(1, time.monotonic() - 60) == "in 2 of 3 threads"
    monkeypatch.undo()
    uses = held_cpuid.last_uses(os.getpid())
    assert uses is None or all(ago >= 0 for ago in uses)
    assert held_cpuid.last_uses(0) is None
