"""The sub-command `plot`: a picture of a recording and its transcript."""

import os
from argparse import ArgumentParser, Namespace

from ... import audio
from ...errors import OptionError
from ...inspect.plot import LONGEST, picture, picture_formats
from ...longform.options import StreamOptions
from ...system.atomic_files import atomic_file
from ..command import Command
from ..model_arguments import add_model_arguments, load_model
from ..parts import add_part_arguments, part
from ..terminal import say, silence_matplotlib
from .inspect import about

DESCRIPTION = f"""\
Draw the waveform, the log-mel features, the segments, and for each word the attention of the decoder and the time of
the word. The suffix of the picture chooses its format: png, svg, pdf. A picture holds at most {LONGEST:.0f} s: --start
and --duration choose a part of a longer recording. Needs matplotlib: pip install matplotlib."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `plot`."""
    parser.add_argument("file", metavar="FILE", help='a recording, or "-" for standard input')
    parser.add_argument("-o", "--output", metavar="PICTURE.png", required=True, help="the file to write")
    add_part_arguments(parser, segments=False)
    add_model_arguments(parser)


def picture_format(path: str) -> str:
    """The picture format that a path's suffix names. Raises OptionError."""
    suffix, known = os.path.splitext(path)[1][1:].lower(), picture_formats()
    if suffix not in known:
        raise OptionError(f"--output {path} does not end in the name of a picture format: .{', .'.join(known)}")
    return suffix


def plot(args: Namespace) -> int:
    """Transcribe, draw, save."""
    silence_matplotlib()
    kind = picture_format(args.output)
    model = load_model(args)
    rate = model.feature_config.sampling_rate
    with about(args.file):
        samples = part(audio.load(args.file, rate), rate, args.start, args.duration)
        figure = picture(model, samples, model.stream(samples, rate, StreamOptions(word_timestamps=True)))
    with atomic_file(args.output) as file:
        figure.savefig(file, format=kind)
    say(f"{args.output}: {len(samples) / rate:.2f} s of {args.file}")
    return 0


PLOT = Command(
    add_arguments,
    plot,
    DESCRIPTION,
    "example:\n  s2t-np plot --model digits digits.wav -o digits.png",
)
