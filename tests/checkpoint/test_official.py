"""The table of the twenty released checkpoints, and how one is recognised."""

from pathlib import Path

import pytest

from s2t_np.checkpoint.official import official, recognised, task_of
from tests.support.paths import ROOT


def test_there_are_twenty_of_which_seventeen_translate():
    every = official()
    assert len(every) == 20
    assert sum("translation" in one.task for one in every.values()) == 17


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("facebook/s2t-large-librispeech-asr", "transcription of English speech"),
        ("facebook/s2t-small-mustc-en-ru-st", "translation of English speech into Russian text"),
        ("facebook/s2t-small-covost2-fr-en-st", "translation of French speech into English text"),
        ("facebook/s2t-small-covost2-en-fa-st", "translation of English speech into Persian text"),
    ],
)
def test_the_task_is_said_in_words(name, task):
    assert official()[name].task == task
    assert official()[name].id == name


def test_several_targets_are_chosen_by_an_option():
    assert task_of("en", ("de", "fr")) == "translation of English speech into one of de, fr (--lang)"


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("s2t-small-mustc-en-es-st", "facebook/s2t-small-mustc-en-es-st"),
        ("/c/models--facebook--s2t-small-covost2-en-de-st/snapshots/a1", "facebook/s2t-small-covost2-en-de-st"),
        ("/c/models--other--s2t-small-covost2-en-de-st/snapshots/a1", None),
        ("s2t-small-mustc-en-es-st-mine", None),
        ("digits", None),
    ],
)
def test_a_folder_is_recognised_by_its_name(folder, found):
    assert getattr(recognised(Path(folder)), "id", None) == found


def test_the_table_of_the_documentation_says_the_same():
    page = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `face")
    ]
    assert [(row[0].strip("`"), row[1], row[3]) for row in rows] == [
        (one.id, one.task, one.published) for one in official().values()
    ]
    assert sum(int(row[4].split()[0]) for row in rows) == 372
