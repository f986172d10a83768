"""Scripts in percent format: cells begin with `# %%`, those with `# %% [markdown]` are text.

What stands before the first mark is code. Both the pages and the notebooks of the walkthrough are made of these cells.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Cell(NamedTuple):
    """A piece of a script."""

    is_text: bool
    line: int  # number of its first line in the file, from 1
    source: str  # code, or Markdown without its comment signs; no empty lines around it


def cells(script: str) -> Iterator[Cell]:
    """The script's cells, in order, without empty ones."""
    marks = list(re.finditer(r"^# %%(.*)\n", script, re.MULTILINE))
    starts = [0, *(match.end() for match in marks)]
    ends = [*(match.start() for match in marks), len(script)]
    kinds = [False, *("[markdown]" in match[1] for match in marks)]
    for is_text, start, end in zip(kinds, starts, ends, strict=True):
        source = script[start:end]
        if source.strip():
            empty = len(source) - len(source.lstrip("\n"))
            line = script.count("\n", 0, start) + 1 + empty
            yield Cell(is_text, line, uncommented(source) if is_text else source.strip("\n"))


def uncommented(source: str) -> str:
    """Commented Markdown as Markdown."""
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in source.strip().split("\n"))
