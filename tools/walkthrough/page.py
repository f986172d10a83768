#!/usr/bin/env python3
"""Run the walkthroughs and write them as pages: their text, their code, what it printed, showed and sounded like.

    python -m tools.walkthrough.page -o site            # all of them, with an index
    python -m tools.walkthrough.page search -o site     # one of them

The pages stand by themselves: no script, nothing from a network. They need markdown-it-py and Pygments, and matplotlib
for the pictures: pip install ".[walkthrough]".
"""

import argparse
import ast
import contextlib
import html
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .percent import Cell, cells

FOLDER = Path(__file__).parents[2] / "walkthrough"
WALKS = ("sound_to_text", "search", "word_times", "learning")
SOURCES = ("answers", "hear", "show")  # shown as they are
STYLE = Path(__file__).with_suffix(".css")


class Page(NamedTuple):
    """A page in the making."""

    name: str
    title: str
    headings: list[tuple[str, str]]  # id and text of each chapter
    body: str


def slug(text: str) -> str:
    """A heading as an id."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"<[^>]+>", "", text).lower()).strip("-")


def prose(source: str) -> str:
    """Markdown -> HTML; headings get ids, links to scripts lead to their pages."""
    from markdown_it import MarkdownIt

    text = MarkdownIt("commonmark", {"html": False}).enable("table").render(source)
    text = re.sub(r"<h(\d)>(.*?)</h\1>", lambda m: f'<h{m[1]} id="{slug(m[2])}">{m[2]}</h{m[1]}>', text)
    pages = "|".join((*WALKS, *SOURCES))
    text = re.sub(rf'href="({pages})\.py(#\w+)?"', r'href="\1.html\2"', text)
    return re.sub(r"<p><strong>Exercise (\d+)\.", r'<p class="exercise" id="exercise-\1"><strong>Exercise \1.', text)


def highlighted(code: str) -> str:
    """Python -> HTML, coloured by classes."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    inner = highlight(code, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    return f'<pre class="code" tabindex="0"><code>{inner.rstrip()}</code></pre>'


def run(cell: Cell, path: Path, names: dict) -> str:
    """Execute a cell of code: the code, what it printed, what it showed. Lines in errors are those of the file."""
    import show

    printed, shown = io.StringIO(), []
    show.present = shown.append
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * (cell.line - 1) + cell.source, str(path), "exec"), names)
    code, drawing = without_drawing(cell.source)
    parts = [highlighted(code)] if code else []
    if printed.getvalue():
        output = html.escape(printed.getvalue(), quote=False)
        parts.append(f'<pre class="out" tabindex="0" aria-label="what it prints">{output}</pre>')
    parts += [*answer_links(cell.source), *map(show.as_html, shown)]
    if drawing:
        parts.append(f"<details><summary>The code of what is shown</summary>{highlighted(drawing)}</details>")
    return "\n".join(parts)


def without_drawing(code: str) -> tuple[str, str]:
    """A cell's code, and the calls of `show` that end it: readers of the page may skip these."""
    body = ast.parse(code).body
    while body and re.match(r"show\.\w+\(", ast.unparse(body[-1])):
        body.pop()
    lines = code.splitlines()
    end = body[-1].end_lineno if body else 0
    return "\n".join(lines[:end]), "\n".join(lines[end:])


def answer_links(code: str) -> list[str]:
    """A link to the answer of each exercise that a cell checks."""
    names = re.findall(r"^def check_(\w+)\(", code, re.MULTILINE)
    return [f'<p class="answer" id="{n}"><a href="answers.html#{n}">The answer: {n}</a></p>' for n in names]


def walk(path: Path) -> Page:
    """Run a script: its page."""
    names = {"__name__": "__main__", "__file__": str(path)}
    parts = [prose(c.source) if c.is_text else run(c, path, names) for c in cells(path.read_text(encoding="utf-8"))]
    body = "\n".join(parts)
    title = re.search(r"<h1[^>]*>(.*?)</h1>", body)
    return Page(path.stem, title[1] if title else path.stem, re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', body), body)


def source_page(path: Path) -> Page:
    """A module as it is: its introduction as text, each function under its own heading."""
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    introduction, title = ast.get_docstring(tree), path.name
    parts, headings, line = [f"<h1>{title}</h1>", prose(introduction)], [], tree.body[0].end_lineno
    for node in (*tree.body[1:], None):
        end = node.end_lineno if node else len(lines)
        if isinstance(node, ast.FunctionDef | None):
            begin = node.lineno - 1 - len(node.decorator_list) if node else end
            if before := "\n".join(lines[line:begin]).strip("\n"):
                parts.append(highlighted(before))
            if node:
                headings.append((node.name, node.name))
                parts.append(f'<h2 id="{node.name}">{node.name}</h2>{exercise_link(node.name)}')
                parts.append(highlighted("\n".join(lines[begin:end])))
            line = end
    return Page(path.stem, title, headings, "\n".join(parts))


def exercise_link(name: str) -> str:
    """The way back from an answer to its exercise."""
    for walk_name in WALKS:
        script = FOLDER / f"{walk_name}.py"
        if f"def check_{name}(" in script.read_text(encoding="utf-8"):
            return f'<p><a href="{walk_name}.html#{name}">The exercise, in {walk_name}.py</a></p>'
    return ""


def title_of(name: str) -> str:
    """The title of a walkthrough, from its first line of text."""
    return re.search(r"^# # (.*)$", (FOLDER / f"{name}.py").read_text(encoding="utf-8"), re.MULTILINE)[1]


def contents(page: Page) -> str:
    """The list of all pages, with the chapters of this one."""
    chapters = "".join(f'<li><a href="#{anchor}">{text}</a></li>' for anchor, text in page.headings)
    items = []
    for name in (*WALKS, *SOURCES):
        here = name == page.name
        title = title_of(name) if name in WALKS else f"{name}.py"
        link = f'<a href="{name}.html"{" aria-current=page" * here}>{title}</a>'
        items.append(f"<li>{link}{f'<ol>{chapters}</ol>' * (here and bool(chapters))}</li>")
    return f'<nav aria-label="contents"><p><a href="index.html">Walkthroughs</a></p><ul>{"".join(items)}</ul></nav>'


def document(page: Page) -> str:
    """The whole file of a page."""
    head = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{page.title} - s2t-np</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>"
    )
    skip = '<a class="skip" href="#main">To the text</a>'
    return f'{head}\n{skip}\n{contents(page)}\n<main id="main">\n{page.body}\n{following(page)}</main>\n</html>\n'


def following(page: Page) -> str:
    """A link to the next walkthrough."""
    if page.name not in WALKS[:-1]:
        return ""
    name = WALKS[WALKS.index(page.name) + 1]
    return f'<p class="next"><a href="{name}.html">Next: {title_of(name)}</a></p>\n'


def index() -> Page:
    """The page that lists the others."""
    items = []
    for name in WALKS:
        text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        chapters = " · ".join(re.findall(r"^# ## \d+\. (.*)$", text, re.MULTILINE))
        items.append(f'<li><a href="{name}.html">{title_of(name)}</a><br>{html.escape(chapters)}</li>')
    text = (
        "<p>A speech recogniser, the S2T transformer, built by hand from the samples of a recording to its text, with "
        "exercises. You need to know a little numpy and what a matrix product is. Every step is compared with the "
        "model's own code, and every chapter ends in something to see or to hear.</p>"
    )
    return Page("index", "Walkthroughs", [], f"<h1>Walkthroughs</h1>{text}<ol>{''.join(items)}</ol>")


def write(names: Sequence[str], folder: Path) -> None:
    """The pages of these scripts and those that they link to."""
    sys.path.insert(0, str(FOLDER))
    folder.mkdir(parents=True, exist_ok=True)
    pages = [*(walk(FOLDER / f"{name}.py") for name in names), *(source_page(FOLDER / f"{n}.py") for n in SOURCES)]
    for page in (*pages, index()):
        (folder / f"{page.name}.html").write_text(document(page), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(WALKS)} (default: all)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of the pages")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(WALKS):
        parser.error(f"{', '.join(sorted(unknown))}: not a walkthrough; there are {', '.join(WALKS)}")
    try:
        write(arguments.names or WALKS, arguments.output)
    except ModuleNotFoundError as missing:
        parser.exit(1, f'{missing}; the pages need: pip install ".[walkthrough]"\n')


if __name__ == "__main__":
    main()
