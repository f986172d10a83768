"""The notes that a journal keeps on a result, so that a batch can be resumed: of which recording, made with what,
how it ended.

    input, path, size, mtime_ns   the recording: its name below the folder or pattern that was given, where it was, and
                                  the state of the file when it was read
    sha256                        of its content
    remote                        instead, of a recording at an address: its size, and its version by its server
    with                          a short name for everything else that the result depends on (`identity`)
    incomplete                    why the recording breaks off, if it does

A recording counts as the same if its name, size and time of change are; on request, if its name and content are. Where
it is does not matter, so a folder that was moved or mounted elsewhere is not transcribed again.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..audio import is_url, remote
from ..audio.selection import EVERYTHING
from ..model import S2T
from .items import STDIN, Input, Unread

JOURNAL = ".s2t-np-done.jsonl"
SAMPLE_BYTES, SAMPLES = 1 << 12, 64  # how much of a model's file is read, and at how many places


class Remaining(NamedTuple):
    """The remaining work of a batch that is resumed, by index of the inputs."""

    todo: list[int]
    incomplete: dict[int, str]  # done already, but the recording breaks off, and has not changed since: why it does
    edited: dict[int, Path]  # done already, but something else has changed the result since: its file


def sampled_digest(path: Path) -> str:
    """A hash of the size of a file and of SAMPLES parts of it: enough to tell one set of weights from another.

    A file that is no larger than the parts together is read once, whole.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        if size <= SAMPLE_BYTES * SAMPLES:
            digest.update(file.read(SAMPLE_BYTES * SAMPLES))
            return digest.hexdigest()
        for number in range(SAMPLES):
            file.seek(number * max(0, size - SAMPLE_BYTES) // (SAMPLES - 1))
            digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def files_of(place: Path) -> list[Path]:
    """The files that a model was loaded from: those of its folder, or a .pt of fairseq's and those beside it."""
    if place.is_dir():
        return sorted(path for path in place.iterdir() if path.is_file())
    return [place, *sorted(path for path in place.parent.iterdir() if path.is_file() and path.suffix != ".pt")]


def identity(model: S2T, version: str, settings: Mapping) -> str:
    """A short name for everything that decides a result: program, model, backend, precision and settings.

    A model is known by the names and the (sampled) content of its files, so that it may be moved or downloaded again.
    """
    files = [[path.name, sampled_digest(path)] for place in model.places for path in files_of(place)]
    everything = [version, files, model.backend.name, str(model.dtype), settings]
    return hashlib.sha256(json.dumps(everything, sort_keys=True, default=str).encode()).hexdigest()[:16]


def stamp(item: Input, identity: str) -> dict:
    """The note of a recording in its present state, without its content."""
    name = item.name + os.path.splitext(remote.file_name(item.path) if is_url(item.path) else item.path)[1]
    if (item.selection, item.piece) != (EVERYTHING, None):
        identity += f" {item.selection} {item.piece}"
    if item.path == STDIN or is_url(item.path):
        return {"input": name, "path": item.path, "with": identity}
    note = {"input": name, "path": os.path.abspath(item.path), "with": identity}
    try:
        now = os.stat(item.path)
    except OSError:  # it is not there, or cannot be looked at: without a state it counts as changed the next time
        return note
    return note | {"size": now.st_size, "mtime_ns": now.st_mtime_ns}


def content(path: str) -> str | None:
    """The SHA-256 of a recording; None where it cannot be read again (a pipe, or a file that is gone)."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def noted(stamp: dict, incomplete: str | None) -> dict:
    """The note of a recording that is done. One that could not be read to its end has no state: it is tried again."""
    if isinstance(incomplete, Unread):
        return {key: stamp[key] for key in ("input", "path", "with")} | {"incomplete": incomplete}
    note = stamp | {"sha256": content(stamp["path"])}
    note |= {"remote": remote.state(stamp["path"])} if is_url(stamp["path"]) else {}
    return note | {"incomplete": incomplete} if incomplete else note


def is_same(note: dict, stamp: dict, by_content: bool) -> bool:
    """Return whether a note is about the recording that `stamp` describes."""
    if is_url(stamp["path"]):
        state = note.get("remote")
        return bool(state) and note.get("input") == stamp["input"] and state == remote.state(stamp["path"])
    keys = ("input", "size") if by_content else ("input", "size", "mtime_ns")
    if "size" not in stamp or any(note.get(key) != stamp[key] for key in keys):
        return False
    return not by_content or (note.get("sha256") is not None and note["sha256"] == content(stamp["path"]))
