"""Who takes part in the benchmarks: this project on each backend and weight type, and every peer that is installed.

All offer the same three things, so that one race serves all:

    hear(features, options)       (tokens, {"encoder": s, "generate": s}, memory)    one utterance, (T, M) -> (S, D)
    hear_many(features, options, way)   (tokens, {"wall": s, "processor": s})   many utterances, each (T, M)
    step(memory, tokens, turns)   (logits, {"step": s, "step and reorder": s})       medians of one step after (K, U)

A peer runs in a process of its own and tells its own clock's time, so the pipe costs it nothing. ONNX Runtime and
OpenVINO run what optimum exports of the same checkpoint; their graphs take and return the decoder's caches, and beams
must be put in order between steps, which "step and reorder" includes.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np.decoder import DecoderCache
from s2t_np.errors import BackendError, OptionError
from s2t_np.layers import KeysValues
from s2t_np.together import Sharing, ordered
from tools.bench.roofs import medians
from tools.upstream.pipe import WORKER, Upstream, UpstreamError, numbered

PEER_WORKER = Path(__file__).resolve().parents[1] / "upstream" / "peer_worker.py"
WEIGHT_TYPES = ("float32", "float16", "int8")
TASK = "automatic-speech-recognition-with-past"


class Ours:
    """This project's model on one backend. `exact`: in float32 all the way, so that its tokens are everybody's."""

    def __init__(self, model: s2t_np.S2T, exact: bool):
        self.model, self.exact = model, exact

    def hear(self, x: np.ndarray, options: dict) -> tuple[list[int], dict, np.ndarray]:
        """See above."""
        began = time.perf_counter()
        memory = self.model.encode(x)
        encoded = time.perf_counter()
        tokens = list(self.model.generate(x, **options)[0].tokens) if options else []
        return tokens, {"encoder": encoded - began, "generate": time.perf_counter() - encoded}, memory

    def hear_many(self, features: list[np.ndarray], options: dict, way: Sharing) -> tuple[list, dict]:
        """See above. `way`: how utterances share the decoder."""
        began, used = time.perf_counter(), time.process_time()
        searches = (self.model.begin(x, **options) for x in features)
        results = list(ordered(searches, self.model.step_together, way))
        times = {"wall": time.perf_counter() - began, "processor": time.process_time() - used}
        return [list(found[0].tokens) for found in results], times

    def step(self, memory: np.ndarray, tokens: np.ndarray, turns: int) -> tuple[np.ndarray, dict]:
        """See above."""
        decoder = self.model.decoder(memory)
        cache, order = decoder.start(len(tokens)), np.arange(len(tokens))
        for column in tokens.T[:-1]:
            decoder.step(column, cache)
        times = {"step": [], "step and reorder": []}
        for kind, values in times.items():
            for _ in range(turns):
                began = time.perf_counter()
                logits = decoder.step(tokens[:, -1], cache).logits
                if kind != "step":
                    cache.reorder(order)
                values.append(time.perf_counter() - began)
                take_back(cache)
        return logits, medians(times)


def take_back(cache) -> None:
    """Forget the last position, so that every step that is timed has the same past."""
    cache.length -= 1
    if isinstance(cache, DecoderCache):
        cache.past = [KeysValues(past.k[:, :-1], past.v[:, :-1]) for past in cache.past]


class Peer:
    """A peer's model, reached through a pipe. `fixed` are arguments of each of its jobs."""

    def __init__(self, upstream: Upstream, versions: dict, exact: bool, **fixed):
        self.upstream, self.versions, self.exact, self.fixed = upstream, versions, exact, fixed

    def hear(self, x: np.ndarray, options: dict) -> tuple[list[int], dict, np.ndarray]:
        """See above. Raises UpstreamError."""
        (tokens, times), out = self.upstream("seconds", numbered("features", [x]), **self.fixed, **options)
        return tokens, times, out["memory"]

    def hear_many(self, features: list[np.ndarray], options: dict, way: int) -> tuple[list, dict]:
        """See above. `way`: utterances in a padded batch. Raises UpstreamError."""
        (tokens, times), _ = self.upstream(
            "batch_seconds", numbered("features", features), width=way, **self.fixed, **options
        )
        return tokens, times

    def step(self, memory: np.ndarray, tokens: np.ndarray, turns: int) -> tuple[np.ndarray, dict]:
        """See above. Raises UpstreamError."""
        times, out = self.upstream("step_seconds", {"memory": memory, "tokens": tokens}, turns=turns, **self.fixed)
        return out["logits"], times


def ours(folder: Path) -> dict[str, Ours]:
    """Every backend and weight type that runs here; the name of one that does not is printed with the reason."""
    found = {"numpy": Ours(s2t_np.load(folder, backend="numpy"), True)}
    for dtype in WEIGHT_TYPES:
        try:
            model = s2t_np.load(folder, backend="numba", dtype=dtype)
        except (BackendError, OptionError) as error:
            print(f"left out: s2t-np {dtype} ({error})", file=sys.stderr)
            continue
        found[f"s2t-np {dtype}"] = Ours(model, dtype == "float32")
    return found


def export(python: str, folder: Path, target: Path) -> None:
    """Let optimum write the checkpoint's graphs, unless they are there. Takes a minute. Raises UpstreamError."""
    if (target / "decoder_with_past_model.onnx").exists():
        return
    command = [python, "-P", "-m", "optimum.commands.optimum_cli", "export", "onnx", "--model", str(folder)]
    print("exporting to ONNX (about a minute) ...", file=sys.stderr)
    done = subprocess.run(
        [*command, "--task", TASK, str(target)], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UpstreamError(f"optimum cannot export: {done.stderr.strip()[-500:]}")


def worker(stack: ExitStack, python: str, threads: int, script: Path, who: str) -> tuple[Upstream, dict] | None:
    """A worker and the versions it reports; None, and a line that says why, where it cannot run."""
    upstream = stack.enter_context(Upstream(python, threads, script))
    try:
        return upstream, upstream("versions")[0]
    except UpstreamError as error:
        print(f"left out: {who} ({str(error).strip().splitlines()[-1]})", file=sys.stderr)
        return None


def with_transformers(stack: ExitStack, python: str, folder: Path, threads: int) -> dict[str, Peer]:
    """transformers on torch, if installed there."""
    if (found := worker(stack, python, threads, WORKER, "transformers")) is None:
        return {}
    return {"transformers": Peer(*found, True, folder=str(folder))}


def with_graphs(stack: ExitStack, python: str, folder: Path, graphs: Path, threads: int) -> dict[str, Peer]:
    """ONNX Runtime, its int8, and OpenVINO: those that are installed there, over an export that is made if need be."""
    first = worker(stack, python, threads, PEER_WORKER, "ONNX Runtime and OpenVINO")
    if first is None or first[1]["optimum-onnx"] is None:
        return {}
    versions, int8, peers = first[1], graphs / "int8", {}
    export(python, folder, graphs)
    if versions["onnxruntime"]:
        if not int8.exists():
            first[0]("quantize", source=str(graphs), target=str(int8))
        second = worker(stack, python, threads, PEER_WORKER, "int8")
        settings = {"engine": "onnxruntime", "threads": threads}
        peers["ONNX Runtime"] = Peer(*first, True, folder=str(graphs), **settings)
        peers["ONNX Runtime int8"] = Peer(*second, False, folder=str(int8), **settings)
    if versions["openvino"]:
        third = worker(stack, python, threads, PEER_WORKER, "OpenVINO")
        peers["OpenVINO"] = Peer(*third, True, folder=str(graphs), engine="openvino", threads=threads)
    return peers


@contextmanager
def contenders(folder: Path, graphs: Path, pythons: list[str], threads: int) -> Iterator[dict[str, Ours | Peer]]:
    """Everybody, by name. Each peer is taken from the first of the interpreters that has it."""
    with ExitStack() as stack:
        found = ours(folder)
        for python in pythons:
            if "transformers" not in found:
                found |= with_transformers(stack, python, folder, threads)
            if not {"ONNX Runtime", "OpenVINO"} & set(found):
                found |= with_graphs(stack, python, folder, graphs, threads)
        yield found
