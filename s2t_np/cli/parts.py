"""Arguments of commands that look inside: a part of a recording, and a limit on the size of what is written."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace

import numpy as np

from ..errors import OptionError
from ..longform.options import StreamOptions
from ..longform.stream import whole_or_pieces
from ..model import S2T

MEGABYTE = 1e6


def add_part_arguments(parser: ArgumentParser, segments: bool = True) -> None:
    """--start, --duration and, if asked for, --segment."""
    group = parser.add_argument_group("part of the recording")
    group.add_argument("--start", type=float, default=0.0, metavar="S", help="second to begin at (default: 0)")
    group.add_argument("--duration", type=float, metavar="S", help="number of seconds (default: to the end)")
    if segments:
        says = "the stretch of speech number N, from 0, of those that `transcribe` cuts the recording into"
        group.add_argument("--segment", type=int, metavar="N", help=says)


def part(samples: np.ndarray, rate: int, start: float, duration: float | None) -> np.ndarray:
    """The samples (N,) from `start` on, no longer than `duration`, both in seconds. Raises OptionError."""
    seconds = len(samples) / rate
    if not 0 <= start < seconds:
        raise OptionError(f"--start is {start:g}, expected a second of the recording, which has {seconds:.2f} s")
    if duration is not None and not duration > 0:
        raise OptionError(f"--duration is {duration:g}, expected more than 0")
    rest = samples[round(start * rate) :]
    return rest if duration is None else rest[: round(min(duration, len(rest) / rate) * rate)]


def check_part(args: Namespace) -> None:
    """Raise OptionError for options that exclude each other."""
    if args.segment is not None and (args.start or args.duration is not None):
        raise OptionError("--segment chooses its own start and duration; give either it or --start and --duration")


def chosen_part(args: Namespace, model: S2T, samples: np.ndarray) -> tuple[np.ndarray, float]:
    """The part of samples (N,) that the arguments choose, and the second at which it begins. Raises OptionError."""
    rate = model.feature_config.sampling_rate
    if args.segment is None:
        return part(samples, rate, args.start, args.duration), args.start
    options = StreamOptions().resolve(model.utterance_config)
    found = list(whole_or_pieces(iter([samples]), rate, options, model.backend.vad))
    if not 0 <= args.segment < len(found):
        held = f"{len(found)} of them, numbered from 0" if found else "no speech"
        raise OptionError(f"--segment is {args.segment}, but the recording holds {held}")
    return found[args.segment].samples, found[args.segment].offset


def megabytes(text: str) -> float:
    """A positive number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r:.60} is not a number of megabytes above 0")
    return value
