"""The memory that a long recording takes: it does not grow with the recording.

The file is virtual, a WAV header and the same spoken digits over and over, which libsndfile reads like any other. The
model is a stub that allocates as much as features and memory of a segment take. Longer runs are possible by hand:
`python -m tests.longform.test_cost_stream 10` goes through ten hours.
"""

import io
import re
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from s2t_np.config import GenerationConfig, UtteranceConfig
from s2t_np.longform.stream import stream
from s2t_np.longform.vad_ops import NUMPY_VAD
from s2t_np.search import Hypothesis
from tests.support.paths import ROOT
from tests.support.speech import RATE, bundled, concatenated

MOST_GROWTH = 32  # MB


class EndlessTalk(io.RawIOBase):
    """A WAV file of any length that takes no space: 16-bit mono, one talk repeated."""

    def __init__(self, seconds: float):
        x, _ = concatenated([bundled("five-five"), bundled("two-nine-three-four-zero")] * 3, 0.7, -60)
        self.body = np.frombuffer(np.round(x * 32767).astype("<i2").tobytes() * 8, np.uint8)
        length, self.position = round(seconds * RATE) * 2, 0
        sizes = struct.pack("<4sI4s", b"RIFF", length + 36, b"WAVE"), struct.pack("<4sI", b"data", length)
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
        self.head = sizes[0] + form + sizes[1]
        self.size = length + len(self.head)

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self):
        return self.position

    def read(self, count=-1):
        count = max(0, min(count if count >= 0 else self.size, self.size - self.position))
        head = self.head[self.position : self.position + count]
        start = max(0, self.position - len(self.head))
        body = np.take(self.body, np.arange(start, start + count - len(head)), mode="wrap").tobytes()
        self.position += count
        return head + body


class Stand:
    """Stub model."""

    feature_config, generation_config = SimpleNamespace(sampling_rate=RATE), GenerationConfig()
    utterance_config, backend = UtteranceConfig(), SimpleNamespace(vad=NUMPY_VAD)
    tokenizer = SimpleNamespace(granularity=1, batch_decode=lambda sequences: ["five"] * len(sequences))

    def features_of_samples(self, samples):
        return np.ones((len(samples) // 160, 80), np.float32)

    def encode(self, features):
        return np.ones((len(features) // 4, 256), np.float32)

    def begin_from(self, memory):
        return [Hypothesis((2, 5, 2), (-0.1, -0.1), -0.1, True)]
        yield

    def step_together(self, asks):
        raise AssertionError(asks)


def peak_after(hours: float) -> tuple[int, float]:
    """The number of segments in a talk of this many hours, and the peak memory (MB) of the process that heard it."""
    command = [sys.executable, "-m", "tests.longform.test_cost_stream", str(hours)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    count, peak = done.stdout.split()
    return int(count), float(peak)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_recording():
    short, long = peak_after(1 / 6), peak_after(1)
    assert 5.5 * short[0] < long[0] < 6.5 * short[0] and short[0] > 200
    assert long[1] - short[1] < MOST_GROWTH / 4


def main() -> None:
    """Go through a talk of argv[1] hours; print the number of segments and the peak memory in MB."""
    count = sum(1 for _ in stream(Stand(), EndlessTalk(3600 * float(sys.argv[1]))))
    status = Path("/proc/self/status").read_text().expandtabs()
    print(count, int(re.search("VmHWM: *([0-9]+) kB", status)[1]) / 1024)


if __name__ == "__main__":
    main()
