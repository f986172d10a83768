"""Every format, damaged in a bounded number of ways: nothing escapes. `python -m tools.fuzz` damages more of them."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from s2t_np.errors import OptionError
from tools.fuzz import campaign as parent
from tools.fuzz import seeds
from tools.fuzz.campaign import campaign
from tools.fuzz.formats import FORMATS, Format
from tools.fuzz.judge import compare, judge
from tools.fuzz.mutations import ogg_checksum
from tools.fuzz.tally import Tally, summed
from tools.fuzz.worker import mutant

pytestmark = pytest.mark.slow
COUNT = 100


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_escapes(name, tmp_path):
    tally = campaign(FORMATS[name], seed=1, count=COUNT, keep=tmp_path)
    assert tally.escapes == [] and tally.judged == COUNT
    assert tally.counts["refused"] > 0 and tally.slowest < 20
    assert tally.memory < 600, "megabytes, with the interpreter and the libraries"


@pytest.mark.parametrize("name", FORMATS)
def test_whole_files_are_read(name, tmp_path):
    kind = FORMATS[name]
    kind.prepare(tmp_path)
    for file, data in kind.seeds().items():
        (tmp_path / file).write_bytes(data)
        verdict = judge(tmp_path / file, kind.read, kind.reference)
        assert verdict.kind in ("read", "equal"), (file, verdict)


def test_a_mutant_is_a_matter_of_seed_and_index():
    kind = FORMATS["wav"]
    same = [mutant(kind, 1, 5) for _ in range(2)]
    assert same[0] == same[1] and len({mutant(kind, seed, 5)[1] for seed in range(20)}) > 15


def refusing(path):
    raise OptionError(f"{path}: is not what was expected")


def nameless(path):
    raise OptionError("something is wrong")


def raw(path):
    raise KeyError("x")


@pytest.mark.parametrize(
    ("read", "reference", "kind"),
    [
        (refusing, None, "refused"),
        (refusing, len, "refused"),
        (refusing, lambda path: 1, "stricter"),
        (lambda path: 1, raw, "laxer"),
        (lambda path: 1, lambda path: 1, "equal"),
        (lambda path: 1, lambda path: 2, "escape"),
        (nameless, None, "escape"),
        (raw, None, "escape"),
    ],
)
def test_verdicts(read, reference, kind, tmp_path):
    assert judge(tmp_path / "file.bin", read, reference).kind == kind


def test_other_numbers_are_a_difference():
    import numpy as np

    one, other = {"a": np.array([1.0, np.nan])}, {"a": np.array([1.5, np.nan])}
    assert compare(one, one) == "" and "a is read" in compare(one, other) and "names" in compare(one, {"b": one["a"]})


def dying(path):
    os.abort()


def sleeping(path):
    if path.parent.name != "whole":  # which is read before the clock counts
        time.sleep(60)


@pytest.mark.parametrize(
    ("read", "words"), [(dying, "the process died"), (sleeping, "no end after"), (raw, "KeyError")]
)
def test_what_ends_the_worker_is_an_escape_and_the_campaign_goes_on(read, words, tmp_path, monkeypatch):
    """The worker knows the formats by name, so the broken reader comes to it through a module of its own."""
    monkeypatch.setattr(parent, "PATIENCE", 3.0)
    module = tmp_path / "broken.py"
    body = "\n".join(
        [
            "import sys",
            "from tools.fuzz import formats, worker",
            f"from tests.fuzz.test_formats import {read.__name__} as read",
            "formats.FORMATS['list'] = formats.FORMATS['list']._replace(read=read)",
            "worker.main()",
        ]
    )
    module.write_text(body)
    monkeypatch.setattr(parent, "WORKER", [str(module)])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    tally = campaign(FORMATS["list"], 0, 3, tmp_path / "kept")
    assert tally.counts["escape"] == 3 and all(words in line for line in tally.escapes)
    kept = sorted(path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    assert [path.read_bytes() for path in kept] == [mutant(FORMATS["list"], 0, index)[1] for index in range(3)]


def test_counts_of_campaigns_are_summed():
    one = Tally("wav", Counter(read=2, escape=1), 0.5, 90, ["a"], ["0: 3"])
    other = Tally("wav", Counter(read=1), 2.0, 80)
    (total,) = summed([one.record(), other.record()])
    assert total == Tally("wav", Counter(read=3, escape=1), 2.0, 90, ["a"], ["0: 3"]) and total.judged == 4


def test_the_checksum_of_an_ogg_page_is_the_one_that_libvorbis_wrote():
    page = seeds.sound("ogg")["0-1.ogg"]
    end = page.index(b"OggS", 4)
    blank = page[:22] + bytes(4) + page[26:end]
    assert ogg_checksum(blank).to_bytes(4, "little") == page[22:26]


def test_a_format_is_a_whole_description():
    assert all(isinstance(kind, Format) and kind.name == name for name, kind in FORMATS.items())
