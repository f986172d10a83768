"""The cache of compiled kernels: found again, never stale, never in the way. Each case is a process of its own."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytest.importorskip("numba")

from s2t_np_kernels.build import cache

PROGRAM = """
import sys, warnings
warnings.simplefilter("always")
import numpy as np
from s2t_np_kernels.build import jit
from s2t_np_kernels.ops import norm
from s2t_np_kernels.weights import pack
w = pack.PackedNorm(np.ones(128, np.float32), 0, 64, 20)
print(norm.layer_norm(np.arange(20, dtype=np.float32), w)[:3].astype(float).round(3).tolist(), jit.statistics)
print("numba imported:", "numba" in sys.modules)
"""
RIGHT = "[-0.648, -0.474, -0.301]"
COMPILED, LOADED = "'loaded': 0", "'compiled': 0"  # nothing was loaded, nothing was compiled


def run(cache, folder=ROOT, **environment) -> subprocess.CompletedProcess:
    """One process that needs one kernel."""
    environment = os.environ | {"S2T_NP_CACHE_DIR": str(cache)} | environment
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A cache that one run has filled."""
    cache = tmp_path_factory.mktemp("cache")
    first = run(cache)
    assert RIGHT in first.stdout and COMPILED in first.stdout and "compiling" in first.stderr
    return cache


def files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.fixture
def copied(filled, tmp_path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "cache"))


def test_second_run_compiles_nothing_and_says_nothing(filled):
    again = run(filled)
    assert RIGHT in again.stdout and LOADED in again.stdout and again.stderr == ""


def test_numba_is_imported_to_compile_and_for_nothing_else(filled, tmp_path):
    assert "numba imported: False" in run(filled).stdout
    assert "numba imported: True" in run(tmp_path).stdout


def test_one_missing_kernel_is_compiled_among_loaded_ones(copied):
    next(copied.rglob("s2t_np_kernels.ops.norm.normalize_unit")).unlink()
    after = run(copied).stdout
    assert RIGHT in after and "'loaded': 4, 'compiled': 1" in after


def test_code_that_calls_what_is_not_there_is_compiled_anew(copied):
    """The linker would end the process."""
    path = next(copied.rglob("s2t_np_kernels.ops.norm.layer_norm_rows"))
    payload = path.read_bytes()[len(cache.MAGIC) + 32 :].replace(
        b"s2t_np_kernels.ops.norm.normalize_row", b"s2t_np_kernels.ops.norm.nobody_at_all"
    )
    path.write_bytes(cache.MAGIC + hashlib.sha256(payload).digest() + payload)
    after = run(copied)
    assert RIGHT in after.stdout and "'loaded': 4, 'compiled': 1" in after.stdout and "nobody_at_all" in after.stderr


@pytest.mark.parametrize("damage", ("truncated", "emptied", "garbled", "strange"))
def test_damaged_files_are_compiled_anew_and_replaced(copied, damage):
    for path in files(copied):
        whole = path.read_bytes()
        broken = {"truncated": whole[:-100], "emptied": b"", "garbled": whole[:-1] + b"!", "strange": b"hello"}
        path.write_bytes(broken[damage])
    after = run(copied)
    assert RIGHT in after.stdout and COMPILED in after.stdout
    assert LOADED in run(copied).stdout


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_directory_that_cannot_be_made_costs_one_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    after = run(tmp_path / "file" / "cache")
    assert RIGHT in after.stdout and after.stderr.count("Warning:") == 1 and "not kept" in after.stderr


LIMITED = """
import resource, signal
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_full_disk_costs_one_warning(copied):
    for path in files(copied):
        path.unlink()
    folder = next(copied.iterdir())
    limited = LIMITED + PROGRAM
    environment = os.environ | {"S2T_NP_CACHE_DIR": str(copied)}
    after = subprocess.run(
        [sys.executable, "-c", limited], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert RIGHT in after.stdout and after.stderr.count("Warning:") == 1
    assert list(folder.iterdir()) == []  # nothing half-written is left


def test_racing_processes_all_get_it_right(tmp_path):
    environment = os.environ | {"S2T_NP_CACHE_DIR": str(tmp_path)}
    racers = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(4)
    ]
    assert all(RIGHT in racer.communicate(timeout=120)[0] for racer in racers)
    assert LOADED in run(tmp_path).stdout


def test_an_edited_helper_in_another_file_is_noticed(copied, tmp_path):
    shutil.copytree(ROOT / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "s2t_np_kernels.py", tmp_path)
    assert LOADED in run(copied, tmp_path).stdout
    source = tmp_path / "kernels" / "simd" / "vector.py"
    text = source.read_text()
    edited = text.replace("for distance in (8, 4, 2, 1)", "for distance in (8, 4, 2)")
    assert edited != text
    source.write_text(edited)
    after = run(copied, tmp_path).stdout
    assert COMPILED in after and RIGHT not in after


def test_another_processor_has_its_own(copied):
    assert COMPILED in run(copied, S2T_NP_CPU_FEATURES="").stdout


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_a_directory_of_another_user_is_not_trusted(copied):
    for path in copied.iterdir():
        os.chown(path, 12345, 12345)
    after = run(copied)
    assert RIGHT in after.stdout and COMPILED in after.stdout and "another user" in after.stderr


def test_a_kernel_that_takes_names_of_numba_in_tuples_can_be_what_is_missing(tmp_path):
    program = "from s2t_np_kernels.build import jit; from s2t_np_kernels.ops import fbank; jit.complete(); print(jit.statistics)"
    environment = os.environ | {"S2T_NP_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "'loaded': 0, 'compiled': 1" in done.stdout


def test_tiles_can_be_what_is_missing(tmp_path):
    """They are emitted by this package itself, perhaps before anything else was compiled."""
    program = "import sys; from s2t_np_kernels.build import jit; from s2t_np_kernels.simd import tile; jit.complete(); print('numba' in sys.modules)"
    environment = os.environ | {"S2T_NP_CACHE_DIR": str(tmp_path)}
    for expected in ("True", "False"):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected
