"""All results in one file, one after another in the order of the inputs, with a journal of where each of them ends.

Only whole results stay: whatever follows the last one noted is cut off when the file is opened again. The hash of each
result is noted too, and a file that something else has changed is refused. A recording that has changed since, or that
broke off and is complete now, is transcribed again, and its old result is removed.
"""

import hashlib
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ..errors import OptionError
from ..system.append_files import AppendOnlyFile, Journal
from ..system.names import encoded
from .notes import JOURNAL, Remaining, is_same, noted

KEYS = {"input": str, "path": str, "with": str, "end": int, "result": str}  # the keys of a note


def is_note(entry: dict) -> bool:
    """Return whether an entry of a journal is a note of this version, or a cut, with values that can be worked with."""
    places = [entry[key] for key in ("cut", "end") if key in entry]
    if any(type(place) is not int or place < 0 for place in places):
        return False
    return "cut" in entry or all(isinstance(entry.get(key), kind) for key, kind in KEYS.items())


def valid_notes(entries: Sequence[dict], size: int) -> list[dict]:
    """The notes that hold for a file of `size` bytes; an entry {"cut": end} revokes the notes beyond `end`."""
    notes: list[dict] = []
    for entry in entries:
        if "cut" in entry:
            notes = [note for note in notes if note["end"] <= entry["cut"]]
        else:
            notes.append(entry)
    return [note for note in notes if note["end"] <= size]


class FileOutput:
    """One file of results."""

    in_order = True

    def __init__(self, path: Path, stamps: Sequence[dict], resume: bool):
        """Open the file and cut it back to its last whole result. Without `resume` it must be new or empty.

        Raises OSError; OptionError for a file that cannot be continued.
        """
        self.path, self.stamps, self.file = path, stamps, AppendOnlyFile(path)
        size, journal = self.file.size, path.with_name(f".{path.name}{JOURNAL}")
        if size and not resume:
            raise OptionError(f"{path} exists already; --resume continues it, or remove it first")
        if size and not journal.exists():
            raise OptionError(f"{path} was not begun by s2t-np, or its notes are lost; write to another file")
        self.journal = Journal(journal)
        if not all(map(is_note, self.journal.entries)):
            raise OptionError(
                f"{path} was begun by another version of s2t-np, or {journal.name} is damaged; write to another file"
            )
        self.notes = valid_notes(self.journal.entries, size)
        self.check_content()
        self.cut(self.notes[-1]["end"] if self.notes else 0)

    def check_content(self) -> None:
        """Raise OptionError if a noted result is not what the file holds."""
        begin = 0
        with open(self.path, "rb") as file:
            for note in self.notes:
                found = hashlib.sha256(file.read(max(0, note["end"] - begin))).hexdigest()
                if note["result"] != found:
                    raise OptionError(
                        f"{self.path}: something else has changed the result of {note['path']} since it was written; "
                        "write to another file"
                    )
                begin = note["end"]

    def cut(self, end: int) -> None:
        """Drop everything after `end`, from the notes first. Raises OSError."""
        self.journal.add({"cut": end})
        self.file.cut(end)

    def pending(self, by_content: bool = False) -> Remaining:
        """Which inputs have no result in the file; outdated results of these are removed.

        Raises OSError; OptionError for a result that was made with other options or another model.
        """
        remaining, outdated, unclaimed = Remaining([], {}, {}), [], defaultdict(list)
        for note in self.notes:
            unclaimed[note["input"]].append(note)
        for index, stamp in enumerate(self.stamps):
            notes = unclaimed[stamp["input"]]
            if note := next((note for note in notes if is_same(note, stamp, by_content)), None):
                self.check_identity(note, stamp)
                notes.remove(note)
                if note.get("incomplete"):
                    remaining.incomplete[index] = note["incomplete"]
            else:
                remaining.todo.append(index)
        for stamp in (self.stamps[index] for index in remaining.todo):
            for note in (note for note in unclaimed[stamp["input"]] if note["path"] == stamp["path"]):
                self.check_identity(note, stamp)
                outdated.append(note)
        self.remove(outdated)
        return remaining

    def check_identity(self, note: dict, stamp: dict) -> None:
        """Raise OptionError for a result that was made differently."""
        if note["with"] != stamp["with"]:
            raise OptionError(
                f"{self.path} has a result of {stamp['path']} that was made with other options or another model; "
                "write to another file"
            )

    def remove(self, outdated: Sequence[dict]) -> None:
        """Remove the results of these notes; those after the first of them are appended again. Raises OSError."""
        if not outdated:
            return
        first = next(i for i, note in enumerate(self.notes) if note in outdated)
        kept, begin = self.notes[first:], self.notes[first - 1]["end"] if first else 0
        with open(self.path, "rb") as file, tempfile.TemporaryFile() as rest:
            file.seek(begin)
            shutil.copyfileobj(file, rest)
            rest.seek(0)
            self.notes = self.notes[:first]
            self.cut(begin)
            for note in kept:
                data = rest.read(note["end"] - begin)
                begin = note["end"]
                if note not in outdated:
                    self.append(note, data)

    def append(self, note: dict, data: bytes) -> None:
        """Add a result, then its note. Raises OSError."""
        note = note | {"end": self.file.append(data), "result": hashlib.sha256(data).hexdigest()}
        self.journal.add(note)
        self.notes.append(note)

    def deliver(self, index: int, texts: Sequence[str], incomplete: str | None = None) -> None:
        """Add the result of an input, then its note. Raises OSError."""
        self.append(noted(self.stamps[index], incomplete), encoded("".join(texts)))

    def close(self) -> None:
        """Bring everything to the disk. Raises OSError."""
        self.file.close()
        self.journal.close()
