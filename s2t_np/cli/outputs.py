"""Where results go and how they are written down: standard output, a folder of files, or one file that grows."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from ..batch.inputs import Input, output_paths
from ..batch.resume import JOURNAL, FileOutput, FolderOutput
from ..errors import OptionError
from ..formats import FORMATS, Layout, path_lines, render
from ..longform.segment import Recording
from ..tokenizer import Tokenizer
from .terminal import show

ALL = "all"


def add_output_arguments(parser: ArgumentParser) -> None:
    """--format, --output-dir, --output, --highlight, --resume, and the layout of subtitles."""
    layout = Layout()
    group = parser.add_argument_group("output")
    group.add_argument("--format", "-f", choices=[*FORMATS, ALL], help="default: txt, or what --output ends in")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--output-dir", "-o", metavar="DIR", help="write a file for each recording there")
    where.add_argument(
        "--output", metavar="FILE", help="write all results to FILE: .jsonl, or lines of path, tab, text"
    )
    group.add_argument("--highlight", action="store_true", help="colour uncertain words red or yellow, on a terminal")
    group.add_argument("--resume", action="store_true", help="go on with a batch; what is done already is left alone")
    for name, says in (("max_line_width", "characters a line of subtitles"), ("max_line_count", "lines a cue")):
        flag, default = f"--{name.replace('_', '-')}", getattr(layout, name)
        group.add_argument(flag, type=int, default=default, metavar="N", help=f"{says}; 0: any (default: {default})")


def formats(args: Namespace) -> tuple[str, ...]:
    """The formats that were asked for, or that the name of --output means."""
    if args.format is None:
        return ("json",) if args.output and args.output.endswith((".json", ".jsonl")) else ("txt",)
    return FORMATS if args.format == ALL else (args.format,)


def layout(args: Namespace) -> Layout:
    """How subtitles are laid out. Raises OptionError."""
    return Layout(args.max_line_width, args.max_line_count)


def check_output(args: Namespace, batch: bool) -> None:
    """Raise OptionError for options that contradict each other whatever the inputs are."""
    names, _ = formats(args), layout(args)
    if args.output_dir is None and len(names) > 1:
        raise OptionError("--format all writes several files for each recording: it needs --output-dir")
    if args.output_dir is None and batch and names[0] not in ("txt", "json"):
        raise OptionError(
            f"--format {names[0]} of several recordings needs --output-dir; only txt and json fit one place"
        )
    if args.highlight and (batch or args.output_dir is not None or names != ("txt",)):
        raise OptionError("--highlight colours the printed text of one recording, not of several, a file or a format")
    if args.resume and args.output_dir is None and args.output is None:
        raise OptionError("--resume needs --output-dir or --output: what was printed is not remembered")
    if args.output and os.path.exists(args.output) and not os.path.isfile(args.output):
        raise OptionError(f"--output {args.output} is no regular file; `> {args.output}` prints to it")


def destinations(args: Namespace, inputs: list[Input]) -> list[list[Path]]:
    """Where the results of each input go, in files of their own; their folders exist afterwards. Raises OptionError."""
    if args.output_dir is None:
        return [[] for _ in inputs]
    paths = output_paths(inputs, args.output_dir, [f".{name}" for name in formats(args)])
    try:
        for folder in {path.parent for own in paths for path in own} | {Path(args.output_dir)}:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--output-dir {args.output_dir}: no folder can be made there ({error.strerror})") from None
    return paths


class Printed:
    """Results on standard output, in the order of the inputs."""

    in_order = True

    def __init__(self, count: int):
        """`count`: of the inputs."""
        self.count = count

    def pending(self) -> list[int]:
        """All of them, always."""
        return list(range(self.count))

    def deliver(self, index: int, texts: list[str]) -> None:
        """Print a result. Raises OSError."""
        show("".join(texts))

    def close(self) -> None:
        """Nothing to close."""


Output = Printed | FileOutput | FolderOutput


def open_output(args: Namespace, paths: list[list[Path]], stamps: list[dict]) -> Output:
    """What takes the results. Raises OptionError, OSError.

    In a folder, notes are taken of a batch and of what is resumed, not of a single recording that is done at once.
    """
    if args.output:
        return FileOutput(Path(args.output), stamps, args.resume)
    if args.output_dir is None:
        return Printed(len(stamps))
    journal = Path(args.output_dir, JOURNAL) if args.resume or len(stamps) > 1 else Path(os.devnull)
    return FolderOutput(journal, paths, stamps, args.resume)


def writer(args: Namespace, tokenizer: Tokenizer) -> Callable[[Recording], list[str]]:
    """What turns a recording into the texts that its output takes."""
    names, style = formats(args), layout(args)
    if args.output_dir is None and names == ("txt",):
        return lambda recording: [path_lines(recording)]
    return lambda recording: [render(name, recording, tokenizer, style) for name in names]
