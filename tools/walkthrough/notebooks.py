#!/usr/bin/env python3
"""Make the notebooks of the walkthrough from its scripts, without outputs, so that a change shows as a change.

    python -m tools.walkthrough.notebooks                # writes walkthrough/*.ipynb
    python -m tools.walkthrough.notebooks -o FOLDER      # somewhere else

They need jupytext and nbformat: pip install ".[walkthrough]". The scripts are edited, never the notebooks.
"""

import argparse
import re
from pathlib import Path

from .page import FOLDER, WALKS

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook_of(script: str) -> str:
    """A script in percent format as the text of a notebook. Links to other walkthroughs lead to their notebooks."""
    import jupytext
    import nbformat

    notebook = jupytext.reads(script, fmt="py:percent")
    notebook.metadata = nbformat.NotebookNode(kernelspec=KERNEL, language_info={"name": "python"})
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:03d}", nbformat.NotebookNode()
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source)
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4) + "\n"


def linked(text: str) -> str:
    """Markdown whose links to walkthroughs lead to notebooks."""
    return re.sub(rf"\]\(({'|'.join(WALKS)})\.py\)", r"](\1.ipynb)", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, help="the folder (default: walkthrough)")
    arguments = parser.parse_args()
    try:
        for name in WALKS:
            text = notebook_of((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
            (arguments.output / f"{name}.ipynb").write_text(text, encoding="utf-8")
    except ModuleNotFoundError as missing:
        parser.exit(1, f'{missing}; the notebooks need: pip install ".[walkthrough]"\n')


if __name__ == "__main__":
    main()
