"""The sub-command `transcribe`: what the user asked for, checked before the model is loaded, then input by input."""

import argparse
import os
import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ..config import GenerationConfig
from ..errors import InputWarning, OptionError
from ..model import S2T, Transcript
from ..search.options import check_options, check_prefix
from ..tokenizer import Tokenizer
from ..transcribe import FORMATS, Failure, Input, atomic_file, expand, output_paths, transcribe_all
from .command import Command, add_model_arguments, load_model
from .terminal import erase, progress, say

EARLY_STOPPING = {"true": True, "false": False, "never": "never"}
SAMPLING_ONLY = ("temperature", "top_k", "top_p", "seed")
DESCRIPTION = """\
Write down what is said in recordings: files, folders (all audio files below them), or "-" for standard input.

One recording's text is printed alone; of several, or of a folder, every line is the path, a tab and the text.
With --output-dir nothing is printed: NAME.txt or NAME.json is written for each, below a folder at the same place.
--format json prints one JSON object a line: file, text, duration (s), hypotheses with tokens, pieces and
log-probabilities (natural logarithms). With --nbest N there are N lines of text, or hypotheses, the best first."""
EXAMPLES = """\
examples:
  s2t-np transcribe talk.flac
  s2t-np transcribe --model digits --format json one.wav two.wav
  s2t-np transcribe recordings/ --output-dir transcripts
  ffmpeg -v error -i talk.mp4 -f wav - | s2t-np transcribe -

exit codes: 0 ok, 1 some inputs failed (the rest is done), 2 usage, 3 model refused, 130 interrupted"""


def token_ids(text: str) -> list[int]:
    """A comma list of ids, as argparse's type."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is no list of token ids, expected numbers as in 4,17") from None


def early_stopping(text: str) -> bool | str:
    """true, false or never, as argparse's type."""
    if text.lower() not in EARLY_STOPPING:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not one of {', '.join(EARLY_STOPPING)}")
    return EARLY_STOPPING[text.lower()]


# Every option that is a field of GenerationConfig: flags, type, what stands for the value, help. The last flag is its
# name in transformers, which is the field's; the default is the checkpoint's own.
GENERATION_OPTIONS = (
    ("--beams --num-beams", int, "K", "hypotheses followed side by side; 1 is greedy search"),
    ("--nbest --num-return-sequences", int, "N", "how many transcripts to give, best first"),
    ("--max-length", int, "U", "tokens at most, the start token counted"),
    ("--max-new-tokens", int, "U", "tokens at most after the prefix (replaces --max-length)"),
    ("--min-length", int, "U", "tokens at least, the start token counted"),
    ("--min-new-tokens", int, "U", "tokens at least after the prefix"),
    ("--length-penalty", float, "P", "divide a score by length ** P: above 0 favours long texts"),
    ("--early-stopping", early_stopping, "WHEN", "true, false or never: when a beam search has found enough"),
    ("--no-repeat-ngram-size", int, "N", "let no N tokens in a row come twice; 0 allows it"),
    ("--repetition-penalty", float, "P", "above 1 makes tokens that came already less likely"),
    ("--suppress-tokens", token_ids, "IDS", "token ids that must not come, as in 4,17"),
    ("--begin-suppress-tokens", token_ids, "IDS", "token ids that must not come first"),
    ("--forced-first --forced-bos-token-id", int, "ID", "the first token"),
    ("--forced-last --forced-eos-token-id", int, "ID", "the last token, where a text reaches --max-length"),
    ("--temperature", float, "T", "with --sample: above 0; below 1 keeps to likely tokens"),
    ("--top-k", int, "K", "with --sample: draw among the K likeliest tokens; 0 means all"),
    ("--top-p", float, "P", "with --sample: draw among the likeliest tokens that together have probability P"),
    ("--seed", int, "S", "with --sample: the same seed gives the same text again"),
)


def field_name(flags: str) -> str:
    """The field of GenerationConfig that a row of GENERATION_OPTIONS sets."""
    names = {"--forced-first": "forced_bos_token_id", "--forced-last": "forced_eos_token_id"}
    first, *rest = flags.split()
    return names.get(first, (rest or [first])[-1].removeprefix("--").replace("-", "_"))


def add_generation_arguments(parser: ArgumentParser) -> None:
    """The options of the search; what is not given is left to the checkpoint."""
    group = parser.add_argument_group("generation", "What is not given is as the checkpoint has it.")
    for flags, kind, metavar, says in GENERATION_OPTIONS:
        group.add_argument(*flags.split(), dest=field_name(flags), type=kind, metavar=metavar, help=says)
    group.add_argument("--sample", "--do-sample", dest="do_sample", action="store_true", help="draw tokens by chance")
    group.add_argument("--lang", metavar="XX", help="target language of a multilingual model, such as fr")
    prefix = group.add_mutually_exclusive_group()
    prefix.add_argument("--prefix", metavar="TEXT", help="a text that the transcript begins with")
    prefix.add_argument("--prefix-tokens", type=token_ids, metavar="IDS", help="the same as token ids")


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `transcribe`."""
    parser.usage = "%(prog)s [OPTION ...] FILE|FOLDER|- ..."  # the generated one has ten lines
    parser.add_argument("inputs", nargs="+", metavar="FILE|FOLDER|-", help="what to transcribe")
    parser.add_argument("--format", choices=list(FORMATS), default="txt", help="default: txt")
    parser.add_argument("--output-dir", metavar="DIR", help="write a file for each recording there")
    add_model_arguments(parser)
    add_generation_arguments(parser)


def generation_options(args: Namespace) -> dict:
    """The options that were given, as fields of GenerationConfig. Raises OptionError for values that mean nothing."""
    names = [*map(field_name, (flags for flags, *_ in GENERATION_OPTIONS))]
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.do_sample:
        options = {"num_beams": 1} | options | {"do_sample": True}
    elif unused := [name for name in SAMPLING_ONLY if name in options]:
        raise OptionError(f"--{unused[0].replace('_', '-')} means nothing without --sample")
    given = [f for f in ("lang", "prefix", "prefix_tokens") if getattr(args, f) is not None]
    if given and args.forced_bos_token_id is not None:
        raise OptionError(f"--{given[0].replace('_', '-')} and --forced-first both say what comes first; give one")
    check_together(options, args.prefix_tokens or ())
    return options


def check_together(options: dict, prefix_tokens: Sequence[int]) -> None:
    """Raise OptionError for what is wrong with any model; what a model's own options may mend is let through."""
    config = GenerationConfig(num_beams=options.get("num_return_sequences", 1)).replace(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # the search will say it again, knowing the model's own options
        check_options(config, 1 + len(check_prefix(prefix_tokens)))


def beginning(args: Namespace, tokenizer: Tokenizer) -> dict:
    """How a transcript begins, which only the model's vocabulary can tell: language and prefix. Raises OptionError."""
    language = [] if args.lang is None else [tokenizer.language_id(args.lang)]
    known = ", ".join(tokenizer.languages)
    if args.prefix is not None:
        if known and not language:
            raise OptionError(f"this model writes {known}: --prefix needs --lang")
        return {"prefix": tokenizer.encode(args.prefix, args.lang)[:-1]}  # the language's piece first, and no EOS
    if args.prefix_tokens is not None:
        return {"prefix": [*language, *args.prefix_tokens]}
    if language:
        return {"forced_bos_token_id": language[0]}
    if known and args.forced_bos_token_id is None:
        say(f"warning: this model writes {known}; without --lang it may pick any of them")
    return {}


def destinations(args: Namespace, inputs: list[Input]) -> list[Path | None]:
    """Where each result goes, None for standard output; the output folder exists afterwards. Raises OptionError."""
    if args.output_dir is None:
        return [None] * len(inputs)
    paths = output_paths(inputs, args.output_dir, f".{args.format}")
    try:
        for folder in {path.parent for path in paths} | {Path(args.output_dir)}:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--output-dir {args.output_dir}: no folder can be made there ({error.strerror})") from None
    return paths


def show(text: str) -> None:
    """Print a result. Raises OSError."""
    erase()
    sys.stdout.write(text)
    sys.stdout.flush()  # whoever reads a pipe has it now, and a closed pipe is noticed


def store(text: str, path: Path, item: Input) -> Failure | None:
    """Write a result to its file, complete or not at all; a disk that refuses makes the input a failed one."""
    try:
        with atomic_file(path) as file:
            file.write(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        return Failure(item.path, f"its result cannot be written to {path} ({error.strerror})")
    return None


def finish(result: Transcript | Failure, item: Input, path: Path | None, render: Callable[..., str]) -> Failure | None:
    """Deliver one result to where it belongs; returns the Failure if it is or becomes one."""
    if isinstance(result, Failure):
        return result
    text = render(item, result)
    return show(text) if path is None else store(text, path, item)


def report(failure: Failure) -> None:
    """One line about an input that failed."""
    say(f"{failure.path}: {failure.reason}")


def run_all(args: Namespace, model: S2T, inputs: list[Input], paths: list[Path | None], options: dict) -> int:
    """Transcribe and deliver everything; returns how many failed."""
    with_path = args.output_dir is None and (len(args.inputs) > 1 or os.path.isdir(args.inputs[0]))
    render = partial(FORMATS[args.format], model, with_path=with_path)
    progress(0, len(inputs), inputs[0].path)
    failed, results = 0, transcribe_all(model, inputs, **options)
    for done, ((item, result), path) in enumerate(zip(results, paths, strict=True), 1):
        if failure := finish(result, item, path, render):
            report(failure)
            failed += 1
        progress(done, len(inputs), inputs[done].path if done < len(inputs) else "")
    erase()
    return failed


def transcribe(args: Namespace) -> int:
    """Check everything that can be checked, load the model, go through the inputs."""
    options = generation_options(args)
    inputs, failures = expand(args.inputs)
    paths = destinations(args, inputs)
    for failure in failures:
        report(failure)
    failed = len(failures)
    if inputs:
        model = load_model(args)
        failed += run_all(args, model, inputs, paths, options | beginning(args, model.tokenizer))
    if failed and len(inputs) + len(failures) > 1:
        say(f"{failed} of {len(inputs) + len(failures)} inputs failed")
    return 1 if failed else 0


TRANSCRIBE = Command("transcribe", "write down what is said", add_arguments, transcribe, DESCRIPTION, EXAMPLES)
