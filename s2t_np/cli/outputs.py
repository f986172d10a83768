"""The destinations and formats of results: standard output, a folder of files, or one file that grows."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from ..batch.file_output import FileOutput
from ..batch.folder_output import FolderOutput
from ..batch.inputs import Input
from ..batch.notes import JOURNAL, Remaining
from ..batch.output_names import output_paths, with_unique_names
from ..errors import OptionError
from ..formats import FORMATS, WHISPERS, Layout, path_lines, render, suffix_of
from ..longform.segment import Recording
from ..system.atomic_files import check_writable, is_device
from ..tokenizer import Tokenizer
from .terminal import say, show

ALL = "all"
BY_SUFFIX = {"": "txt", ".json": "json", ".jsonl": "json"} | {suffix_of(name).lower(): name for name in FORMATS}
MANY_IN_ONE = ("txt", "json", "ctm")  # formats that hold several recordings in one place


def format_names(text: str) -> tuple[str, ...]:
    """The formats that one --format names: "srt", "SRT,txt", "all". Raises ArgumentTypeError."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    names = ["json" if name == "jsonl" else name for name in names]
    if unknown := [name for name in names if name not in (*FORMATS, ALL)] or not names:
        found = repr(unknown[0] if isinstance(unknown, list) else text)
        raise ArgumentTypeError(f"{found:.80} is not a format; expected {', '.join(FORMATS)} or {ALL}")
    return tuple(dict.fromkeys(own for name in names for own in (WHISPERS if name == ALL else (name,))))


def add_output_arguments(parser: ArgumentParser) -> None:
    """--format, --output-dir, --output, --highlight, --resume, --resume-by, and the layout of subtitles."""
    group = parser.add_argument_group("output")
    says = (
        f"{', '.join(FORMATS)}; several: srt,txt; {ALL}: {', '.join(WHISPERS)} (default: txt, or what --output ends in)"
    )
    group.add_argument("--format", "-f", type=format_names, action="extend", metavar="NAME", help=says)
    where = group.add_mutually_exclusive_group()
    where.add_argument("--output-dir", "-o", metavar="DIR", help="write a file for each recording there")
    says = "write all results to FILE: .jsonl, or lines of path, tab, text; of one recording also .srt, .vtt, .tsv"
    where.add_argument("--output", metavar="FILE", help=says)
    group.add_argument("--highlight", action="store_true", help="colour uncertain words red or yellow, on a terminal")
    group.add_argument("--resume", action="store_true", help="continue a batch; what is done already is left alone")
    says = "a recording is done already if its name, size and time of change are as noted (default), or its content"
    group.add_argument("--resume-by", choices=("time", "content"), help=says)
    for name, says in (("max_line_width", "characters per line of subtitles"), ("max_line_count", "lines per cue")):
        flag, default = f"--{name.replace('_', '-')}", getattr(Layout(), name)
        group.add_argument(flag, type=int, default=default, metavar="N", help=f"{says}; 0: any (default: {default})")


def formats(args: Namespace, batch: bool) -> tuple[str, ...]:
    """The formats that were asked for, or that the name of --output stands for. Raises OptionError."""
    if args.format:
        return tuple(dict.fromkeys(args.format))
    suffix = os.path.splitext(args.output or "")[1].lower()
    if suffix not in BY_SUFFIX:
        known = ", ".join(name for name in BY_SUFFIX if name)
        raise OptionError(
            f"--output {args.output}: {suffix} is not a format; expected {known}, or --format NAME as well"
        )
    if batch and suffix == ".tsv":
        return ("txt",)  # path, tab, text
    return (BY_SUFFIX[suffix],)


def layout(args: Namespace) -> Layout:
    """Return how subtitles are laid out. Raises OptionError."""
    return Layout(args.max_line_width, args.max_line_count)


def check_output(args: Namespace, batch: bool) -> None:
    """Raise OptionError for options that contradict each other, and for a file that cannot be written."""
    names, _ = formats(args, batch), layout(args)
    if args.output_dir is None and len(names) > 1:
        raise OptionError(f"--format {','.join(names)} writes several files for each recording: it needs --output-dir")
    if args.output_dir is None and batch and names[0] not in MANY_IN_ONE:
        raise OptionError(
            f"--format {names[0]} of several recordings needs --output-dir; only {', '.join(MANY_IN_ONE)} fit one place"
        )
    if args.highlight and (batch or args.output_dir is not None or args.output or names != ("txt",)):
        raise OptionError("--highlight colours the printed text of one recording, not of several, a file or a format")
    if args.resume and args.output_dir is None and args.output is None:
        raise OptionError("--resume needs --output-dir or --output: what was printed is not remembered")
    if args.resume_by and not args.resume:
        raise OptionError("--resume-by has no effect without --resume")
    if args.output:
        check_output_file(args.output)


def check_output_file(path: str) -> None:
    """Raise OptionError if --output is not a regular file, or one that cannot be written."""
    if is_device(path):
        raise OptionError(f"--output {path} is not a regular file; `> {path}` prints to it")
    try:
        if not os.path.exists(path):
            check_writable(os.path.dirname(path) or ".")
        elif not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied", path)
    except OSError as error:
        raise OptionError(f"--output {path}: cannot be written to {error.filename} ({error.strerror})") from None


def destinations(args: Namespace, inputs: Sequence[Input], names: Sequence[str]) -> list[list[Path]]:
    """Return where the results of each input go, in files of their own, one for each format.

    Their folders exist afterwards and can be written to. Raises OptionError.
    """
    if args.output_dir is None:
        return [[] for _ in inputs]
    unique = with_unique_names(inputs)
    paths = output_paths(unique, args.output_dir, [suffix_of(name) for name in names])
    if renamed := [own[0] for own, item, old in zip(paths, unique, inputs, strict=True) if item != old]:
        some = ", ".join(map(str, renamed[:2])) + ", ..." * (len(renamed) > 2)
        say(f"{len(renamed)} recordings share their names; the results keep the folder or the suffix: {some}")
    try:
        for folder in {path.parent for own in paths for path in own} | {Path(args.output_dir)}:
            folder.mkdir(parents=True, exist_ok=True)
            check_writable(folder)
    except OSError as error:
        raise OptionError(
            f"--output-dir {args.output_dir}: cannot be written to {error.filename} ({error.strerror})"
        ) from None
    return paths


class Printed:
    """Results on standard output, in the order of the inputs."""

    in_order = True

    def __init__(self, count: int):
        """`count`: of the inputs."""
        self.count = count

    def pending(self, by_content: bool = False) -> Remaining:
        """All of them, always."""
        return Remaining(list(range(self.count)), {}, {})

    def deliver(self, index: int, texts: Sequence[str], incomplete: str | None = None) -> None:
        """Print a result. Raises OSError."""
        show("".join(texts))

    def close(self) -> None:
        """Nothing to close."""


Output = Printed | FileOutput | FolderOutput


def open_output(args: Namespace, paths: list[list[Path]], stamps: list[dict], names: Sequence[str]) -> Output:
    """Return what takes the results. Raises OptionError, OSError.

    In a folder, notes are taken of a batch, of what is resumed, and where there are notes already; a single recording
    leaves only its result.
    """
    if args.output:
        return open_file(args, stamps, names[0])
    if args.output_dir is None:
        return Printed(len(stamps))
    journal = Path(args.output_dir, JOURNAL)
    noted = args.resume or len(stamps) > 1 or journal.exists()
    return FolderOutput(Path(args.output_dir), paths, stamps, journal if noted else None)


def open_file(args: Namespace, stamps: list[dict], name: str) -> FileOutput:
    """One file for all results. Raises OptionError, OSError."""
    output = FileOutput(Path(args.output), stamps, args.resume)
    others = {note["input"] for note in output.notes} - {stamp["input"] for stamp in stamps}
    if others and name not in MANY_IN_ONE:
        output.close()
        raise OptionError(f"--output {args.output} has the result of {min(others)} already; {name} holds one recording")
    return output


def writer(args: Namespace, names: Sequence[str], tokenizer: Tokenizer) -> Callable[[Recording], list[str]]:
    """Return what turns a recording into the texts that its output takes."""
    style = layout(args)
    if args.output_dir is None and tuple(names) == ("txt",):
        return lambda recording: [path_lines(recording)]
    return lambda recording: [render(name, recording, tokenizer, style) for name in names]
