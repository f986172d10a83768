"""Trees of files for tests."""

import os
import shutil
from pathlib import Path


def make_files(folder: Path, *names: str, content: bytes = b"") -> None:
    """Create these files below a folder, and the folders they are in."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def copies(file: Path, folder: Path, *names: str) -> list[Path]:
    """Copies of a file below a folder, under these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / name)
    return [folder / name for name in names]


def visible(folder: Path) -> list[str]:
    """The names in a folder, hidden ones left out."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))
