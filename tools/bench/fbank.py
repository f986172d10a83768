"""Features of ten seconds on one thread, beside kaldi-native-fbank in a process of its own."""

import time
from contextlib import ExitStack
from statistics import median

import numpy as np

import s2t_np
from s2t_np import backend
from s2t_np.errors import BackendError
from tools.bench.contenders import PEER_WORKER, worker
from tools.upstream.pipe import Upstream

RATE, BINS, SECONDS, BURST = 16_000, 80, 10, 5
TOLERANCE = 2e-2  # difference of logarithms: Kaldi computes in float32, where a nearly silent bin has few digits


def kaldi(stack: ExitStack, pythons: list[str]) -> Upstream | None:
    """A worker on an interpreter that has kaldi-native-fbank."""
    for python in pythons:
        found = worker(stack, python, 1, PEER_WORKER, "kaldi-native-fbank")
        if found and found[1]["kaldi-native-fbank"]:
            return found[0]
    return None


def own_backends() -> dict[str, backend.Backend]:
    """Every backend that runs here."""
    try:
        return {"numpy": backend.NUMPY, "s2t-np float32": backend.choose("numba")}
    except BackendError:
        return {"numpy": backend.NUMPY}


def measure(peer: Upstream | None, samples: np.ndarray, runs: int) -> dict[str, float]:
    """Medians of seconds, everybody in turn, a few at once as a stream of files would come. Raises SystemExit."""
    calls = {name: lambda x, f=own.fbank: f(x, RATE, BINS) for name, own in own_backends().items()}
    expected, times = backend.NUMPY.fbank(samples, RATE, BINS), {}
    for _ in range(runs):
        for name, call in calls.items():
            for _ in range(BURST):
                began = time.perf_counter()
                found = call(samples)
                times.setdefault(name, []).append(time.perf_counter() - began)
            check(name, found, expected)
        for _ in range(BURST if peer else 0):
            seconds, out = peer("fbank", {"samples": samples}, rate=RATE, bins=BINS)
            times.setdefault("kaldi-native-fbank", []).append(seconds)
            check("kaldi-native-fbank", out["features"], expected)
    return {name: median(values) for name, values in times.items()}


def check(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Hold features (T, M) to numpy's. Raises SystemExit."""
    error = np.abs(found - expected).max() if found.shape == expected.shape else np.inf
    if not error < TOLERANCE:
        raise SystemExit(f"{name}: features differ from numpy's by {error:.2g}")


def fbank_table(pythons: list[str], runs: int) -> dict[str, float]:
    """Print and return the seconds of everybody."""
    samples = (np.random.default_rng(0).standard_normal(RATE * SECONDS) * 0.1).astype(np.float32)
    with ExitStack() as stack, s2t_np.own_threads(1):
        found = measure(kaldi(stack, pythons), samples, runs)
    print(f"\n| fbank of {SECONDS} s, one thread | ms | against kaldi-native-fbank |\n|---|---|---|")
    for name, seconds in found.items():
        gain = f"{found['kaldi-native-fbank'] / seconds:.2f}" if "kaldi-native-fbank" in found else "-"
        print(f"| {name} | {1e3 * seconds:.2f} | {gain} |", flush=True)
    return found
