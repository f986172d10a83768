"""Results in files of their own, each complete or not there, in any order, with a journal in the same folder.

The journal is only added to; of several notes on one file the last counts. A file that is about to be replaced loses
its note first, so that a note never stands for another run's result. A note also holds the hash of each file: one that
something else has changed since (an edited transcript) is neither trusted nor overwritten, but named.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..system.append_files import Journal
from ..system.atomic_files import atomic_file, remove_leftovers
from ..system.names import encoded
from .notes import Remaining, is_same, noted


def digest(data: bytes) -> str:
    """Return what a note says of the content of a result."""
    return hashlib.sha256(data).hexdigest()


class FolderOutput:
    """One file per format for each input."""

    in_order = False

    def __init__(self, folder: Path, paths: Sequence[Sequence[Path]], stamps: Sequence[dict], journal: Path | None):
        """`paths`: below `folder`, where the results of each input go; `stamps`: theirs; without `journal`, no notes.

        Raises OSError.
        """
        self.paths, self.stamps = paths, stamps
        self.names = [[path.relative_to(folder).as_posix() for path in own] for own in paths]
        self.journal = Journal(journal) if journal else None
        self.notes: dict[str, dict] = {}  # the last one on each file
        for entry in self.journal.entries if self.journal else ():
            if isinstance(entry.get("outputs"), dict):
                self.notes |= dict.fromkeys(entry["outputs"], entry)
        for place in {path.parent for own in paths for path in own}:
            remove_leftovers(place)

    def pending(self, by_content: bool = False) -> Remaining:
        """Which inputs have no result that was noted with the same recording and the same identity."""
        remaining = Remaining([], {}, {})
        for index in range(len(self.stamps)):
            note = self.note_of(index, by_content)
            missing, edited = self.compared(index, note) if note else (True, None)
            if missing:
                remaining.todo.append(index)
            elif edited:
                remaining.edited[index] = edited
            elif note.get("incomplete"):
                remaining.incomplete[index] = note["incomplete"]
        return remaining

    def note_of(self, index: int, by_content: bool) -> dict | None:
        """The note that all files of an input share, if it is about the same recording, done in the same way."""
        note, stamp = self.notes.get(self.names[index][0]), self.stamps[index]
        if note is None or any(self.notes.get(name) is not note for name in self.names[index]):
            return None
        return note if note.get("with") == stamp["with"] and is_same(note, stamp, by_content) else None

    def compared(self, index: int, note: dict) -> tuple[bool, Path | None]:
        """The files of an input against their note: whether one is missing or empty, and one that was edited."""
        missing, edited = False, None
        for name, path in zip(self.names[index], self.paths[index], strict=True):
            data = path.read_bytes() if path.is_file() else b""
            same = path.is_file() and digest(data) == note["outputs"][name]
            missing |= not (same or data)
            edited = path if data and not same else edited
        return missing, edited

    def deliver(self, index: int, texts: Sequence[str], incomplete: str | None = None) -> None:
        """Write an input's results, then note them. Raises OSError."""
        files = dict(zip(self.names[index], map(encoded, texts), strict=True))
        if self.journal and files.keys() & self.notes.keys():
            self.journal.add({"outputs": dict.fromkeys(files)})
        for path, data in zip(self.paths[index], files.values(), strict=True):
            with atomic_file(path) as file:
                file.write(data)
        if self.journal:
            note = noted(self.stamps[index], incomplete)
            self.journal.add(note | {"outputs": {name: digest(data) for name, data in files.items()}})

    def close(self) -> None:
        """Close the journal."""
        if self.journal:
            self.journal.close()
