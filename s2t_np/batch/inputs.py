"""Which recordings a batch consists of: files, folders, patterns, and lists of them.

Nothing here opens a recording. What cannot be found is a `Failure` among the inputs. A recording that is reached twice
(given twice, in a folder and by a pattern, through a symbolic link) is transcribed once, and that is said. Hard links
are files of their own: backups and data sets use them for trees in which every name counts.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .. import audio
from ..audio import is_url, remote
from ..errors import AudioError, OptionError
from .folders import is_audio_file, is_unread, left_out_text, output_name, walk
from .items import STDIN, Failure, Input, LeftOut
from .patterns import has_wildcards, paths_matching, pattern_root


class Found(NamedTuple):
    """The inputs that the arguments of a batch denote."""

    inputs: list[Input]
    failures: list[Failure]
    notes: list[str]  # one line each: what is left out, or transcribed only once


def matches(pattern: str, headerless: bool) -> list[Input | Failure | LeftOut]:
    """The recordings that match a pattern (*, ?, [abc], and ** for folders of any depth), sorted.

    Output names are relative to the folder that the pattern begins with. A file whose suffix is none of a recording's
    is meant only if the pattern names that suffix.
    """
    root, suffix, found = pattern_root(pattern), Path(pattern).suffix, []
    for path in map(Path, paths_matching(pattern)):
        if path.is_dir():
            found += [] if "**" in pattern else walk(str(path), root, headerless)
        elif is_audio_file(path, headerless) or (suffix and path.match(f"*{suffix}")):
            found.append(Input(str(path), output_name(path, root)))
        elif is_unread(path, headerless):
            found.append(LeftOut(str(path)))
    return found or [Failure(pattern, "no file matches this pattern")]


def expand_one(path: str, headerless: bool) -> list[Input | Failure | LeftOut]:
    """The recordings that one argument stands for; an argument that exists under this very name is not a pattern."""
    if path == STDIN:
        return [Input(path, "stdin")]
    if is_url(path):
        return addresses(path, headerless)
    if os.path.isdir(path):
        return walk(path, path, headerless) or [Failure(path, "a folder without any audio file")]
    if os.path.exists(path):
        return [Input(path, Path(path).stem)]
    return matches(path, headerless) if has_wildcards(path) else [Failure(path, "no such file or folder")]


def addresses(url: str, headerless: bool) -> list[Input | Failure | LeftOut]:
    """The recordings that an address stands for: it may be a folder (ending in /) or a pattern (*)."""
    if not remote.is_several(url):
        return [Input(url, Path(remote.file_name(url)).stem)]
    try:
        found = [(Path(remote.file_name(one)), one) for one in remote.listing(url)]
    except AudioError as error:
        return [failure_of(url, error)]
    left_out = [LeftOut(one) for path, one in found if is_unread(path, headerless)]
    inputs = [Input(one, path.stem) for path, one in found if is_audio_file(path, headerless)]
    return [*inputs, *left_out] or [Failure(url, "no recording is there")]


def failure_of(path: str, error: AudioError) -> Failure:
    """An input that cannot be found."""
    name = audio.name_of(path)
    return Failure(name, str(error).removeprefix(f"{name}: "))


def told(path: str, found: list[Input | Failure | LeftOut]) -> Found:
    """The same, with one note for all that the argument `path` leaves out; a failure, if nothing else is there."""
    left_out = [item for item in found if isinstance(item, LeftOut)]
    notes = [f"{path}: {left_out_text(left_out)}"] if left_out else []
    if notes and len(left_out) == len(found):
        return Found([], [Failure(path, f"holds no recording that is read; {left_out_text(left_out)}")], [])
    return Found(
        [item for item in found if isinstance(item, Input)],
        [item for item in found if isinstance(item, Failure)],
        notes,
    )


def without_repeats(inputs: Iterable[Input]) -> tuple[list[Input], list[str]]:
    """Each recording once, the first time it is named; and a note on those named again."""
    first: dict[str, Input] = {}
    repeats = []
    for item in inputs:
        place = item.path if item.path == STDIN or is_url(item.path) else os.path.realpath(item.path)
        if place in first:
            same = f"the same recording as {first[place].path}"
            repeats.append(f"{item.path} is {'given twice' if item.path == first[place].path else same}")
        first.setdefault(place, item)
    more = f", and {len(repeats) - 1} more like it" if len(repeats) > 1 else ""
    return list(first.values()), [f"{repeats[0]}{more}; each is transcribed once"] if repeats else []


def expand(paths: Iterable[str], headerless: bool = False) -> Found:
    """Files stay, folders and patterns become the recordings they hold, in the order given.

    `headerless`: samples without a header (--raw-rate) are meant too. Raises OptionError for "-" twice.
    """
    paths = list(paths)
    if paths.count(STDIN) > 1:
        raise OptionError('"-" is given twice, but standard input can be read only once')
    each = [told(path, expand_one(path, headerless)) for path in paths]
    inputs, repeated = without_repeats(item for found in each for item in found.inputs)
    notes = list(dict.fromkeys(note for found in each for note in found.notes))
    return Found(inputs, [failure for found in each for failure in found.failures], notes + repeated)


def read_list(source: str, null: bool = False) -> list[str]:
    """The paths in a list file ("-": standard input), one per line, or each ended by a zero byte (`find -print0`).

    Empty lines are skipped. Raises OptionError.
    """
    name = f"--files-from {audio.name_of(source)}"
    try:
        data = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
        data = data.removeprefix(b"\xef\xbb\xbf")  # the mark with which editors on Windows begin UTF-8
    except OSError as error:
        raise OptionError(f"{name}: cannot be read ({error.strerror})") from None
    lines = data.split(b"\0") if null else [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if not null and b"\0" in data:
        raise OptionError(f"{name}: holds zero bytes; --null reads a list that is divided by them")
    return [os.fsdecode(line) for line in lines if line]
