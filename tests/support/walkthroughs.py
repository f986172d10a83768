"""The walkthroughs as a reader meets them: the cells of their notebooks, run one after another."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT / "walkthrough"
NAMES = ("sound_to_text", "search", "word_times", "learning")


def notebook(name: str) -> list[tuple[str, str]]:
    """The cells of a committed notebook: ("code" or "markdown", source)."""
    found = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [(cell["cell_type"], "".join(cell["source"])) for cell in found["cells"]]


def helper(name: str) -> ModuleType:
    """A module that stands beside the walkthroughs, as they import it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        return importlib.import_module(name)


def walk(name: str) -> tuple[dict, list]:
    """Run a notebook's code without pictures: the names it leaves, and the sounds it showed."""
    show, shown = helper("show"), []
    names = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        patch.setattr(show, "present", shown.append)
        patch.setattr(show, "DRAWS", False)
        for number, (kind, source) in enumerate(notebook(name)):
            if kind == "code":
                exec(compile(source, str(Path(f"{name}.ipynb, cell {number}")), "exec"), names)
    return names, shown
