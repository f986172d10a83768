"""log.jsonl: one line of JSON for every few updates and for every validation."""

from pathlib import Path

from ..system.append_files import Journal, parsed
from ..system.atomic_files import atomic_file

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
        path = run / NAME
        journal = Journal(path)
        kept = [entry for entry in journal.entries if entry.get("update", 0) <= update]
        if len(kept) < len(journal.entries):
            journal.close()
            with atomic_file(path) as file:
                file.write(b"")
            journal = Journal(path)
            for entry in kept:
                journal.add(entry)
        self.journal, self.entries = journal, kept

    def add(self, **entry) -> None:
        """Add a line. Raises OSError."""
        rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in entry.items()}
        self.entries.append(rounded)
        self.journal.add(rounded)

    def close(self) -> None:
        self.journal.close()
