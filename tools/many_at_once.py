"""Many Python threads with one model, and many processes that begin at once on one cold cache of kernels.

    python -m tools.many_at_once threads          # 8 threads, 1,000 utterances each, of every backend and dtype
    python -m tools.many_at_once threads --backend numba --dtype int8 --utterances 100
    python -m tools.many_at_once processes 100

Threads must compute the same bits as one alone: of the encoder's output, the tokens and their scores. Processes must
all print the right words, and leave one file in the cache. The exit code is 1 if anything differs. POSIX only.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np import audio

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT / "s2t_np" / "recordings"
PAIRS = (("numba", "float32"), ("numba", "int8"), ("numpy", "float32"))
CUTS = 40  # different utterances
PROGRAM = """
import s2t_np
model = s2t_np.load("digits", backend="numba")
print(model.transcribe(s2t_np.__path__[0] + "/recordings/five-five.flac").text)
"""
RIGHT = "five five"
LEAST = 2000  # megabytes that must stay free; else the processes are ended


def utterances(count: int, seed: int) -> list[np.ndarray]:
    """Stretches of 0.4 to 1.2 s of the bundled recordings, at 16 kHz."""
    draw, cuts = random.Random(seed), []
    whole = [audio.load(path, 16000) for path in sorted(RECORDINGS.glob("*.flac"))]
    for _ in range(count):
        samples, length = draw.choice(whole), draw.randint(6400, 19200)
        begin = draw.randrange(max(1, len(samples) - length))
        cuts.append(samples[begin : begin + length])
    return cuts


def bits(model: s2t_np.S2T, samples: np.ndarray) -> str:
    """A digest of all that is computed for an utterance: the encoder's output, tokens and scores."""
    memory = model.encode(model.features_of_samples(samples))
    hypotheses = model.generate_from(memory)
    found = [(h.tokens, *(float(value).hex() for value in (h.score, *h.token_log_probs))) for h in hypotheses]
    return hashlib.sha256(memory.tobytes() + repr(found).encode()).hexdigest()


def in_threads(backend: str, dtype: str, threads: int, each: int, seed: int) -> tuple[str, bool]:
    """Let threads share a model: a line, and whether all they computed has the bits of one thread alone."""
    model = s2t_np.load("digits", backend=backend, dtype=dtype)
    cuts = utterances(CUTS, seed)
    alone = [bits(model, cut) for cut in cuts]

    def work(number: int) -> int:
        order = random.Random(f"{seed} {number}").choices(range(CUTS), k=each)
        return sum(bits(model, cuts[place]) != alone[place] for place in order)

    begun = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        wrong = sum(pool.map(work, range(threads)))
    seconds = time.monotonic() - begun
    line = f"{backend} {dtype}: {threads} threads x {each:,} utterances, {wrong} with other bits, {seconds:.0f} s"
    return line, not wrong


def free_memory() -> int:
    """Megabytes that the machine has free or can free."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) >> 10


class Racer:
    """A process that transcribes with the cache in a folder, and what it says."""

    def __init__(self, cache: Path):
        quiet = {"S2T_NP_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self.files = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115 - pipes would fill up
        out, err = self.files
        command = [sys.executable, "-c", PROGRAM]
        self.process = subprocess.Popen(command, env=os.environ | quiet, cwd=cache.parent, stdout=out, stderr=err)

    def end(self) -> tuple[bool, str]:
        """Whether its words are right, and the beginning of what else it said."""
        for file in self.files:
            file.seek(0)
        out, err = (file.read() for file in self.files)
        return self.process.wait() == 0 and out.strip() == RIGHT, err.partition("(")[0].partition(";")[0].strip()


def at_once(count: int) -> tuple[str, bool]:
    """Start processes at once on a cold cache: a line, and whether all is as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        begun, before = time.monotonic(), free_memory()
        racers, least = [Racer(Path(folder, "cache")) for _ in range(count)], before
        try:
            while any(racer.process.poll() is None for racer in racers) and least > LEAST:
                least = min(least, free_memory())
                time.sleep(0.2)
        finally:
            for racer in racers:
                racer.process.kill()
        seconds, ends = time.monotonic() - begun, [racer.end() for racer in racers]
        left = [path for path in Path(folder).rglob("*") if path.is_file()]
    right, said = sum(fine for fine, _ in ends), Counter(words or "nothing" for _, words in ends)
    line = f"{count} processes: {right} right, {len(left)} file left; said: {dict(said)}; {seconds:.0f} s, "
    return line + f"{before - least:,} MB at most", right == count and len(left) == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["threads", "processes"])
    parser.add_argument("count", type=int, nargs="?", help="threads (8) or processes (100)")
    parser.add_argument("--utterances", type=int, default=1000, help="of each thread")
    parser.add_argument("--backend", choices=["numba", "numpy"])
    parser.add_argument("--dtype", choices=["float32", "int8"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.what == "processes":
        ends = (at_once(options.count or 100) for _ in range(1))
    else:
        pairs = [(b, d) for b, d in PAIRS if options.backend in (None, b) and options.dtype in (None, d)]
        ends = (in_threads(*pair, options.count or 8, options.utterances, options.seed) for pair in pairs)
    all_fine = True
    for line, fine in ends:
        print(line, flush=True)
        all_fine &= fine
    return 0 if all_fine else 1


if __name__ == "__main__":
    sys.exit(main())
