"""The walkthroughs run, say what they claim, and their exercises have answers that their own checks accept."""

import os
import re
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.walkthroughs import FOLDER, NAMES, helper, notebook, walk

walked = cache(walk)
WRONG = {
    "sound_to_text": {
        "frame_count": lambda n, rate: 1 + (n - 400) // 160,
        "loudness_change": lambda samples, factor: 0.0,
        "receptive_field": lambda kernel, stride, convolutions: kernel * convolutions,
        "permuted_difference": lambda layer, x, order: 0.0,
        "earliest_change": lambda logits_of, tokens, place, other: place - 1,
        "probability_of": lambda logits, tokens: 0.5,
    },
    "search": {
        "trap": lambda: lambda tokens: np.array([0.0, 0.0, 1.0]),
        "crossing": lambda sum_1, length_1, sum_2, length_2: 1.5,
        "is_over": lambda running, length, worst, mode, penalty, most: running / length**penalty <= worst,
        "best_places": lambda scores, count: [
            *zip(*np.unravel_index(np.argsort(scores.ravel())[::-1][:count], scores.shape), strict=True)
        ],
    },
    "word_times": {
        "slow_highest_sum": lambda weights: weights.max(axis=0).sum(),
        "seconds_of_position": lambda s: 0.04 * s,
        "path_count": lambda rows, columns: columns**rows,
        "stretched": lambda spans, shortest: spans + np.array([0, shortest]),
    },
    "learning": {
        "lowest_loss": lambda V, e: 0.0,
        "row_sums": lambda x, y: np.ones(len(x)),
        "blind_directions": lambda row: (np.ones_like(row), np.arange(len(row)) ** 2.0),
        "after_steps": lambda gradient, rate, count: -gradient * rate * count,
        "hidden_share": lambda bands, F: F / bands,
    },
}
EXERCISES = [(name, exercise) for name, found in WRONG.items() for exercise in found]


@pytest.mark.parametrize(("name", "exercise"), EXERCISES)
def test_the_answer_is_accepted_and_a_wrong_one_is_not(name, exercise):
    check = walked(name)[0][f"check_{exercise}"]
    check(getattr(helper("answers"), exercise))
    with pytest.raises(AssertionError):
        check(WRONG[name][exercise])


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_is_here_and_numbered_in_order(name):
    names = [found.removeprefix("check_") for found in walked(name)[0] if found.startswith("check_")]
    assert names == [*WRONG[name]]
    text = "\n".join(source for kind, source in notebook(name) if kind == "markdown")
    assert re.findall(r"\*\*Exercise (\d+)\.\*\*", text) == [str(i + 1) for i in range(len(names))]


@pytest.mark.parametrize("name", NAMES)
def test_every_chapter_ends_in_something_to_see_or_to_hear(name):
    script = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    chapters = re.split(r"^# ## (\d+\. .*)$", script, flags=re.M)
    assert len(chapters) >= 13
    silent = [title for title, text in zip(chapters[1::2], chapters[2::2], strict=True) if "\nshow." not in text]
    assert silent == []
    assert len(walked(name)[1]) >= 2  # sounds


def test_sound_to_text_ends_with_the_text():
    assert walked("sound_to_text")[0]["written"] == "two nine three four zero"


def test_learning_ends_with_the_spelling():
    names = walked("learning")[0]
    assert tuple(names["spelt"]) == names["WORDS"] and len(set(names["WORDS"])) == 10
    assert names["losses"][-1] < 0.1 * names["losses"][0]


def test_search_finds_what_greedy_search_misses():
    names = walked("search")[0]
    assert names["best"][0] != names["path"] and names["best"][1] > names["alone"] + 0.2


def test_log_mel_energies_become_sound_that_has_the_same_energies():
    names = walked("sound_to_text")[0]
    features, log_mel = names["features"], names["log_mel"]
    again = features.fbank(helper("hear").sound_of(log_mel), 16000)
    assert np.corrcoef(features.cmvn(again).ravel(), features.cmvn(log_mel).ravel())[0, 1] > 0.97
    assert not helper("hear").sound_of(np.full((10, 80), -100.0)).max() > 1


def test_one_runs_as_a_script_and_leaves_what_it_shows_in_a_folder(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(FOLDER / "word_times.py")]
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "0.25 to  0.48 s  two" in done.stdout
    files = sorted(path.name for path in (tmp_path / "shown").iterdir())
    assert [name for name in files if name.endswith(".flac")]
    assert all(f"shown/{name}: " in done.stdout for name in files)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_lines_fit_the_page(path):
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 96
