"""The sub-command `transcribe`: what the user asked for, checked before the model is loaded, then input by input."""

import glob
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial

from .. import __version__
from ..audio.checks import HIGHEST_RATE, LOWEST_RATE
from ..audio.raw import ENCODINGS
from ..batch.inputs import STDIN, Failure, Input, expand, read_list
from ..batch.pool import in_order
from ..batch.resume import identity, stamp
from ..batch.run import RawSamples, Task, failure, listen, transcribe_all
from ..errors import AudioError, OptionError
from ..formats import STREAMED, Layout
from ..longform.segment import Recording, Segment
from ..system.threads import processors
from .command import Command, add_model_arguments, load_model
from .generation import add_generation_arguments, beginning, generation_options
from .highlight import has_colours, highlighted
from .outputs import Output, add_output_arguments, check_output, destinations, formats, layout, open_output, writer
from .progress import Progress
from .segments import add_stream_arguments, stream_options
from .terminal import bar_away, say, show

RAW = RawSamples(0)  # its defaults
DESCRIPTION = """\
Write down what is said in recordings: files, folders (all audio files below them), patterns in quotes ("rec/**/*.wav"),
the files of a list (--files-from), or "-" for standard input.

One recording is printed as it is heard, each segment when it closes: in txt its text on a line, or srt, vtt, tsv. Of
several, or of a folder, every line is a path, a tab and the text. With --output-dir nothing is printed: NAME.txt,
NAME.srt, ... is written for each, below a folder at the same place; with --output all results go to one file.
--format json prints one JSON object a line: file, text, duration (s), segments with their times, tokens, doubts and
hypotheses, log-probabilities (natural logarithms). With --nbest N there are N lines of text, the best first.

Several recordings are transcribed side by side, one per core (--jobs). A batch that was interrupted, even killed, goes
on where it was when the same command is given again with --resume; no result is lost, torn or there twice."""
EXAMPLES = """\
examples:
  s2t-np transcribe talk.flac
  s2t-np transcribe talk.flac --format srt > talk.srt
  s2t-np transcribe --model digits --format json one.wav two.wav
  s2t-np transcribe recordings/ --output-dir transcripts --format all --resume
  find . -name '*.opus' -print0 | s2t-np transcribe --files-from - --null --output corpus.jsonl
  arecord -f S16_LE -r 16000 -t raw | s2t-np transcribe --raw-rate 16000 -
  ffmpeg -v error -i talk.mp4 -f wav - | s2t-np transcribe -

exit codes: 0 ok, 1 some inputs failed (the rest is done), 2 usage, 3 model refused, 130 interrupted"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `transcribe`."""
    parser.usage = "%(prog)s [OPTION ...] FILE|FOLDER|PATTERN|- ..."  # the generated one has ten lines
    parser.add_argument("inputs", nargs="*", metavar="FILE|FOLDER|PATTERN|-", help="what to transcribe")
    parser.add_argument("--files-from", metavar="LIST", help='more of them, one a line; "-": standard input')
    parser.add_argument("--null", action="store_true", help="LIST is divided by zero bytes (find -print0)")
    raw = parser.add_argument_group("samples without a header", "Of all inputs; a pipe with a WAV header needs none.")
    raw.add_argument("--raw-rate", type=int, metavar="HZ", help="their sampling rate")
    raw.add_argument("--raw-encoding", default=RAW.encoding, choices=list(ENCODINGS), help="default: s16le")
    raw.add_argument("--raw-channels", type=int, default=RAW.channels, metavar="N", help="default: 1")
    parser.add_argument("--jobs", "-j", type=int, metavar="N", help="recordings at a time (default: one per core)")
    add_output_arguments(parser)
    add_model_arguments(parser)
    add_stream_arguments(parser)
    add_generation_arguments(parser)


def given_inputs(args: Namespace) -> list[str]:
    """The arguments and the list together. Raises OptionError."""
    if args.null and not args.files_from:
        raise OptionError("--null means nothing without --files-from")
    if not args.inputs and not args.files_from:
        raise OptionError("nothing to transcribe: expected FILE|FOLDER|PATTERN|- or --files-from LIST")
    listed = read_list(args.files_from, args.null) if args.files_from else []
    paths = args.inputs + listed
    if STDIN in paths and args.files_from == STDIN:
        raise OptionError('standard input is the list of --files-from, so "-" cannot be a recording')
    if STDIN in paths and args.resume:
        raise OptionError('"-" cannot be resumed: what came from standard input is not there any more')
    return paths


def raw_samples(args: Namespace) -> RawSamples | None:
    """What the inputs are, if they have no header. Raises OptionError."""
    if args.raw_rate is None:
        if (args.raw_encoding, args.raw_channels) != (RAW.encoding, RAW.channels):
            raise OptionError("--raw-encoding and --raw-channels mean nothing without --raw-rate")
        return None
    if not LOWEST_RATE <= args.raw_rate <= HIGHEST_RATE:
        raise OptionError(f"--raw-rate is {args.raw_rate} Hz, expected {LOWEST_RATE} to {HIGHEST_RATE}")
    if args.raw_channels < 1:
        raise OptionError(f"--raw-channels is {args.raw_channels}, expected at least 1")
    return RawSamples(args.raw_rate, args.raw_encoding, args.raw_channels)


def is_batch(args: Namespace, paths: list[str]) -> bool:
    """Whether several recordings are meant, be it that one is found: then results say whose they are."""
    one = len(paths) == 1 and not os.path.isdir(paths[0]) and (os.path.exists(paths[0]) or not glob.has_magic(paths[0]))
    return not one or bool(args.files_from or args.output)


def jobs(args: Namespace, count: int) -> int:
    """How many recordings to transcribe at a time. Raises OptionError."""
    if args.jobs is not None and args.jobs < 1:
        raise OptionError(f"--jobs is {args.jobs}, expected at least 1")
    return max(1, min(args.jobs or processors(), count))


def report(failed: Failure) -> None:
    """One line about an input that failed."""
    say(f"{failed.path}: {failed.reason}")


def settle(output: Output, index: int, item: Input, result: Recording | Failure, write: Callable) -> bool:
    """Deliver one result; True if there is none, and then it has been said why.

    A file that cannot be written fails its input only. Where all results go to one place, raises OSError.
    """
    if not isinstance(result, Failure):
        try:
            output.deliver(index, write(result))
            return False
        except OSError as error:
            if output.in_order:
                raise
            result = Failure(item.path, f"its result cannot be written to {error.filename} ({error.strerror})")
    report(result)
    return True


def run_batch(task: Task, inputs: list[Input], output: Output, write: Callable, jobs: int) -> int:
    """Transcribe and deliver everything that is not done; returns how many failed. Raises OptionError, OSError."""
    left = output.pending()
    if len(left) < len(inputs):
        say(f"{len(inputs) - len(left)} of {len(inputs)} are done already")
    todo = [inputs[index] for index in left]
    progress, failed = Progress(todo), 0
    progress.draw(force=True)
    with closing(transcribe_all(task, todo, jobs, progress.heard)) as results:
        for index, result in in_order(results) if output.in_order else results:
            failed += settle(output, left[index], todo[index], result, write)
            progress.finished(index, todo[index], getattr(result, "duration", None))
    with bar_away():
        return failed


def streamed(args: Namespace, name: str, style: Layout) -> Callable[[Iterable[Segment]], Iterator[str]]:
    """What turns segments into text to print as they come."""
    if args.highlight and has_colours(sys.stdout, os.environ):
        return highlighted
    return partial(STREAMED[name], layout=style)


def print_stream(task: Task, item: Input, write: Callable[[Iterable[Segment]], Iterator[str]]) -> int:
    """Print one recording, each segment as it closes; returns how many failed. Raises OptionError, OSError."""
    try:
        _, segments = listen(task, item)
        for text in write(segments):
            show(text)
    except (AudioError, MemoryError) as error:
        report(failure(item, error))
        return 1
    return 0


def run(args: Namespace, task: Task, inputs: list[Input], paths: list, batch: bool) -> int:
    """Transcribe everything there is; returns how many inputs failed. Raises OptionError, OSError."""
    names, style = formats(args), layout(args)
    if not batch and args.output_dir is None and names[0] in STREAMED:
        return print_stream(task, inputs[0], streamed(args, names[0], style))
    settings = {"formats": names, "layout": asdict(style), "stream": asdict(task.options), "search": task.generation}
    settings |= {"raw": task.raw}
    with_what = identity(task.model, __version__, settings)
    with closing(open_output(args, paths, [stamp(item, with_what) for item in inputs])) as output:
        return run_batch(task, inputs, output, writer(args, task.model.tokenizer), jobs(args, len(inputs)))


def transcribe(args: Namespace) -> int:
    """Check everything that can be checked, load the model, go through the inputs."""
    generation, options, given = generation_options(args), stream_options(args), given_inputs(args)
    batch, raw = is_batch(args, given), raw_samples(args)
    check_output(args, batch)
    inputs, failures = expand(given)
    jobs(args, len(inputs))
    paths = destinations(args, inputs)
    for one in failures:
        report(one)
    failed = len(failures)
    if inputs:
        model = load_model(args)
        options = replace(options, word_timestamps=options.word_timestamps or args.highlight)
        task = Task(model, options, generation | beginning(args, model.tokenizer), raw)
        failed += run(args, task, inputs, paths, batch)
    if failed and len(inputs) + len(failures) > 1:
        say(f"{failed} of {len(inputs) + len(failures)} inputs failed")
    return 1 if failed else 0


TRANSCRIBE = Command("transcribe", "write down what is said", add_arguments, transcribe, DESCRIPTION, EXAMPLES)
