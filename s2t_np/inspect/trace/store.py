"""A trace as files: `trace.npz` or `trace.safetensors` with every array, and `manifest.json`, which describes them.

manifest.json is one JSON object:

    about     the recording, the model, the options, the text
    arrays    the name of the file that holds the arrays
    stages    one object per stage, in the order of computation: stage, shape, dtype, statistics, made_by, called_from
    search    kind, rows, end, and the candidates of the tree; outcomes in words, log-probabilities natural
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...checkpoint import safetensors
from ...errors import OptionError
from ...formats import finite
from ...system.atomic_files import atomic_file
from ...system.names import legible_json

KINDS = ("npz", "safetensors")
MANIFEST = "manifest.json"


def save(trace, folder, kind: str = "npz") -> None:
    """Write a Trace to a folder, which is created if necessary. Raises OptionError, ModelError, OSError."""
    folder = Path(folder)
    if kind not in KINDS:
        raise OptionError(f"a trace is written as {' or '.join(KINDS)}, not {kind!r:.40}")
    os.makedirs(folder, exist_ok=True)
    write_arrays(folder / f"trace.{kind}", trace.arrays)
    write_manifest(folder / MANIFEST, manifest(trace, f"trace.{kind}"))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """{name: array} as .npz or .safetensors, according to the suffix. Raises ModelError, OSError."""
    if path.suffix == ".safetensors":
        safetensors.write(path, arrays, {"format": "np"})
        return
    with atomic_file(path) as file:
        np.savez(file, **arrays)


def write_manifest(path: Path, data: dict) -> None:
    """One JSON object, indented so that a person can find a stage. Raises OSError.

    Values that JSON does not know are written as text: options may hold numpy's numbers, or a prefix that is an array.
    """
    with atomic_file(path) as file:
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False, default=str)
        file.write(legible_json(f"{text}\n").encode())


def manifest(trace, file: str) -> dict:
    """The content of manifest.json."""
    tree = trace.tree
    return {
        "about": trace.about,
        "arrays": file,
        "stages": [entry_record(entry) for entry in trace.entries.values()],
        "search": {
            "kind": tree.kind,
            "rows": tree.rows,
            "end": tree.end,
            "hypotheses": [hypothesis_record(h) for h in trace.transcript.hypotheses],
            "candidates": [candidate_record(c) for c in tree.candidates],
        },
    }


def entry_record(entry) -> dict:
    """An Entry as JSON."""
    return entry._asdict() | {"made_by": entry.made_by._asdict(), "called_from": entry.called_from._asdict()}


def candidate_record(candidate) -> dict:
    """A Candidate as JSON, which knows no infinity: null there."""
    return candidate._asdict() | {"log_prob": finite(candidate.log_prob), "score": finite(candidate.score)}


def hypothesis_record(hypothesis) -> dict:
    """A Hypothesis as JSON."""
    return {
        "tokens": list(hypothesis.tokens),
        "token_log_probs": [finite(p) for p in hypothesis.token_log_probs],
        "score": finite(hypothesis.score),
        "finished": hypothesis.finished,
    }
