"""The output path of each recording in the output folder: no two are alike, and none is a recording itself."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import OptionError
from .items import STDIN, Input


def parent(item: Input) -> str:
    """The absolute path of the folder that a recording is in."""
    return os.path.dirname(os.path.abspath(item.path))


def with_folders(group: Sequence[Input]) -> list[Input]:
    """Recordings of one name, with that part of their folders' paths in which they differ; as they are if in one."""
    folders = [parent(item) for item in group]
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # on different drives of Windows
        return list(group)
    if len(set(folders)) == 1:
        return list(group)
    return [
        item._replace(name=os.path.normpath(os.path.join(os.path.relpath(folder, common), os.path.basename(item.name))))
        for item, folder in zip(group, folders, strict=True)
    ]


def with_suffixes(group: Sequence[Input]) -> list[Input]:
    """Recordings of one name, with their suffixes in their names."""
    return [item._replace(name=item.name + os.path.splitext(item.path.partition("?")[0])[1]) for item in group]


def with_unique_names(inputs: Sequence[Input]) -> list[Input]:
    """The inputs under output names that differ: those of one name keep their folders, then their suffixes.

    talk.wav and talk.mp3 become talk.wav.txt and talk.mp3.txt; a/x.flac and b/x.flac become a/x.txt and b/x.txt.
    """
    unique = list(inputs)
    for distinguished in (with_folders, with_suffixes):
        groups = defaultdict(list)
        for index, item in enumerate(unique):
            groups[item.name].append(index)
        for indices in (own for own in groups.values() if len(own) > 1):
            files = [index for index in indices if unique[index].path != STDIN]
            for index, item in zip(files, distinguished([unique[index] for index in files]), strict=True):
                unique[index] = item
    return unique


def output_paths(inputs: Sequence[Input], folder: str, suffixes: Iterable[str]) -> list[list[Path]]:
    """Return where the results of each input go, one path for each suffix.

    Raises OptionError where two would go to one place, or one onto an input itself.
    """
    owners: dict[Path, Input] = {}
    sources = {os.path.realpath(item.path): item for item in inputs if item.path != STDIN}
    paths = [[Path(folder, item.name + suffix) for suffix in suffixes] for item in inputs]
    for item, path in ((item, path) for item, own in zip(inputs, paths, strict=True) for path in own):
        if path in owners:
            raise OptionError(
                f"{owners[path].path} and {item.path} would both write {path}; transcribe them separately"
            )
        if source := sources.get(os.path.realpath(path)):
            raise OptionError(f"the result of {item.path} would overwrite the input {source.path}")
        owners[path] = item
    return paths
