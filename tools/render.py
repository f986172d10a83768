#!/usr/bin/env python3
"""Run a script in percent format and write it as a page: its text, its code, what it printed and drew.

    python tools/render.py walkthrough/sound_to_text.py -o walkthrough.html

Cells begin with `# %%`; those with `# %% [markdown]` are text (headings, paragraphs, **bold**, `code`). Pictures are
what matplotlib had open after a cell; without matplotlib there are none. The page is one file.
"""

import argparse
import base64
import contextlib
import html
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

STYLE = """
:root { color-scheme: light dark; }
body { max-width: 48rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.6 system-ui, sans-serif; }
pre { overflow-x: auto; padding: .7rem; border-radius: .4rem; font: .84rem/1.5 ui-monospace, Consolas, monospace;
  background: color-mix(in srgb, currentColor 7%, transparent); }
pre.out { background: none; border-left: 3px solid #8888; border-radius: 0; }
img { max-width: 100%; background: white; border-radius: .4rem; }
"""


class Cell(NamedTuple):
    """A piece of the script."""

    is_text: bool
    line: int  # number of its first line in the file, from 1
    source: str


def cells(script: str) -> Iterator[Cell]:
    """The script's cells, in order; what stands before the first mark is code."""
    marks = list(re.finditer(r"^# %%(.*)\n", script, re.MULTILINE))
    starts = [0, *(match.end() for match in marks)]
    ends = [*(match.start() for match in marks), len(script)]
    kinds = [False, *("[markdown]" in match[1] for match in marks)]
    for is_text, start, end in zip(kinds, starts, ends, strict=True):
        if script[start:end].strip():
            yield Cell(is_text, script.count("\n", 0, start) + 1, script[start:end])


def prose(source: str) -> str:
    """Commented Markdown -> HTML."""
    text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in source.strip().split("\n"))
    return "\n".join(block(part) for part in re.split(r"\n\s*\n", text) if part.strip())


def block(text: str) -> str:
    """A heading or a paragraph."""
    if heading := re.match(r"(#+) (.*)", text):
        level = len(heading[1])
        return f"<h{level}>{inline(heading[2])}</h{level}>"
    return f"<p>{inline(text)}</p>"


def inline(text: str) -> str:
    """Bold words and code within a paragraph."""
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)


def pictures() -> Iterator[str]:
    """What matplotlib has open, as images; closed afterwards."""
    if (plt := sys.modules.get("matplotlib.pyplot")) is None:
        return
    for number in plt.get_fignums():
        file = io.BytesIO()
        plt.figure(number).savefig(file, format="png", dpi=110)
        yield f'<img alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
    plt.close("all")


def run(cell: Cell, path: Path, names: dict) -> str:
    """Execute a cell of code: the code, what it printed, what it drew. Lines in errors are those of the file."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * (cell.line - 1) + cell.source, str(path), "exec"), names)
    parts = [f"<pre>{html.escape(cell.source.strip(), quote=False)}</pre>"]
    if printed.getvalue():
        parts.append(f'<pre class="out">{html.escape(printed.getvalue(), quote=False)}</pre>')
    return "\n".join([*parts, *pictures()])


def render(path: Path) -> str:
    """The page of a script."""
    names = {"__name__": "__main__", "__file__": str(path)}
    parts = [prose(c.source) if c.is_text else run(c, path, names) for c in cells(path.read_text(encoding="utf-8"))]
    head = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(path.stem)}</title>'
    size = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return "\n".join([head, size, f"<style>{STYLE}</style>", *parts, "</html>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    with contextlib.suppress(ImportError):  # no matplotlib: a page without pictures, as the docstring says
        import matplotlib

        matplotlib.use("Agg")
    arguments.output.write_text(render(arguments.script), encoding="utf-8")


if __name__ == "__main__":
    main()
