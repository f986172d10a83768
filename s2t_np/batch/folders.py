"""The recordings in a folder, by the suffixes of their names; no file is opened but those whose suffix has two
meanings.

A file of sound or video that is not read (m4a, mp4, ... where PyAV is not installed) is not passed over in silence: it
comes as a `LeftOut`.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..audio import FFMPEG_SUFFIXES, describe_format, has_ffmpeg
from ..system.atomic_files import is_device
from .items import Failure, Input, LeftOut

# What libsndfile recognises by its content, under the suffixes such files have.
AUDIO_SUFFIXES = frozenset(
    (
        ".wav .wave .flac .ogg .oga .opus .mp3 .mp2 .mp1 .mpga .aiff .aif .aifc .au .snd .caf .w64 .rf64 .wavex .sph "
        ".nist .voc .avr .paf .pvf .svx .8svx .ircam .sf .htk .sds .wve"
    ).split()
)
AMBIGUOUS_SUFFIXES = frozenset([".ts"])  # a transport stream, or the source text of a program
HEADERLESS_SUFFIXES = frozenset(
    ".raw .pcm .al .alaw .ul .ulaw .sb .ub .sw .uw .s16 .f32".split()
)  # read only where --raw-rate says what they hold
NAMED = 5  # files that a message lists


def is_ours(path: Path) -> bool:
    """By its name: what libsndfile reads, and not hidden ("._talk.wav" holds a Mac's notes, not sound)."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def is_ffmpegs(path: Path) -> bool:
    """By its name, and by its first bytes where the name does not say it: what FFmpeg reads."""
    suffix, hidden = path.suffix.lower(), path.name.startswith(".")
    return not hidden and (suffix in FFMPEG_SUFFIXES or (suffix in AMBIGUOUS_SUFFIXES and begins_as_sound(path)))


def begins_as_sound(path: Path) -> bool:
    """By its first bytes: a format of sound or video."""
    try:
        with open(path, "rb") as file:
            return path.is_file() and describe_format(file.read(400)) is not None
    except OSError:
        return False


def is_headerless(path: Path) -> bool:
    """By its name: samples without a header."""
    return path.suffix.lower() in HEADERLESS_SUFFIXES and not path.name.startswith(".")


def is_audio_file(path: Path, headerless: bool = False) -> bool:
    """By its name: a recording that can be read."""
    return is_ours(path) or (headerless and is_headerless(path)) or (has_ffmpeg() and is_ffmpegs(path))


def is_unread(path: Path, headerless: bool) -> bool:
    """By its name: sound or video that is not read, for want of PyAV or of --raw-rate."""
    return not is_audio_file(path, headerless) and (is_headerless(path) or is_ffmpegs(path))


def output_name(path: Path, root: str) -> str:
    """The path relative to `root`, without its suffix."""
    return str(path.relative_to(root).with_suffix(""))


def classified(path: Path, root: str, headerless: bool) -> Iterator[Input | Failure | LeftOut]:
    """Yield the kind of a file found in a folder: nothing, if it is neither sound nor video."""
    if is_unread(path, headerless):
        yield LeftOut(str(path))
    elif is_audio_file(path, headerless):
        if is_device(path):
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
    return (
        f"{says}: {names}; with PyAV they are read (pip install av); without it, ffmpeg converts them: ffmpeg -v error "
        "-i FILE -f wav - | s2t-np transcribe -"
    )
