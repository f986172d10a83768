"""The recordings in a folder, by the suffixes of their names; nothing here opens a file.

A file of sound or video that is not read (m4a, mp4, ...) is not passed over in silence: it comes as a `LeftOut`.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..audio import UNREAD_SUFFIXES
from .items import Failure, Input, LeftOut

# What libsndfile recognises by its content, under the suffixes such files have.
AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .snd .caf .w64 .rf64 .wavex .sph .nist .voc".split()
)
HEADERLESS_SUFFIXES = frozenset(".raw .pcm".split())  # read only where --raw-rate says what they hold
NAMED = 5  # files that a message lists


def is_audio_file(path: Path, headerless: bool = False) -> bool:
    """By its name: one of the suffixes above, and not hidden ("._talk.wav" holds a Mac's notes, not sound)."""
    known = path.suffix.lower() in (AUDIO_SUFFIXES | HEADERLESS_SUFFIXES if headerless else AUDIO_SUFFIXES)
    return known and not path.name.startswith(".")


def is_unread(path: Path, headerless: bool) -> bool:
    """By its name: sound or video, in a format that is not read."""
    unread = UNREAD_SUFFIXES if headerless else UNREAD_SUFFIXES | HEADERLESS_SUFFIXES
    return path.suffix.lower() in unread and not path.name.startswith(".")


def output_name(path: Path, root: str) -> str:
    """The path relative to `root`, without its suffix."""
    return str(path.relative_to(root).with_suffix(""))


def classified(path: Path, root: str, headerless: bool) -> Iterator[Input | Failure | LeftOut]:
    """Yield the kind of a file found in a folder: nothing, if it is neither sound nor video."""
    if is_unread(path, headerless):
        yield LeftOut(str(path))
    elif is_audio_file(path, headerless):
        if path.exists() and not path.is_file():
            yield Failure(
                str(path), "is a pipe or a device, not a file; it is read only if it is given by its own name"
            )
        else:
            yield Input(str(path), output_name(path, root))


def walk(folder: str, root: str, headerless: bool) -> list[Input | Failure | LeftOut]:
    """The recordings below a folder, sorted by path; hidden folders and links to folders are not entered.

    Output names are relative to `root`. `headerless`: samples without a header are meant too.
    """
    found: list[Input | Failure | LeftOut] = []

    def unreadable(error: OSError) -> None:
        found.append(Failure(str(error.filename), f"cannot be read ({error.strerror})"))

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = [item for name in files for item in classified(Path(here, name), root, headerless)]
        if here != folder and not inside and not folders and is_audio_file(Path(here)):
            inside = [Failure(here, "is a folder without any audio file, though its name ends like a recording's")]
        found += inside
    return sorted(found, key=lambda item: Path(item.path))


def left_out_text(left_out: Sequence[LeftOut]) -> str:
    """Return how many files are left out, of which kinds, which ones, why, and what to do."""
    kinds = Counter(Path(item.path).suffix.lower() for item in left_out)
    counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
    more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    names = ", ".join(item.path for item in left_out[:NAMED]) + more
    says = f"{counts} file left out, because its format is not read"
    if len(left_out) > 1:
        says = f"{counts} files left out, because their formats are not read"
    if kinds.keys() <= HEADERLESS_SUFFIXES:
        return f"{says} without --raw-rate: {names}"
    return f"{says}: {names}; ffmpeg converts them: ffmpeg -v error -i FILE -f wav - | s2t-np transcribe -"
