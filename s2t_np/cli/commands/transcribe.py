"""The sub-command `transcribe`: check the arguments, load the model, transcribe the inputs."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from itertools import chain

from ... import __version__
from ...audio import is_url, remote
from ...audio.checks import HIGHEST_RATE, LOWEST_RATE
from ...audio.raw import ENCODINGS
from ...batch.inputs import STDIN, Found, Input, expand, read_list
from ...batch.manifests import manifest_inputs
from ...batch.notes import identity, stamp
from ...batch.patterns import has_wildcards
from ...batch.run import RawSamples, Sound, Task, failure, listen
from ...errors import AudioError, OptionError
from ...formats import OF_WORDS, STREAMED, Incomplete, Item, Layout
from ..batch import (
    FAILED,
    INCOMPLETE,
    add_ray_argument,
    add_sharing_arguments,
    check_sharing,
    hearer,
    report,
    report_incomplete,
    run_batch,
    summary,
)
from ..command import Command
from ..generation import add_generation_arguments, generation_options, with_vocabulary
from ..highlight import has_colours, highlighted
from ..model_arguments import add_model_arguments, load_model
from ..outputs import add_output_arguments, check_output, destinations, formats, layout, open_output, writer
from ..partials import add_partial_arguments, check_partial, event_lines, reporter
from ..progress import Progress
from ..segments import add_stream_arguments, stream_options
from ..selection import add_selection_arguments, selection_of
from ..terminal import say, show

RAW = RawSamples(0)  # its defaults
DESCRIPTION = """\
Write down what is said in recordings: files, folders (all audio files below them), patterns in quotes ("rec/**/*.wav"),
the files of a list (--files-from), addresses (https://, s3://, gs://, hf://; they need fsspec), or "-" for standard
input. Each recording is transcribed once, however often it is
named.

A model writes what it was trained to write: the LibriSpeech models transcribe English, the MuST-C and CoVoST models
translate, so this is the command for translation, too. `s2t-np info --model NAME` says what a model does; of a model
that knows several target languages, --lang XX chooses one.

One recording is printed as it is heard, each segment when it closes: in txt its text on a line, or srt, vtt, tsv. Of
several, or of a folder, every line is a path, a tab and the text. With --output-dir nothing is printed: NAME.txt,
NAME.srt, ... is written for each, below a folder at the same place; with --output all results go to one file.
--format json prints one JSON object a line: file, text, duration (s), segments with their times, tokens, doubts and
hypotheses, log-probabilities (natural logarithms). With --nbest N there are N lines of text, the best first.

Several recordings, and the segments of a long one, are transcribed side by side (--jobs). A batch that was interrupted,
even killed, goes on where it was when the same command is given again with --resume; no result is lost, torn or there
twice. A recording counts as done if its name below the folder that was given, its size and its time of change are as
noted (with --resume-by content: its name and content), so folders may be moved. A recording that breaks off is
transcribed up to there, marked as incomplete, and counts as failed until the file has changed."""
EXAMPLES = """\
examples:
  s2t-np transcribe talk.flac
  s2t-np transcribe talk.flac --format srt > talk.srt
  s2t-np transcribe --model digits --format json one.wav two.wav
  s2t-np transcribe --model facebook/s2t-small-mustc-en-de-st talk.flac
  s2t-np transcribe recordings/ --output-dir transcripts --format all --resume
  find . -name '*.opus' -print0 | s2t-np transcribe --files-from - --null
  arecord -f S16_LE -r 16000 -t raw | s2t-np transcribe --raw-rate 16000 -
  s2t-np transcribe talk.mp4 --clip 1:30,2:00   (needs PyAV: pip install av)
  s2t-np transcribe call.wav --channels each --format vtt
  ffmpeg -v error -i talk.mp4 -f wav - | s2t-np transcribe -

exit codes: 0 ok, 1 some inputs failed or broke off (the rest is done), 2 usage, 3 model refused, 130 interrupted"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `transcribe`."""
    parser.usage = "%(prog)s [OPTION ...] FILE|FOLDER|PATTERN|- ..."  # the generated one has ten lines
    parser.add_argument("inputs", nargs="*", metavar="FILE|FOLDER|PATTERN|-", help="what to transcribe")
    parser.add_argument("--files-from", metavar="LIST", help='more of them, one a line; "-": standard input')
    parser.add_argument("--null", action="store_true", help="the names in LIST end in zero bytes (find -print0)")
    says = "a table with a row for each recording, or part of one: .tsv, .csv, .jsonl (Common Voice, NeMo, fairseq)"
    parser.add_argument("--manifest", metavar="TABLE", help=says)
    add_selection_arguments(parser)
    raw = parser.add_argument_group("samples without a header", "Of all inputs; a pipe with a WAV header needs none.")
    raw.add_argument("--raw-rate", type=int, metavar="HZ", help="their sampling rate")
    raw.add_argument("--raw-encoding", default=RAW.encoding, choices=list(ENCODINGS), help="default: s16le")
    raw.add_argument("--raw-channels", type=int, default=RAW.channels, metavar="N", help="default: 1")
    add_sharing_arguments(parser)
    add_ray_argument(parser)
    add_output_arguments(parser)
    add_partial_arguments(parser)
    add_model_arguments(parser)
    add_stream_arguments(parser)
    add_generation_arguments(parser)


def given_inputs(args: Namespace) -> list[str]:
    """The arguments and the list together. Raises OptionError."""
    if args.null and not args.files_from:
        raise OptionError("--null has no effect without --files-from")
    if not args.inputs and not args.files_from and not args.manifest:
        raise OptionError(
            "nothing to transcribe: expected FILE|FOLDER|PATTERN|-, --files-from LIST or --manifest TABLE"
        )
    listed = read_list(args.files_from, args.null) if args.files_from else []
    paths = args.inputs + listed
    if STDIN in paths and args.files_from == STDIN:
        raise OptionError('standard input is the list of --files-from, so "-" cannot be a recording')
    if STDIN in paths and args.resume:
        raise OptionError('"-" cannot be resumed: what came from standard input is gone')
    return paths


def found_inputs(args: Namespace, given: list[str], headerless: bool) -> Found:
    """The recordings that the arguments and the table of --manifest name, and what is heard of each.

    Raises OptionError.
    """
    selection, found = selection_of(args), expand(given, headerless=headerless)
    inputs = [item._replace(selection=selection) for item in found.inputs]
    if args.manifest:
        if selection.is_clip:
            raise OptionError(
                "--clip and --manifest: the table says which part of a recording is heard (offset, duration)"
            )
        rows, failures = manifest_inputs(args.manifest)
        own = (replace(row.selection, channel=selection.channel, stream=selection.stream) for row in rows)
        inputs += [row._replace(selection=one) for row, one in zip(rows, own, strict=True)]
        found = found._replace(failures=found.failures + failures)
    return found._replace(inputs=inputs)


def raw_samples(args: Namespace) -> RawSamples | None:
    """Return what the inputs are, if they have no header. Raises OptionError."""
    if args.raw_rate is None:
        if (args.raw_encoding, args.raw_channels) != (RAW.encoding, RAW.channels):
            raise OptionError("--raw-encoding and --raw-channels have no effect without --raw-rate")
        return None
    if not LOWEST_RATE <= args.raw_rate <= HIGHEST_RATE:
        raise OptionError(f"--raw-rate is {args.raw_rate} Hz, expected {LOWEST_RATE} to {HIGHEST_RATE}")
    if args.raw_channels < 1:
        raise OptionError(f"--raw-channels is {args.raw_channels}, expected at least 1")
    return RawSamples(args.raw_rate, args.raw_encoding, args.raw_channels)


def is_batch(args: Namespace, paths: list[str]) -> bool:
    """True if the arguments denote a batch, even if only one file matches: then results say whose they are."""
    if len(paths) > 1 or args.files_from or args.manifest:
        return True
    if is_url(paths[0]):
        return remote.is_several(paths[0])
    return os.path.isdir(paths[0]) or (has_wildcards(paths[0]) and not os.path.exists(paths[0]))


def streamed(args: Namespace, name: str, style: Layout) -> Callable[[Iterable[Item]], Iterator[str]]:
    """Return what turns segments into text to print as they arrive."""
    if args.highlight and has_colours(sys.stdout, os.environ):
        return highlighted
    return partial(STREAMED[name], layout=style)


def mark(sound: Sound, begin: float) -> Iterator[Incomplete]:
    """Yield the text that ends the segments of a recording that turned out to be incomplete."""
    if sound.incomplete:
        yield Incomplete(begin + sound.duration, sound.incomplete)


def print_stream(task: Task, item: Input, write: Callable[[Iterable[Item]], Iterator[str]]) -> Counter:
    """Print one recording, each segment as it closes; returns what `run_batch` does. Raises OptionError, OSError."""
    progress = Progress([item], quiet=task.on_partial is not None)
    try:
        sound, segments = listen(task, item)
        for text in write(chain(progress.watch(item, segments), mark(sound, item.selection.start))):
            show(text, coloured=write is highlighted)
    except (AudioError, MemoryError) as error:
        report(failure(item, error))
        return Counter({FAILED: 1})
    if sound.incomplete:
        report_incomplete(item.path, sound.incomplete)
    return Counter({INCOMPLETE: int(bool(sound.incomplete))})


def run(args: Namespace, task: Task, inputs: list[Input], paths: list, batch: bool) -> Counter:
    """Transcribe everything; returns how many inputs are FAILED and INCOMPLETE. Raises OptionError, OSError."""
    names, style = formats(args, batch), layout(args)
    if args.partial:
        shown = task._replace(on_partial=reporter(names[0], inputs[0].selection.start))
        write = event_lines(task.model.tokenizer) if names[0] == "json" else streamed(args, names[0], style)
        return print_stream(shown, inputs[0], write)
    if not batch and args.output_dir is None and not args.output and names[0] in STREAMED:
        return print_stream(task, inputs[0], streamed(args, names[0], style))
    settings = {"layout": asdict(style), "stream": asdict(task.options), "search": task.generation, "raw": task.raw}
    settings["formats"] = names if args.output else None  # in a folder, each file has its own note
    with_what = identity(task.model, __version__, settings)
    write, by_content = writer(args, names, task.model.tokenizer), args.resume_by == "content"
    with closing(open_output(args, paths, [stamp(item, with_what) for item in inputs], names)) as output:
        return run_batch(hearer(args, task), inputs, output, write, by_content)


def transcribe(args: Namespace) -> int:
    """Check everything that can be checked, load the model, transcribe the inputs."""
    generation, options, given = generation_options(args), stream_options(args), given_inputs(args)
    batch, raw = is_batch(args, given), raw_samples(args)
    if args.ray is not None and not batch:
        raise OptionError("--ray is for several recordings: a folder, a pattern, a list or a table")
    check_output(args, batch)
    check_partial(args, formats(args, batch), batch)
    inputs, failures, notes = found_inputs(args, given, raw is not None)
    check_sharing(args)
    paths = destinations(args, inputs, formats(args, batch))
    for note in notes:
        say(note)
    for one in failures:
        report(one)
    tally = Counter({FAILED: len(failures)})
    if inputs:
        model = load_model(args)
        words = args.highlight or not set(OF_WORDS).isdisjoint(formats(args, batch))
        options = replace(options, word_timestamps=options.word_timestamps or words)
        generation |= with_vocabulary(args, model.tokenizer)
        task = Task(model, options, generation, raw, model.sharing(args.batch, args.jobs, **generation))
        tally += run(args, task, inputs, paths, batch)
    return summary(tally, len(inputs) + len(failures))


TRANSCRIBE = Command(add_arguments, transcribe, DESCRIPTION, EXAMPLES)
