"""The items of a batch: recordings to transcribe, and those that could not be."""

from typing import NamedTuple

from ..audio.selection import EVERYTHING, Selection

STDIN = "-"


class Input(NamedTuple):
    """One recording to transcribe."""

    path: str  # as it was given, or below the folder that was given; "-" is standard input
    name: str  # name of its output, without a suffix, relative to the output folder
    selection: Selection = EVERYTHING  # the part of it that is heard
    piece: tuple[int, int] | None = None  # where in the file it begins and how long it is (manifests.py)


class Failure(NamedTuple):
    """One input that gave no transcript, and why."""

    path: str  # or "standard input"
    reason: str


class Unread(str):
    """Why a recording is incomplete where reading it has failed: another try may hear all of it."""


class LeftOut(NamedTuple):
    """A file of sound or video in a folder whose format is not read."""

    path: str
