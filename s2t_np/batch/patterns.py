"""Paths that match a pattern: *, ?, [abc], and ** for folders of any depth.

As `glob`, except that ** does not enter links to folders: one link to a parent folder would repeat every file up to 40
times, and two such links would never end.
"""

import os
from collections.abc import Iterator
from fnmatch import fnmatch


def has_wildcards(path: str) -> bool:
    """Return whether a path is a pattern."""
    return any(letter in path for letter in "*?[")


def pattern_root(pattern: str) -> str:
    """The folder that a pattern begins with, before its first wildcard: rec/*/a*.wav -> rec."""
    folder = pattern
    while has_wildcards(folder):
        folder = os.path.dirname(folder)
    return folder or "."


def visible_names(folder: str) -> list[str]:
    """The names in a folder, hidden ones left out; none if it cannot be read."""
    try:
        return [name for name in os.listdir(folder or ".") if not name.startswith(".")]
    except OSError:
        return []


def subfolders(folder: str) -> Iterator[str]:
    """A folder and all folders below it; hidden ones and links are not entered."""
    yield folder
    for name in visible_names(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            yield from subfolders(path)


def expanded(folder: str, parts: list[str]) -> Iterator[str]:
    """The paths below `folder` that match the parts of a pattern, one for each level."""
    if not parts:
        yield folder
        return
    first, *rest = parts
    if first == "**":
        rest = rest or ["*"]
        yield from (path for inside in subfolders(folder) for path in expanded(inside, rest))
    elif has_wildcards(first):
        names = os.listdir(folder or ".") if first.startswith(".") else visible_names(folder)
        yield from (p for name in names if fnmatch(name, first) for p in expanded(os.path.join(folder, name), rest))
    elif os.path.lexists(path := os.path.join(folder, first)):
        yield from expanded(path, rest)


def paths_matching(pattern: str) -> list[str]:
    """Every path that matches, once, sorted."""
    drive, rest = os.path.splitdrive(pattern)
    root = drive + os.sep if rest.startswith(os.sep) else drive
    parts = [part for part in rest.split(os.sep) if part]
    return sorted(set(expanded(root, parts)))
