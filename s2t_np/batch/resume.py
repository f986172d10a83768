"""What is done already: notes that a batch takes, so that after a crash or a kill it goes on where it was.

Beside the outputs lies a journal (files.Journal) with a line for each input that is done: its path, size and time of
change, and a short name for all it was done with. A note is added when the result is written, never before; a result
counts as done only if its input is still in the state noted and the settings are the same.

    FolderOutput   a file, or some, for each input, in any order
    FileOutput     all results in one file, in the order of the inputs; a note also says where each result ends

To go on means: `pending` says what is left, `deliver` takes its results.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import OptionError
from ..model import S2T
from ..system.atomic_files import GrowingFile, Journal, atomic_file
from .inputs import STDIN, Input

JOURNAL = ".s2t-np-done.jsonl"


def identity(model: S2T, version: str, settings: Mapping) -> str:
    """A short name for all that decides what is written: program, model, backend, precision and settings.

    The model is known by its files' names, sizes and times of change.
    """
    states = ((path.name, path.stat()) for path in sorted(model.folder.iterdir()) if path.is_file())
    files = [[name, state.st_size, state.st_mtime_ns] for name, state in states]
    everything = [version, files, model.backend.name, str(model.dtype), settings]
    return hashlib.sha256(json.dumps(everything, sort_keys=True, default=str).encode()).hexdigest()[:16]


def stamp(item: Input, identity: str) -> dict:
    """What a note says of an input: which file, in which state, done with what."""
    if item.path == STDIN or not os.path.exists(item.path):
        return {"input": item.path, "with": identity}
    now = os.stat(item.path)
    return {"input": os.path.abspath(item.path), "size": now.st_size, "mtime_ns": now.st_mtime_ns, "with": identity}


def encoded(text: str) -> bytes:
    """UTF-8; a file name in it that is no Unicode keeps its bytes."""
    return text.encode("utf-8", "surrogateescape")


class FolderOutput:
    """Results in files of their own, each whole or not there."""

    in_order = False

    def __init__(self, journal: Path, paths: Sequence[Sequence[Path]], stamps: Sequence[dict], resume: bool):
        """`paths`: where the results of each input go; `stamps`: theirs. Unless `resume`, all are made anew.

        Raises OSError.
        """
        self.journal, self.paths, self.stamps = Journal(journal), paths, stamps
        self.notes = self.journal.entries if resume else []

    def pending(self) -> list[int]:
        """Which inputs have no result, or one that was not noted under the same stamp."""
        noted = {json.dumps(note, sort_keys=True) for note in self.notes}
        return [
            index
            for index, (stamp, paths) in enumerate(zip(self.stamps, self.paths, strict=True))
            if json.dumps(stamp, sort_keys=True) not in noted or not all(path.exists() for path in paths)
        ]

    def deliver(self, index: int, texts: Sequence[str]) -> None:
        """Write an input's results, then note it. Raises OSError."""
        for path, text in zip(self.paths[index], texts, strict=True):
            with atomic_file(path) as file:
                file.write(encoded(text))
        self.journal.add(self.stamps[index])

    def close(self) -> None:
        self.journal.close()


def valid_notes(entries: Sequence[dict], size: int) -> list[dict]:
    """The notes of a FileOutput that hold for a file of that size: {"cut": end} took back what was beyond."""
    notes: list[dict] = []
    for entry in entries:
        if "cut" in entry:
            notes = [note for note in notes if note["end"] <= entry["cut"]]
        else:
            notes.append(entry)
    return [note for note in notes if note["end"] <= size]


class FileOutput:
    """All results in one file, one after another in the order of the inputs."""

    in_order = True

    def __init__(self, path: Path, stamps: Sequence[dict], resume: bool):
        """Open the file, cut back to its last whole result. Raises OSError; OptionError for a file not to be continued.

        Unless `resume`, it must be new or empty.
        """
        self.path, self.stamps, self.file = path, stamps, GrowingFile(path)
        size, journal = self.file.size, path.with_name(f".{path.name}{JOURNAL}")
        if size and not resume:
            raise OptionError(f"{path} exists already; --resume continues it, or remove it first")
        if size and not journal.exists():
            raise OptionError(f"{path} was not begun by s2t-np, or its notes are lost; write to another file")
        self.journal = Journal(journal)
        self.notes = valid_notes(self.journal.entries, size)
        end = self.notes[-1]["end"] if self.notes else 0
        self.file.cut(end)
        self.journal.add({"cut": end})

    def pending(self) -> list[int]:
        """Which inputs have no result in the file. Raises OptionError where one is there that was made differently."""
        stamps = [{key: value for key, value in note.items() if key != "end"} for note in self.notes]
        done, left = Counter(stamp["input"] for stamp in stamps), []
        for index, stamp in enumerate(self.stamps):
            if not done[stamp["input"]]:
                left.append(index)
            elif stamp in stamps:
                done[stamp["input"]] -= 1
            else:
                raise OptionError(
                    f"{self.path} has a result of {stamp['input']} in another state, or of other options or another "
                    "model; write to another file"
                )
        return left

    def deliver(self, index: int, texts: Sequence[str]) -> None:
        """Add an input's result, then note it and where it ends. Raises OSError."""
        self.journal.add(self.stamps[index] | {"end": self.file.append(encoded("".join(texts)))})

    def close(self) -> None:
        self.file.close()
        self.journal.close()
