"""The second walkthrough runs, learns to spell, and its exercises have answers that its own checks accept."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.walkthroughs import FOLDER, load, without_pictures

EXERCISES = ("lowest_loss", "row_sums", "blind_directions", "after_steps", "hidden_share")


@pytest.fixture(scope="module")
def walked():
    with without_pictures("learning") as module:
        yield module


def test_it_learns_to_spell(walked):
    assert tuple(walked.spelt) == walked.WORDS and len(set(walked.WORDS)) == 10
    assert walked.losses[-1] < 0.1 * walked.losses[0]


@pytest.mark.parametrize("name", EXERCISES)
def test_the_answer_is_accepted(walked, name):
    getattr(walked, f"check_{name}")(getattr(load("answers"), name))


WRONG = {
    "lowest_loss": lambda V, e: 0.0,
    "row_sums": lambda x, y: np.ones(len(x)),
    "blind_directions": lambda row: (np.ones_like(row), np.arange(len(row)) ** 2.0),
    "after_steps": lambda gradient, rate, count: -gradient * rate * count,
    "hidden_share": lambda bands, F: F / bands,
}


@pytest.mark.parametrize("name", EXERCISES)
def test_a_wrong_answer_is_not(walked, name):
    with pytest.raises(AssertionError):
        getattr(walked, f"check_{name}")(WRONG[name])


def test_every_exercise_is_here(walked):
    assert [name.removeprefix("check_") for name in vars(walked) if name.startswith("check_")] == list(EXERCISES)


@pytest.mark.slow
def test_it_is_rendered_with_its_pictures(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: the pictures of the walkthrough")
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "tools.render", str(FOLDER / "learning.py"), "-o", str(page)]
    environment = os.environ | {"MPLBACKEND": "Agg"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == 5
    assert "<h2>8. Learning to spell</h2>" in text and "<strong>Exercise 5.</strong>" in text
    assert "abc bad cab dab dec ace bee add ebb ced\n</pre>" in text
