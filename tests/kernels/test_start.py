"""What a process costs that finds its kernels in the cache: neither Numba nor two copies of the weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.random_checkpoint import shape_config, write_checkpoint

pytest.importorskip("numba")

# for the released s2t-small shape and 10 s of sound; the weights take 118, 59 and 30, never twice and never as read
PEAK_MEGABYTES = {"float32": 240, "float16": 185, "int8": 160}
PROGRAM = """
import re, sys
import numpy as np
import s2t_np

model = s2t_np.load(sys.argv[1], backend="numba", dtype=sys.argv[2])
noise = np.random.default_rng(0).standard_normal(16000 * 10).astype(np.float32) * 0.1
model.transcribe(noise, sampling_rate=16000, num_beams=5, max_length=5)
status = open("/proc/self/status").read().expandtabs()
print("numba" in sys.modules, int(re.search("VmHWM: *([0-9]+) kB", status)[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("dtype", PEAK_MEGABYTES)
def test_a_warm_process_is_small(tmp_path, dtype):
    small = write_checkpoint(tmp_path / "small", shape_config("small"))
    for _ in range(2):  # the first run may have to compile
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(small), dtype],
            cwd=ROOT,
            env=os.environ,
            capture_output=True,
            text=True,
            check=True,
        )
    imported, peak = done.stdout.split()
    assert imported == "False" and int(peak) < PEAK_MEGABYTES[dtype], peak
