"""Sub-commands for ports of the model: `golden` writes a reference pack, `check` compares a port's numbers with it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from ...errors import OptionError
from ...formats import to_json
from ...loading import load
from ..command import Command
from ..parts import MEGABYTE, megabytes
from ..terminal import say, show
from .inspect import about, add_format


def golden(args: Namespace) -> int:
    """Write a reference pack."""
    from ...inspect.golden import LIMIT, write_pack

    model = load(args.model, backend=args.backend, revision=args.revision)
    limit = LIMIT if args.limit is None else args.limit * MEGABYTE
    with about(args.file):
        manifest = write_pack(model, args.file, args.output, limit=limit)
    size = sum(path.stat().st_size for path in Path(args.output).iterdir()) / MEGABYTE
    say(f"{args.output}: {len(manifest['stages'])} stages, {size:,.1f} MB; FORMAT.md there describes the files")
    return 0


def add_golden_arguments(parser: ArgumentParser) -> None:
    """The arguments of `golden`."""
    parser.add_argument("model", metavar="MODEL", help="digits (bundled), a folder, or a hub id")
    parser.add_argument("file", metavar="FILE", help="a recording of a few seconds")
    parser.add_argument("-o", "--output", metavar="PACK", required=True, help="the folder to write; new or empty")
    parser.add_argument("--limit", metavar="MB", type=megabytes, help="refuse above this many megabytes (default: 500)")
    says = "numpy (default), numba or auto: computes in float32; a pack of numba has the stages that its kernels show"
    parser.add_argument("--backend", default="numpy", help=says)
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub id")


def check(args: Namespace) -> int:
    """Compare a dump with a pack; print the first wrong stage, or all stages with --verbose or --format json."""
    from ...inspect.golden import check as compare

    for name, path in (("PACK", args.pack), ("DUMP", args.dump)):
        if not Path(path).exists():
            raise OptionError(f"{name} {path}: no such file or folder")
    report = compare(args.pack, args.dump)
    if args.format == "json":
        show(to_json(record(report)) + "\n")
    else:
        show("\n".join([*lines(report, args.verbose), ""]))
    return 0 if report.agrees else 1


def lines(report, verbose: bool) -> list[str]:
    """A report as lines of text."""
    wrong = [f for f in report.findings if not f.right]
    out = [line(finding) for finding in report.findings if verbose or finding is report.first]
    out += layout_lines(report)
    if first := report.first:
        out += [f"first wrong stage: {first.stage}", f"  {first.says}"]
        if unseen := report.unseen_before(first.stage):
            out.append(f"  or an earlier stage that the dump does not hold: {some(unseen)}")
        if len(wrong) > 1:
            out.append(f"  {len(wrong) - 1} later stages are wrong too, as they depend on it")
    if report.unknown:
        out.append(f"names that are not stages: {some(report.unknown)}")
    return [*out, total(report, len(wrong))]


def total(report, wrong: int) -> str:
    """The last line of a report."""
    count, other = len(report.findings), sum(1 for f in report.findings if f.right and f.layout)
    layout = f", {other} of them in another layout" if other else ""
    return f"{count - wrong} of {count} stages right{layout}; {len(report.absent)} of the pack not in the dump"


def layout_lines(report) -> Iterator[str]:
    """A line for each layout that is not the pack's, and the stages that come in it with the right numbers."""
    for layout in dict.fromkeys(f.layout for f in report.findings if f.right and f.layout):
        stages = [f.stage for f in report.findings if f.right and f.layout == layout]
        yield f"other layout, {layout}: {some(stages)} (their numbers are right)"


def line(finding) -> str:
    """One stage as a line of text."""
    says = f"  ({finding.layout})" if finding.layout else ""
    verdict = "WRONG" if not finding.right else "shape" if finding.layout else "ok   "
    return f"{verdict} {finding.stage:45} off by {finding.error:8.1e} r.m.s., allowed {finding.allowed:8.1e}{says}"


def some(names: list[str]) -> str:
    """The first few names of a list."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def record(report) -> dict:
    """A report as one JSON object."""
    return {
        "agrees": report.agrees,
        "first_wrong": report.first.stage if report.first else None,
        "says": report.first.says if report.first else None,
        "stages": [f._asdict() | {"error": None if f.error == float("inf") else f.error} for f in report.findings],
        "absent": report.absent,
        "unknown": report.unknown,
    }


def add_check_arguments(parser: ArgumentParser) -> None:
    """The arguments of `check`."""
    parser.add_argument("pack", metavar="PACK", help="a folder that `s2t-np golden` wrote")
    parser.add_argument("dump", metavar="DUMP", help="a port's numbers: .npz, .safetensors, or a folder of .npy files")
    parser.add_argument("--verbose", action="store_true", help="print a line for every stage")
    add_format(parser)


GOLDEN = Command(
    add_golden_arguments,
    golden,
    description="Write what every stage of a model computes for one recording, in float32 and in float64, and the\n"
    "error allowed to a correct port. PACK/FORMAT.md describes the files for programs in any language.",
    examples="example:\n  s2t-np golden digits s2t_np/recordings/five-five.flac -o pack",
)
CHECK = Command(
    add_check_arguments,
    check,
    description="Compare what a port computed with a reference pack, stage by stage, in the order of computation. The\n"
    "first wrong stage is explained if it is one of the usual mistakes. The exit code is 1 if anything is wrong or in\n"
    "another layout than in the pack.",
    examples="example:\n  s2t-np check pack dump.npz",
)
