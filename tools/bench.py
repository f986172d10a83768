#!/usr/bin/env python3
"""How fast the kernels are: against numpy one by one, against transformers as a whole; checked, then timed in turn.

    python tools/bench.py [--seconds 5 10 30 60] [--beams 1 5] [--runs 9] [--json FILE] [--no-peers]

Weights are random in the shape of the released s2t-small, features are noise, and EOS is kept out, so that all
decode the 3 tokens a second asked for. Prints the machine, its measured roofs, a table of kernels (ms, GFLOP/s or
GB/s and share of the roof), a table of whole utterances with ratios to the slowest, and what a process costs that
hears one file: time and peak memory. Peers run in a process of their own; one that is not installed is left out by
name.
"""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import s2t_np
from kernels import backend, cpu
from s2t_np import encoder, threads
from tools import random_checkpoint
from tools.bench_kernels import kernel_table
from tools.bench_roofs import interleaved, medians, roofs
from tools.upstream import Upstream, UpstreamError, numbered

ROOT = Path(__file__).resolve().parent.parent
TOKENS_A_SECOND = 3
REST = 0.3  # seconds between runs: for a moment after its work, a thread pool keeps the processors busy waiting


def contender(model: s2t_np.S2T, chosen, encode):
    """The same model on another backend, its encoder replaced as a whole: (encode, generate) of features (T, M)."""
    fast = dataclasses.replace(model, backend=chosen, weights=chosen.ops.prepare(model.weights))

    def encode_features(x):
        return encode(chosen.ops, fast.weights.encoder, fast.config, x)

    def generate(x, **options):
        port = fast.decoder(encode_features(x))
        return s2t_np.search.generate(port, fast.generation_config.replace(**options), ())[0].tokens

    return encode_features, generate


def contenders(folder: Path) -> dict:
    """Everyone of our own: {name: (encode, generate)}."""
    model = s2t_np.load(folder, backend="numpy")
    return {
        "numpy": contender(model, model.backend, encoder.encode),
        "numba float32": contender(model, backend.NUMBA, backend.encode),
        "numba int8": contender(model, backend.NUMBA_INT8, backend.encode),
    }


class Transformers:
    """transformers on torch, behind a pipe; its own clock counts, so the pipe does not."""

    def __init__(self, upstream: Upstream, folder: Path):
        self.upstream, self.folder = upstream, folder

    def __call__(self, x: np.ndarray, **options) -> tuple[list[int], dict[str, float]]:
        return self.upstream("seconds", numbered("features", [x]), folder=str(self.folder), **options)[0]


def utterance(own: dict, peer: Transformers | None, seconds: float, beams: int, runs: int) -> dict:
    """One row of the table: medians in seconds of the encoder and of generate, for each contender."""
    x = np.random.default_rng(0).standard_normal((round(100 * seconds) - 2, 80)).astype(np.float32)
    tokens = round(TOKENS_A_SECOND * seconds)
    options = {"num_beams": beams, "min_length": tokens, "max_length": tokens + 1, "early_stopping": True}
    work = {f"{name} encoder": lambda encode=encode: encode(x) for name, (encode, _) in own.items()}
    work |= {name: lambda generate=generate: generate(x, **options) for name, (_, generate) in own.items()}
    theirs = {"transformers encoder": [], "transformers": []}
    expected = list(own["numpy"][1](x, **options))
    check("numba float32", list(own["numba float32"][1](x, **options)), expected)

    def ask():
        found, times = peer(x, **options)
        check("transformers", found, expected)
        theirs["transformers encoder"].append(times["encoder"])
        theirs["transformers"].append(times["generate"])

    times = interleaved(work | ({"ask": ask} if peer else {}), runs, REST)
    times.pop("ask", None)
    return medians(times | ({name: found[1:] for name, found in theirs.items()} if peer else {}))


def check(name: str, found: list[int], expected: list[int]) -> None:
    """A wrong answer has no speed."""
    if found != expected:
        raise SystemExit(f"{name} found {found}, numpy {expected}")


PROCESS = """
import json, sys, time
began = time.perf_counter()
{body}
with open("/proc/self/status") as status:  # ru_maxrss would count what the parent held when it forked
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps({{"seconds": time.perf_counter() - began, "megabytes": peak}}))
"""
OURS = """
import dataclasses
import numpy as np
import s2t_np
x = np.load(sys.argv[2])
model = s2t_np.load(sys.argv[1], backend="numpy")
if sys.argv[3] != "numpy":
    from kernels import backend
    from s2t_np import search
    chosen = {"numba": backend.NUMBA, "int8": backend.NUMBA_INT8}[sys.argv[3]]
    weights = chosen.ops.prepare(model.weights)
    model = dataclasses.replace(model, backend=chosen, weights=weights)
    del weights
    memory = backend.encode(chosen.ops, model.weights.encoder, model.config, model.features(x, 16000))
    search.generate(model.decoder(memory), model.generation_config.replace(max_length=31), ())
else:
    model.transcribe(x, 16000, max_length=31)
"""
THEIRS = """
import numpy as np, torch
from transformers import Speech2TextFeatureExtractor, Speech2TextForConditionalGeneration, Speech2TextTokenizer
x = np.load(sys.argv[2])
extractor = Speech2TextFeatureExtractor.from_pretrained(sys.argv[1])
tokenizer = Speech2TextTokenizer.from_pretrained(sys.argv[1])
model = Speech2TextForConditionalGeneration.from_pretrained(sys.argv[1]).eval()
ids = model.generate(**extractor(x, sampling_rate=16000, return_tensors="pt"), max_length=31)
tokenizer.batch_decode(ids, skip_special_tokens=True)
"""


def process(body: str, folder: Path, audio: Path, *arguments: str, home: Path = ROOT, **environment) -> dict:
    """Wall seconds and peak megabytes of a Python process that loads the model and hears one file."""
    command = [sys.executable, "-c", PROCESS.format(body=body), str(folder), str(audio), *arguments]
    began = time.perf_counter()
    found = subprocess.run(command, env=os.environ | environment, cwd=home, capture_output=True, text=True, check=False)
    if found.returncode:
        return {"error": found.stderr.strip().splitlines()[-1]}
    return json.loads(found.stdout) | {"seconds": time.perf_counter() - began}


def processes(folder: Path, scratch: Path, peers: bool) -> dict[str, dict]:
    """What a whole process costs on 10 s of sound; "first" compiles all kernels into an empty cache."""
    audio = scratch / "audio.npy"
    np.save(audio, (np.random.default_rng(1).standard_normal(160_000) * 0.1).astype(np.float32))
    rows = {"numba, first run": process(OURS, folder, audio, "numba", S2T_NP_CACHE_DIR=str(scratch / "cache"))}
    for name in ("numba", "int8", "numpy"):
        rows[f"{name}, warm"] = process(OURS, folder, audio, name)
    if peers:
        rows["transformers"] = process(THEIRS, folder, audio, home=scratch)
    return rows


def machine() -> dict[str, str]:
    """Who was measured."""
    return {
        "processor": cpu.detect().description,
        "threads": str(threads.get_threads()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def print_utterances(rows: list[tuple[float, int, dict]]) -> None:
    names = list(rows[0][2])
    print("\n| audio | beams | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    for seconds, beams, row in rows:
        slow = {kind: max(v for k, v in row.items() if k.endswith("encoder") == kind) for kind in (True, False)}
        cells = (f"{1e3 * v:.1f} ms ({slow[name.endswith('encoder')] / v:.1f}x)" for name, v in row.items())
        print(f"| {seconds:g} s | {beams} | " + " | ".join(cells) + " |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[5, 10, 30, 60])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=threads.get_threads())
    parser.add_argument("--no-peers", action="store_true", help="leave transformers out")
    parser.add_argument("--json", type=Path, help="write everything there too")
    return parser.parse_args()


def main():
    o = arguments()
    threads.set_threads(o.threads)
    result = {"machine": machine(), "roofs": {n: roofs(n) for n in sorted({1, o.threads})}}
    print(json.dumps(result, indent=1))
    result["kernels"] = kernel_table(result["roofs"][o.threads], o.runs)
    with tempfile.TemporaryDirectory() as scratch:
        folder = random_checkpoint.write_checkpoint(Path(scratch) / "small", random_checkpoint.shape_config("small"))
        own, rows = contenders(folder), []
        with Upstream(threads=o.threads) as upstream:
            peer = None if o.no_peers else Transformers(upstream, folder)
            try:
                rows = [(s, b, utterance(own, peer, s, b, o.runs)) for s in o.seconds for b in o.beams]
            except UpstreamError as error:
                raise SystemExit(f"transformers cannot be measured (--no-peers leaves it out): {error}") from None
        print_utterances(rows)
        result |= {"utterances": rows, "processes": processes(folder, Path(scratch), not o.no_peers)}
    print(json.dumps(result["processes"], indent=1))
    if o.json:
        o.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
