"""The walkthrough runs, says what it claims, and its exercises have answers that its own checks accept."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.walkthroughs import FOLDER, load, without_pictures

EXERCISES = ("frame_count", "loudness_change", "receptive_field", "permuted_difference", "earliest_change", "trap")


@pytest.fixture(scope="module")
def walked():
    with without_pictures("sound_to_text") as module:
        yield module


def test_it_ends_with_the_text(walked):
    assert walked.written == "two nine three four zero"


@pytest.mark.parametrize("name", EXERCISES)
def test_the_answer_is_accepted(walked, name):
    getattr(walked, f"check_{name}")(getattr(load("answers"), name))


WRONG = {
    "frame_count": lambda n, rate: 1 + (n - 400) // 160,
    "loudness_change": lambda samples, factor: 0.0,
    "receptive_field": lambda kernel, stride, convolutions: kernel * convolutions,
    "permuted_difference": lambda layer, x, order: 0.0,
    "earliest_change": lambda logits_of, tokens, place, other: place - 1,
    "trap": lambda: lambda tokens: np.array([0.0, 0.0, 1.0]),
}


@pytest.mark.parametrize("name", EXERCISES)
def test_a_wrong_answer_is_not(walked, name):
    with pytest.raises(AssertionError):
        getattr(walked, f"check_{name}")(WRONG[name])


def test_every_exercise_is_here(walked):
    assert [name.removeprefix("check_") for name in vars(walked) if name.startswith("check_")] == list(EXERCISES)


def test_it_runs_as_a_script(tmp_path):
    command = [sys.executable, str(FOLDER / "sound_to_text.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("two nine three four zero\n")


def test_it_is_rendered_with_its_pictures(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: the pictures of the walkthrough")
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "tools.render", str(FOLDER / "sound_to_text.py"), "-o", str(page)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == text.count("\ndraw(") >= 6
    assert "<h2>8. Search</h2>" in text and "<strong>Exercise 6.</strong>" in text
    assert "two nine three four zero\n</pre>" in text
    assert "http" not in text.replace("https://github.com", "")


def test_what_fails_is_said(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("# %% [markdown]\n# # Title\n\n# %%\nassert 1 == 2\n")
    command = [sys.executable, "-m", "tools.render", str(script), "-o", str(tmp_path / "page.html")]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "AssertionError" in done.stderr and 'broken.py", line 5' in done.stderr
    assert not (tmp_path / "page.html").exists()
