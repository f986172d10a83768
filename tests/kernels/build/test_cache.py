"""The cache of compiled kernels: found again, never stale, never in the way. Each case is a process of its own."""

import hashlib
import os
import shutil
import signal
import subprocess

import pytest
from s2t_np_kernels.build import cache

from tests.support.tiny_kernels import COMPILED, LOADED, PROGRAM, RIGHT, Tiny

pytest.importorskip("numba")


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Tiny:
    """A package whose cache one run has filled."""
    tiny = Tiny(tmp_path_factory.mktemp("tiny"))
    first = tiny.run()
    assert RIGHT in first.stdout and COMPILED in first.stdout and first.stderr.count("compiling") == 1
    assert "without numba" in first.stdout  # a cold process does not import it either
    return tiny


@pytest.fixture
def tiny(original, tmp_path) -> Tiny:
    """A copy of it: the same fingerprint, for where sources lie does not matter."""
    copy = Tiny(tmp_path)
    shutil.copytree(original.cache, copy.cache)
    return copy


def test_a_second_run_compiles_nothing_says_nothing_and_does_without_numba(tiny):
    again = tiny.run()
    assert RIGHT in again.stdout and LOADED in again.stdout and again.stderr == ""
    assert "without numba" in again.stdout


def test_a_helper_that_is_edited_gives_the_new_answer(tiny):
    helper = tiny.kernels / "ops" / "helper.py"
    text = helper.read_text()
    helper.write_text(text.replace("3.0", "5.0"))
    after = tiny.run().stdout
    assert "[0.0, 5.0, 10.0, 0.0]" in after and COMPILED in after
    helper.write_text(text)
    assert LOADED in tiny.run().stdout


@pytest.mark.parametrize("damage", ("truncated", "emptied", "garbled", "strange", "another build's"))
def test_a_damaged_file_is_compiled_anew_and_replaced(tiny, damage):
    (path,) = tiny.files()
    whole = path.read_bytes()
    if damage == "another build's":
        payload = whole[len(cache.MAGIC) + cache.DIGEST :].replace(path.name.encode(), b"0123456789abcdef.kernels")
        broken = cache.MAGIC + hashlib.sha256(payload).digest() + payload
    else:
        broken = {"truncated": whole[:-100], "emptied": b"", "garbled": whole[:-1] + b"!", "strange": b"hello"}[damage]
    path.write_bytes(broken)
    after = tiny.run()
    assert RIGHT in after.stdout and COMPILED in after.stdout and path.read_bytes() != broken
    assert LOADED in tiny.run().stdout


def test_code_that_calls_what_is_not_there_is_compiled_anew(tiny):
    """The linker would end the process."""
    (path,) = tiny.files()
    whole = path.read_bytes()[len(cache.MAGIC) + cache.DIGEST :]
    payload = whole.replace(
        b'"ops.scale.scale"], ["ops.scale.scale_one"', b'"ops.scale.scale"], ["ops.scale.not_there"'
    )
    assert payload != whole
    path.write_bytes(cache.MAGIC + hashlib.sha256(payload).digest() + payload)
    after = tiny.run()
    assert RIGHT in after.stdout and COMPILED in after.stdout


def test_a_place_that_cannot_be_made_costs_one_warning(tiny):
    (tiny.folder / "file").write_text("in the way")
    after = tiny.run(S2T_NP_CACHE_DIR=str(tiny.folder / "file" / "cache"))
    assert RIGHT in after.stdout and after.stderr.count("Warning:") == 1 and "not kept" in after.stderr


UNWILLING = """
from s2t_np_kernels.build import runtime
try:
    runtime.complete(private=False)
except runtime.BuildError as error:
    print("refused:", error)
print(runtime.statistics)
"""


def test_who_does_not_want_to_compile_in_every_run_is_told_before(tiny):
    (tiny.folder / "file").write_text("in the way")
    after = tiny.run(UNWILLING, S2T_NP_CACHE_DIR=str(tiny.folder / "file" / "cache"))
    assert "refused: compiled kernels cannot be kept" in after.stdout and "'compiled': 0" in after.stdout
    assert after.stderr == ""


LIMITED = """
import resource, signal
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk_costs_one_warning(tiny):
    for path in tiny.files():
        path.unlink()
    after = tiny.run(LIMITED + PROGRAM)
    assert RIGHT in after.stdout and after.stderr.count("Warning:") == 1
    assert tiny.files() == []  # nothing half-written is left


def racing(tiny, count, program=PROGRAM):
    """Processes that begin at once, and find no kernels."""
    for path in tiny.files():
        path.unlink()
    options = {"cwd": tiny.folder, "env": tiny.environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return [subprocess.Popen(tiny.command(program), **options, text=True) for _ in range(count)]


def test_of_processes_that_begin_at_once_one_compiles_and_the_others_wait(tiny):
    ends = [racer.communicate(timeout=120) for racer in racing(tiny, 5)]
    assert all(RIGHT in out for out, _ in ends)
    assert sorted(COMPILED in out for out, _ in ends) == [False] * 4 + [True]
    assert all("another process" in err for out, err in ends if COMPILED not in out and err)
    assert LOADED in tiny.run().stdout and len(tiny.files()) == 1


SLOW = """
import sys, time
from s2t_np_kernels.build import runtime
compile = runtime._compile
def slowly():
    print("begun", flush=True)
    time.sleep(HOW_LONG)
    return compile()
runtime._compile = slowly
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "patience"), [(signal.SIGKILL, "900.0"), (signal.SIGSTOP, "1.0")])
def test_one_that_is_killed_or_stopped_while_it_compiles_is_not_waited_for(tiny, number, patience):
    (first,) = racing(tiny, 1, SLOW.replace("HOW_LONG", "60") + PROGRAM)
    try:
        assert first.stdout.readline() == "begun\n"
        first.send_signal(number)
        patient = f"from s2t_np_kernels.build import cache\ncache.LONGEST_WAIT = {patience}\n"
        after = tiny.run(patient + PROGRAM)
        assert RIGHT in after.stdout and COMPILED in after.stdout
        assert ("another process" in after.stderr) == (number == signal.SIGSTOP)
    finally:
        first.kill()
        first.communicate()


def test_a_disk_without_locks_is_no_obstacle(tiny):
    for path in tiny.files():
        path.unlink()
    lockless = "import fcntl\ndef none(*_): raise OSError(37, 'No locks available')\nfcntl.flock = none\n"
    after = tiny.run(lockless + PROGRAM)
    assert RIGHT in after.stdout and COMPILED in after.stdout and len(tiny.files()) == 1


def test_another_processor_has_its_own(tiny):
    assert COMPILED in tiny.run(S2T_NP_CPU_FEATURES="").stdout
    assert len(tiny.files()) == 2
