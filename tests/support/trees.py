"""Trees of files for tests."""

from pathlib import Path


def make_files(folder: Path, *names: str, content: bytes = b"") -> None:
    """Create these files below a folder, and the folders they are in."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
