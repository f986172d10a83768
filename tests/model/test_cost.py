"""The memory that the model needs. (test_house.py tests start-up; tools/bench/race.py compares its speed.)"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.random_checkpoint import shape_config, write_checkpoint

PEAK_MEGABYTES = {"numpy": 350, "numba": 430}  # for the released s2t-small shape, 10 s of sound, 5 beams
GENERATE = """
import re, sys
import numpy as np
import s2t_np

model = s2t_np.load(sys.argv[1], backend=sys.argv[2])
noise = np.random.default_rng(0).standard_normal(16000 * 10).astype(np.float32) * 0.1
hear_all = s2t_np.StreamOptions(vad_filter=False)
heard = model.transcribe(noise, 16000, hear_all, num_beams=5, min_length=31, max_length=31)
assert len(heard.hypotheses[0].tokens) == 31
print(int(re.search("VmHWM: *([0-9]+) kB", open("/proc/self/status").read().expandtabs())[1]) / 1024)
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("small"), shape_config("small"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("backend", list(PEAK_MEGABYTES))
def test_peak_memory_of_a_ten_second_recording(small, backend):
    """By VmHWM: the peak that getrusage tells includes the process that started this one."""
    if backend == "numba":
        pytest.importorskip("numba")
    done = subprocess.run(
        [sys.executable, "-c", GENERATE, str(small), backend], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < PEAK_MEGABYTES[backend]
