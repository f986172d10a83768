"""The options for the part of a recording that is heard: --channels, --clip, --audio-stream."""

import argparse
from argparse import ArgumentParser, Namespace

from ..audio.selection import EACH, MIX, Selection


def channel(text: str) -> int | str:
    """mix, each, or the number of a channel, for argparse."""
    word = text.lower()
    if word in (MIX, EACH):
        return word
    if word.isascii() and word.isdigit() and int(word) > 0:
        return int(word)
    raise argparse.ArgumentTypeError(f"{text!r:.60} is not mix, each, or the number of a channel: 1, 2, ...")


def seconds(text: str) -> float:
    """A time: seconds, or M:SS, or H:MM:SS. Raises ValueError."""
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    if text.count(":") > 2 or not 0 <= total < float("inf"):
        raise ValueError
    return total


def clip(text: str) -> tuple[float, float | None]:
    """START or START,END, for argparse."""
    try:
        start, *end = [seconds(part) for part in text.split(",")]
        if len(end) > 1 or (end and end[0] <= start):
            raise ValueError
    except ValueError:
        says = "is not a clip; expected START or START,END with START below END, as 90,120.5 or 1:30,2:00.5"
        raise argparse.ArgumentTypeError(f"{text!r:.60} {says}") from None
    return start, end[0] if end else None


def add_selection_arguments(parser: ArgumentParser) -> None:
    """--channels, --clip, --audio-stream."""
    group = parser.add_argument_group("what is heard of a recording")
    says = "mix (default); 1, 2, ...: one channel; each: all of them apart, every text labelled with its channel"
    group.add_argument("--channels", type=channel, default=MIX, metavar="mix|each|N", help=says)
    says = "only this part: seconds, or H:MM:SS; times in the results are those of the whole recording"
    group.add_argument("--clip", type=clip, default=(0.0, None), metavar="START[,END]", help=says)
    says = "of a file with several audio streams, such as a film, the N-th (default: the first; needs PyAV)"
    group.add_argument("--audio-stream", type=int, metavar="N", help=says)


def selection_of(args: Namespace) -> Selection:
    """The part that the arguments choose. Raises OptionError."""
    start, end = args.clip
    return Selection(args.channels, start, end, args.audio_stream)
