"""log.jsonl: one line of JSON for every few updates and for every validation."""

import os
from pathlib import Path

from ..system.append_files import Journal, line_of, parsed
from ..system.atomic_files import atomic_file, named

NAME = "log.jsonl"


def read_log(run: Path) -> list[dict]:
    """The entries of RUN/log.jsonl. Raises OSError."""
    lines = (run / NAME).read_bytes().split(b"\n")
    return [entry for line in lines if (entry := parsed(line)) is not None]


class Log:
    """The log of a run, open to be added to."""

    def __init__(self, run: Path, update: int):
        """Open RUN/log.jsonl; lines after `update`, where the run goes on, are of work that is done again.

        Raises OSError.
        """
        self.path = run / NAME
        journal = Journal(self.path)
        journal.close()
        self.entries = [entry for entry in journal.entries if entry.get("update", 0) <= update]
        whole = b"".join(map(line_of, self.entries))
        if self.path.read_bytes() != whole:  # there is more, or a line that a crash has torn
            with atomic_file(self.path) as file:
                file.write(whole)
        self.journal = Journal(self.path)

    def add(self, **entry) -> None:
        """Add a line. Raises OSError."""
        rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in entry.items()}
        self.entries.append(rounded)
        self.journal.add(rounded)

    def sync(self) -> None:
        """Bring it to the disk. Raises OSError."""
        with named(self.path):
            os.fsync(self.journal.file.fileno())

    def close(self) -> None:
        self.journal.close()
