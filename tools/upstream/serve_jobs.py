"""The worker's end of the pipe of pipe.py: one JSON line in, one out, arrays in npz files named in the job.

A job names a function of the worker's table and its arguments: {"call": "stages", "arrays": "in.npz", "answer":
"out.npz", "folder": ...}. The function takes the arrays first and returns (result, {name: array}).
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable

import numpy as np


def numbered(arrays: dict, name: str) -> list[np.ndarray]:
    """The arrays called name.0, name.1, ..."""
    return [arrays[f"{name}.{i}"] for i in range(sum(key.startswith(f"{name}.") for key in arrays))]


def padded(features: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Features (T, M) of B utterances as upstream's models take them: (B, T, M), and a mask (B, T)."""
    lengths = [len(x) for x in features]
    batch = np.zeros((len(features), max(lengths), features[0].shape[1]), np.float32)
    mask = np.zeros(batch.shape[:2], np.int64)
    for row, x in enumerate(features):
        batch[row, : len(x)], mask[row, : len(x)] = x, 1
    return batch, mask


def in_batches(features: list[np.ndarray], width: int, generate: Callable[..., list]) -> list:
    """[rows of tokens, {"wall": s, "processor": s}] of generate(batch, mask) over `width` utterances at a time.

    Seconds of the processor are those of all threads of this process.
    """
    rows, began, used = [], time.perf_counter(), time.process_time()
    for start in range(0, len(features), width):
        rows += generate(*padded(features[start : start + width]))
    return [rows, {"wall": time.perf_counter() - began, "processor": time.process_time() - used}]


def work(jobs: dict[str, Callable], call: str, arrays: str, answer: str, **arguments) -> dict:
    """Do one job; what goes wrong is part of the answer."""
    try:
        with np.load(arrays) as given:
            result, out = jobs[call](dict(given), **arguments)
        np.savez(answer, **out)
        return {"result": result}
    except Exception:
        return {"error": traceback.format_exc()}


def serve(functions) -> None:
    """Answer until there are no more jobs. `functions` are the table."""
    jobs = {function.__name__: function for function in functions}
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    for line in sys.stdin:
        print(json.dumps(work(jobs, **json.loads(line))), file=answers, flush=True)
