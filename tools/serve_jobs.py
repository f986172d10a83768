"""The worker's end of the pipe of tools/upstream.py: one JSON line in, one out, arrays in npz files named in the job.

A job names a function of the worker's table and its arguments: {"call": "stages", "arrays": "in.npz", "answer":
"out.npz", "folder": ...}. The function takes the arrays first and returns (result, {name: array}).
"""

import json
import os
import sys
import traceback
from collections.abc import Callable

import numpy as np


def numbered(arrays: dict, name: str) -> list[np.ndarray]:
    """The arrays called name.0, name.1, ..."""
    return [arrays[f"{name}.{i}"] for i in range(sum(key.startswith(f"{name}.") for key in arrays))]


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
