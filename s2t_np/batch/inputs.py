"""Which recordings a batch is made of: files, folders, patterns, lists of them; and where the result of each goes.

Nothing here opens a recording. What is not there is a `Failure` among the inputs, and whoever iterates decides what to
do with it.
"""

import glob
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import OptionError

STDIN = "-"
# What libsndfile recognises by its content, under the names such files go by. Headerless ones (.raw, .pcm) say nothing
# of their rate, so they are no audio files here.
AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .snd .caf .w64 .rf64 .wavex .sph .nist .voc".split()
)


class Input(NamedTuple):
    """One recording to transcribe."""

    path: str  # as it was given, or below the folder that was given; "-" is standard input
    name: str  # of its output, without a suffix, relative to the output folder


class Failure(NamedTuple):
    """One input that gave no transcript, and why."""

    path: str  # or "standard input"
    reason: str


def name_of(path: str) -> str:
    """What messages call an input, as the audio room does."""
    return "standard input" if path == STDIN else path


def is_audio_file(path: Path) -> bool:
    """By its name: a suffix of AUDIO_SUFFIXES, and not hidden ("._talk.wav" holds a Mac's notes, no sound)."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def walk(folder: str, root: str) -> list[Input | Failure]:
    """The audio files below a folder, sorted by path; hidden folders and links to folders are not entered.

    Their names are relative to `root`.
    """
    found: list[Path] = []
    failures: list[Input | Failure] = []

    def unreadable(error: OSError) -> None:
        failures.append(Failure(str(error.filename), f"cannot be read ({error.strerror})"))

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [path for name in files if is_audio_file(path := Path(here, name))]
    if not found and not failures:
        return [Failure(folder, "a folder without any audio file")]
    return failures + [Input(str(p), str(p.relative_to(root).with_suffix(""))) for p in sorted(found)]


def pattern_root(pattern: str) -> str:
    """The folder that a pattern begins with, before its first wildcard: rec/*/a*.wav -> rec."""
    folder = pattern
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder or "."


def matches(pattern: str) -> list[Input | Failure]:
    """What a pattern stands for (*, ?, [abc], and ** for folders of any depth), sorted; named relative to its root.

    Files that are no audio by their name are meant only where the pattern says their suffix.
    """
    root, found = pattern_root(pattern), []
    for path in sorted(glob.glob(pattern, recursive=True)):
        if os.path.isdir(path):
            found += [] if "**" in pattern else walk(path, root)
        elif is_audio_file(Path(path)) or (Path(pattern).suffix and Path(path).match(f"*{Path(pattern).suffix}")):
            found.append(Input(path, str(Path(path).relative_to(root).with_suffix(""))))
    return found or [Failure(pattern, "no file matches this pattern")]


def expand_one(path: str) -> list[Input | Failure]:
    """The inputs that one argument of the command stands for; what exists under this very name is no pattern."""
    if path == STDIN:
        return [Input(path, "stdin")]
    if os.path.isdir(path):
        return walk(path, path)
    if os.path.exists(path):
        return [Input(path, Path(path).stem)]
    return matches(path) if glob.has_magic(path) else [Failure(path, "no such file or folder")]


def expand(paths: Iterable[str]) -> tuple[list[Input], list[Failure]]:
    """Files stay, folders and patterns become the audio files they hold, in the order given.

    Raises OptionError for "-" twice.
    """
    paths = list(paths)
    if paths.count(STDIN) > 1:
        raise OptionError('"-" is given twice, but standard input can be read only once')
    found = [item for path in paths for item in expand_one(path)]
    return [x for x in found if isinstance(x, Input)], [x for x in found if isinstance(x, Failure)]


def read_list(source: str, null: bool = False) -> list[str]:
    """The paths in a list file ("-": standard input), one a line, or each ended by a zero byte (`find -print0`).

    Empty lines are nothing. Raises OptionError.
    """
    try:
        data = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
        data = data.removeprefix(b"\xef\xbb\xbf")  # with which editors on Windows begin UTF-8
    except OSError as error:
        raise OptionError(f"--files-from {name_of(source)}: cannot be read ({error.strerror})") from None
    lines = data.split(b"\0") if null else [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if not null and b"\0" in data:
        raise OptionError(f"--files-from {name_of(source)}: has zero bytes; --null reads a list that they divide")
    return [os.fsdecode(line) for line in lines if line]


def output_paths(inputs: list[Input], folder: str, suffixes: Iterable[str]) -> list[list[Path]]:
    """Where the results of each input go, one for each suffix.

    Raises OptionError where two would go to one place, or one onto an input itself.
    """
    owners: dict[Path, Input] = {}
    sources = {os.path.realpath(item.path): item for item in inputs if item.path != STDIN}
    paths = [[Path(folder, item.name + suffix) for suffix in suffixes] for item in inputs]
    for item, path in ((item, path) for item, own in zip(inputs, paths, strict=True) for path in own):
        if path in owners:
            raise OptionError(f"{owners[path].path} and {item.path} would both write {path}; transcribe them apart")
        if source := sources.get(os.path.realpath(path)):
            raise OptionError(f"the result of {item.path} would overwrite the input {source.path}")
        owners[path] = item
    return paths
