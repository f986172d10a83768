"""The sub-command `listen`: what is said into the microphone, written down as each pause closes."""

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from ...audio.microphone import Microphone, devices
from ...errors import OptionError
from ...formats import OF_WORDS, STREAMED, Layout
from ...model import S2T
from ..command import Command
from ..generation import add_generation_arguments, generation_options, with_vocabulary
from ..highlight import has_colours, highlighted
from ..model_arguments import add_model_arguments, load_model
from ..partials import draw_partial
from ..segments import add_stream_arguments, stream_options, warn_if_cut_off
from ..terminal import on_terminal, say, show

DESCRIPTION = """\
Write down what is said into the microphone, each segment when its pause closes. Ctrl-C stops the recording; what was
said until then is still written down. Needs the package sounddevice: pip install sounddevice."""
EXAMPLES = """\
examples:
  s2t-np listen
  s2t-np listen --list-microphones
  s2t-np listen --microphone USB --duration 60 --format srt > meeting.srt"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `listen`."""
    parser.usage = "%(prog)s [OPTION ...]"
    parser.add_argument("--microphone", metavar="NAME|N", help="a microphone, by a part of its name or its number")
    parser.add_argument("--list-microphones", action="store_true", help="print the microphones, and stop")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so much sound, in seconds")
    says = f"{', '.join(STREAMED)} (default: txt)"
    parser.add_argument("--format", "-f", choices=list(STREAMED), default="txt", metavar="NAME", help=says)
    parser.add_argument("--highlight", action="store_true", help="colour uncertain words red or yellow, on a terminal")
    parser.add_argument("--partial", action="store_true", help="show the words so far of an open segment")
    add_model_arguments(parser)
    add_stream_arguments(parser)
    add_generation_arguments(parser)


def device_of(args: Namespace) -> int | str | None:
    """The device that --microphone means: a number, or a part of a name."""
    return int(args.microphone) if args.microphone is not None and args.microphone.isdecimal() else args.microphone


@contextmanager
def stopped_by_interrupt(microphone: Microphone) -> Iterator[None]:
    """Within this context, the first Ctrl-C stops the recording; the second one interrupts the program."""

    def stop(*_) -> None:
        signal.signal(signal.SIGINT, before)
        microphone.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def list_devices() -> int:
    """Print every microphone: its number, its name, its channels. Raises AudioError, OSError."""
    found = devices()
    for number, name, channels in found:
        show(f"{number}\t{name}\t{channels} channel{'s' * (channels > 1)}\n")
    if not found:
        say("no microphone is there")
    return 0 if found else 1


def listen(args: Namespace) -> int:
    """Check the arguments, load the model, write down what is said. Raises OptionError, AudioError, OSError."""
    if args.list_microphones:
        return list_devices()
    if args.duration is not None and not 0 < args.duration < float("inf"):
        raise OptionError(f"--duration is {args.duration:g} s, expected more than 0")
    if args.highlight and args.format != "txt":
        raise OptionError(f"--highlight colours txt, not {args.format}")
    if args.partial and not (args.format == "txt" and on_terminal()):
        raise OptionError("--partial shows txt on a terminal; standard error is not one, or --format is another one")
    generation = generation_options(args)
    options = stream_options(args)
    model = load_model(args)
    words = args.highlight or args.format in OF_WORDS
    options = replace(options, word_timestamps=options.word_timestamps or words)
    return write_down(args, model, options, generation | with_vocabulary(args, model.tokenizer))


def write_down(args: Namespace, model: S2T, options, generation: dict) -> int:
    """Record and print until the end. Raises OptionError, AudioError, OSError."""
    coloured = args.highlight and has_colours(sys.stdout, os.environ)
    write = highlighted if coloured else partial(STREAMED[args.format], layout=Layout())
    microphone = Microphone(model.feature_config.sampling_rate, device_of(args), args.duration)
    with stopped_by_interrupt(microphone), microphone:
        say(f"listening at {microphone.rate} Hz; Ctrl-C stops")
        if args.partial:
            segments = model.stream_partials(iter(microphone), draw_partial, microphone.rate, options, **generation)
        else:
            segments = model.stream(iter(microphone), microphone.rate, options, **generation)
        for text in write(told(segments)):
            show(text, coloured=coloured)
    return 0


def told(segments: Iterator) -> Iterator:
    """The same segments; a text that was cut off is told on stderr."""
    for segment in segments:
        warn_if_cut_off("the microphone", segment)
        yield segment


LISTEN = Command(add_arguments, listen, DESCRIPTION, EXAMPLES)
