"""The sub-command `trace`: every number that the model computes for a recording."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np

from ... import audio
from ...errors import OptionError
from ...model import S2T
from ...system.atomic_files import atomic_file
from ...system.names import legible
from ..command import Command
from ..generation import add_generation_arguments, generation_options, with_vocabulary
from ..model_arguments import add_model_arguments, load_model
from ..parts import MEGABYTE, add_part_arguments, check_part, chosen_part, megabytes
from ..terminal import say, show
from .inspect import about


def patterns(args: Namespace) -> list[str] | None:
    """The stages asked for: --stages may be given several times, each with a comma-separated list."""
    if args.stages is None:
        return None
    return [pattern for given in args.stages for pattern in given.split(",") if pattern]


def load_sound(args: Namespace, model: S2T) -> tuple[np.ndarray, float]:
    """The samples (N,) of the part to trace, and the second at which it begins. Raises AudioError that names the file.

    Raises OptionError for a part that is not there.
    """
    with about(args.file):
        return chosen_part(args, model, audio.load(args.file, model.feature_config.sampling_rate))


def chosen_stages(args: Namespace) -> list[str] | None:
    """Patterns of the stages to keep; None for all. A page alone needs only the stages it shows. Raises OptionError."""
    if args.output is None and args.html is None and not args.list:
        raise OptionError("trace needs --output DIR, the folder to write, or --html PAGE, or --list")
    if args.output is not None and Path(args.output).is_file():
        raise OptionError(f"--output {args.output} is a file, expected a folder to write")
    if args.html is None:
        return patterns(args)
    if args.stages is not None:
        raise OptionError("--html chooses its stages itself; give --stages without it")
    from ...inspect.explorer import STAGES

    return STAGES if args.output is None and not args.list else None


def load_traced(args: Namespace) -> S2T:
    """The model to trace; with --html, a readable one. Raises ModelError, BackendError, OptionError."""
    return load_model(args) if args.html is None else load_readable(args)


def load_readable(args: Namespace) -> S2T:
    """The model for a page. "auto" means numpy, which alone has what the page shows.

    Raises ModelError, BackendError, OptionError.
    """
    from ...inspect.explorer import check_backend, lacking_stages

    if args.backend == "auto":
        args.backend = "numpy"
    if args.backend == "numba":  # before it compiles its kernels
        raise lacking_stages(args.backend)
    model = load_model(args)
    check_backend(model)
    return model


def trace(args: Namespace) -> int:
    """Transcribe a recording and write every number computed on the way."""
    from ...inspect.trace import LIMIT, check_length, estimate
    from ...inspect.trace import trace as follow

    options, chosen = generation_options(args), chosen_stages(args)
    check_part(args)
    model = load_traced(args)
    options |= with_vocabulary(args, model.tokenizer)
    samples, start = load_sound(args, model)
    if args.list:
        return print_table(model, len(samples), chosen, options)
    check_length(model, len(samples))
    say(f"{args.file}: a trace of about {estimate(model, len(samples), chosen, **options) / MEGABYTE:,.1f} MB")
    limit = LIMIT if args.limit is None else args.limit * MEGABYTE
    with about(args.file):
        seen = follow(model, samples, chosen, sampling_rate=model.feature_config.sampling_rate, limit=limit, **options)
    write(args, replace(seen, about=seen.about | {"audio": legible(args.file), "start": start}), model)
    show(f"{seen.transcript.text}\n")
    return 0


def write(args: Namespace, seen, model: S2T) -> None:
    """Write the folder and the page that were asked for, and report each on a line."""
    if args.output is not None:
        seen.save(args.output, args.format)
        written = sum(array.nbytes for array in seen.values()) / MEGABYTE
        say(f"{args.output}: {len(seen)} stages, {written:,.1f} MB in trace.{args.format}; manifest.json lists them")
    if args.html is not None:
        from ...inspect.explorer import page
        from ...training.saliency import explaining

        gradients = explaining(model, seen["features.cmvn"], seen.transcript.hypotheses[0])
        document = page(seen, model, gradients=gradients).encode("utf-8", "backslashreplace")
        with atomic_file(args.html) as file:
            file.write(document)
        say(f"{args.html}: {len(document) / MEGABYTE:,.1f} MB, opens in any browser")


def print_table(model: S2T, samples: int, chosen: list[str] | None, options: dict) -> int:
    """Print the names, shapes and types of the stages that a trace would hold."""
    from ...inspect.trace import plan

    table = plan.all_stages(model, plan.expected_size(model, samples, options))
    wanted = plan.selection(table, chosen)
    for stage in table:
        if wanted(stage.name):
            note = "" if plan.is_available(model, stage.name) else "  (backend numpy only)"
            show(f"{stage.name:60} {'x'.join(map(str, stage.shape)):>16} {stage.dtype}{note}\n")
    return 0


def add_trace_arguments(parser: ArgumentParser) -> None:
    """The arguments of `trace`."""
    parser.usage = "%(prog)s [OPTION ...] FILE [--output DIR] [--html PAGE]"
    parser.add_argument("file", metavar="FILE", help='a recording, or "-" for standard input')
    parser.add_argument("-o", "--output", metavar="DIR", help="the folder to write")
    parser.add_argument("--html", metavar="PAGE", help="write a page to explore, a single file that works offline")
    parser.add_argument(
        "--stages",
        metavar="GLOB,...",
        action="append",
        help="only these: globs or beginnings of names (may be repeated)",
    )
    parser.add_argument("--format", choices=["npz", "safetensors"], default="npz", help="default: npz")
    parser.add_argument(
        "--limit", metavar="MB", type=megabytes, help="refuse above this many megabytes (default: 2147)"
    )
    parser.add_argument("--list", action="store_true", help="only print the names and shapes of the stages")
    add_part_arguments(parser)
    add_model_arguments(parser)
    add_generation_arguments(parser)
    parser.set_defaults(backend="numpy")


TRACE = Command(
    add_trace_arguments,
    trace,
    description="Transcribe one recording and write every number computed on the way: the features, every layer's\n"
    "attention weights and outputs, every step of the search, as arrays in DIR/trace.npz. DIR/manifest.json describes\n"
    "each array, the function that computed it, and the outcome of each candidate of the search.\n"
    "The backend is numpy unless --backend names another one; a compiled one has fewer stages (--list marks them).\n"
    "--html writes a page instead or as well: pictures of the stages, the attention, the search, and the code.\n"
    "A trace follows one utterance. Choose a part of a recording longer than the model's longest (30 s, digits: 6 s).",
    examples="examples:\n"
    "  s2t-np trace --model digits digits.wav --output out\n"
    "  s2t-np trace talk.flac -o out --stages 'features.*,*.attn_weights,logits'\n"
    "  s2t-np trace talk.flac --html talk.html\n"
    "  s2t-np trace lecture.flac --segment 12 --html segment.html\n"
    "  s2t-np trace talk.flac --list | grep layers.0",
)
