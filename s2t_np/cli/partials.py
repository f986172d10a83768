"""Partial results on the command line: a line on the terminal that is renewed, or events in JSON.

On a terminal the stable words are as usual and the others dim (in parentheses where there are no colours), where
otherwise the progress bar is. With --format json every line of the output is an event:

    {"event": "partial", "start": ..., "end": ..., "stable": "two nine", "tentative": "three"}
    {"event": "segment", "id": 0, "start": ..., ...}
    {"event": "end", "text": ..., "incomplete": null}
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from ..audio import EACH
from ..errors import OptionError
from ..formats import Incomplete, Item, best_text, segment_record, to_json
from ..longform.partial import OnPartial, Partial
from ..tokenizer import Tokenizer
from .highlight import has_colours
from .terminal import columns, draw, on_terminal, show

DIM, NORMAL = "\x1b[2m", "\x1b[22m"  # styles of ECMA-48: faint, neither bold nor faint


def add_partial_arguments(parser: ArgumentParser) -> None:
    """--partial."""
    says = "show the words so far of an open segment: on a terminal, or as events with --format json"
    parser.add_argument("--partial", action="store_true", help=says)


def check_partial(args: Namespace, names: tuple[str, ...], batch: bool) -> None:
    """Raise OptionError for a place where partial results cannot be shown."""
    if not args.partial:
        return
    if batch or args.output or args.output_dir is not None:
        raise OptionError("--partial shows one recording as it is heard, not several, and not in a file")
    if args.channels == EACH:
        raise OptionError("--partial follows one channel; give --channels a number")
    if names == ("txt",) and not on_terminal():
        raise OptionError("--partial needs a terminal on standard error, or --format json")
    if names not in (("txt",), ("json",)):
        raise OptionError(f"--partial goes with --format txt or json, not {','.join(names)}")


def reporter(name: str, begin: float) -> OnPartial:
    """Return what shows partial results in txt or json; `begin`: seconds at which the part that is heard begins."""
    return draw_partial if name == "txt" else lambda partial: show_event(partial, begin)


def show_event(partial: Partial, begin: float) -> None:
    """Print an event."""
    times = {"start": round(partial.start + begin, 3), "end": round(partial.end + begin, 3)}
    show(to_json({"event": "partial", **asdict(partial), **times}) + "\n")


def draw_partial(partial: Partial) -> None:
    """Renew the line on the terminal."""
    stable, tentative = fitting(partial.stable, partial.tentative, columns() - len("()"))
    coloured = has_colours(sys.stderr, os.environ)
    draw(stable, (f"{DIM}%s{NORMAL}" if coloured else "(%s)") if tentative else "%s", tentative)


def fitting(stable: str, tentative: str, width: int) -> tuple[str, str]:
    """The end of both, in `width` columns with the space between them."""
    line = f"{stable} " if stable else ""
    over = max(0, len(line) + len(tentative) - width)
    return line[over:], tentative[max(0, over - len(line)) :]


def event_lines(tokenizer: Tokenizer) -> Callable[[Iterable[Item]], Iterator[str]]:
    """Return what turns the segments of a recording into events."""

    def lines(segments: Iterable[Item]) -> Iterator[str]:
        texts, incomplete = [], None
        for item in segments:
            if isinstance(item, Incomplete):
                incomplete = item.reason
                continue
            texts.append(best_text(item))
            yield to_json({"event": "segment", **segment_record(item, tokenizer)}) + "\n"
        yield to_json({"event": "end", "text": " ".join(texts), "incomplete": incomplete}) + "\n"

    return lines
