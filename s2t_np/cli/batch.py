"""A batch as the command runs it: what is done already, every result to its place, every failure on one line."""

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

from ..batch.inputs import Failure, Input
from ..batch.notes import Remaining
from ..batch.on_ray import transcribe_on_ray
from ..batch.run import Task, transcribe_all
from ..errors import OptionError
from ..longform.segment import Recording
from .outputs import Output, Printed
from .progress import Progress
from .terminal import bar_away, say

Hearer = Callable[..., Iterator[Recording | Failure]]  # (inputs, listener) -> their results, in order
FAILED, INCOMPLETE = "failed", "incomplete"  # what becomes of an input that is not done: the keys of a tally
HOW_TO_GO_ON = "the same command with --resume goes on where it stopped"


def add_sharing_arguments(parser: ArgumentParser) -> None:
    """--jobs and --batch."""
    parser.add_argument("--jobs", "-j", type=int, metavar="N", help="Python threads (default: one per core, at most 4)")
    says = "utterances decoded together in all (default: by the shape of the model in each thread; `info` says it)"
    parser.add_argument("--batch", type=int, metavar="N", help=says)


def add_ray_argument(parser: ArgumentParser) -> None:
    """--ray."""
    says = "several recordings on a Ray cluster: its address, auto, or local (pip install ray); same paths everywhere"
    parser.add_argument("--ray", metavar="ADDRESS", help=says)


def hearer(args: Namespace, task: Task) -> Hearer:
    """Return what transcribes inputs: threads of this process, or --ray."""
    if args.ray is not None:
        return lambda inputs, listener: transcribe_on_ray(args.ray, task, inputs)
    return partial(transcribe_all, task)


def check_sharing(args: Namespace) -> None:
    """Raise OptionError for bad --jobs and --batch."""
    for name in ("jobs", "batch"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise OptionError(f"--{name} is {getattr(args, name)}, expected at least 1")


def report(failed: Failure) -> None:
    """Print one line about an input that failed."""
    say(f"{failed.path}: {failed.reason}")


def report_incomplete(path: str, reason: str) -> None:
    """Print one line about a recording that broke off."""
    say(f"{path}: {reason}; the text up to there is written and marked as incomplete")


def summary(tally: Counter, count: int) -> int:
    """Print how many of `count` inputs are not done, if there were several; returns the exit code."""
    parts = {FAILED: f"{tally[FAILED]} of {count} inputs failed"}
    parts[INCOMPLETE] = f"{tally[INCOMPLETE]} of {count} recordings are incomplete"
    found = [text for kind, text in parts.items() if tally[kind]]
    if found and count > 1:
        say(", ".join(found))
    return 1 if found else 0


def settle(output: Output, index: int, item: Input, result: Recording | Failure, write: Callable) -> str | None:
    """Deliver one result; returns FAILED or INCOMPLETE, after saying why, or None.

    A file that cannot be written fails its input only. Where all results go to one place, raises OSError.
    """
    if isinstance(result, Failure):
        report(result)
        return FAILED
    try:
        output.deliver(index, write(result), result.incomplete)
    except OSError as error:
        if output.in_order:
            raise
        report(Failure(item.path, f"its result cannot be written to {error.filename} ({error.strerror})"))
        return FAILED
    if result.incomplete:
        report_incomplete(item.path, result.incomplete)
        return INCOMPLETE
    return None


def report_done(remaining: Remaining, inputs: Sequence[Input]) -> None:
    """Print how many inputs are done already, and which of these are not what they should be."""
    if done := len(inputs) - len(remaining.todo):
        say(f"{done} of {len(inputs)} are done already")
    for index, reason in remaining.incomplete.items():
        say(f"{inputs[index].path}: is incomplete, as before ({reason}); it is tried again once the file has changed")
    for path in remaining.edited.values():
        say(
            f"{path}: was changed after s2t-np had written it, and is left as it is; remove it to have it written again"
        )


def run_batch(
    hear: Hearer, inputs: Sequence[Input], output: Output, write: Callable, by_content: bool = False
) -> Counter:
    """Transcribe, by `hear`, and deliver what is not done; returns how many inputs are FAILED and INCOMPLETE.

    Raises OptionError, OSError; KeyboardInterrupt with advice.
    """
    remaining = output.pending(by_content)
    report_done(remaining, inputs)
    todo = [inputs[index] for index in remaining.todo]
    progress, tally = Progress(todo), Counter({INCOMPLETE: len(remaining.incomplete)})
    progress.draw(force=True)
    try:
        with closing(hear(todo, listener=progress.heard)) as results:
            for index, result in enumerate(results):
                tally[settle(output, remaining.todo[index], todo[index], result, write)] += 1
                progress.finished(index, todo[index], getattr(result, "duration", None))
    except KeyboardInterrupt:
        resumable = len(inputs) > 1 and not isinstance(output, Printed)
        raise KeyboardInterrupt(*[HOW_TO_GO_ON] * resumable) from None
    with bar_away():
        return tally
