"""Error rates: distance and alignment, normalisation, the summary; jiwer is the oracle where it is installed."""

import math
import random
import sys
import tracemalloc
from pathlib import Path

import pytest

from s2t_np.errors import OptionError
from s2t_np.evaluation import Utterance
from s2t_np.evaluation.distance import DELETION, HIT, INSERTION, SUBSTITUTION, Errors, align, count_errors
from s2t_np.evaluation.report import Outcome, compare
from s2t_np.evaluation.summary import Summary, show_alignment
from s2t_np.evaluation.text import NORMALIZERS


def random_pairs(count: int):
    """Word lists that share much, little or nothing, over alphabets small enough for ties."""
    rng = random.Random(5)
    for _ in range(count):
        words = [chr(97 + i) for i in range(rng.choice((2, 3, 5, 20)))]
        reference = [rng.choice(words) for _ in range(rng.randint(0, 25))]
        hypothesis = [word for word in reference if rng.random() > 0.2]
        for _ in range(rng.randint(0, 6)):
            hypothesis.insert(rng.randint(0, len(hypothesis)), rng.choice(words))
        yield reference, hypothesis if rng.random() < 0.7 else [rng.choice(words) for _ in range(rng.randint(0, 25))]


def test_an_alignment_is_read_off_by_hand():
    steps = align("the cat sat on".split(), "the bat sat on it".split())
    assert [step.kind for step in steps] == [HIT, SUBSTITUTION, HIT, HIT, INSERTION]
    assert steps[1][1:] == ("cat", "bat")
    assert align(["a", "b"], ["b"])[0] == (DELETION, "a", None)
    assert count_errors(steps) == Errors(3, 1, 0, 1)
    assert count_errors(steps).rate == 0.5


def test_an_alignment_holds_both_sequences():
    for reference, hypothesis in random_pairs(200):
        steps = align(reference, hypothesis)
        assert [s.reference for s in steps if s.reference is not None] == reference
        assert [s.hypothesis for s in steps if s.hypothesis is not None] == hypothesis


def plain_way(reference, hypothesis):
    """The whole table of distances, and the way back that rapidfuzz takes: (reference, hypothesis) of each step."""
    rows, columns = len(reference), len(hypothesis)
    d = {(i, 0): i for i in range(rows + 1)} | {(0, j): j for j in range(columns + 1)}
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            changed = d[i - 1, j - 1] + (reference[i - 1] != hypothesis[j - 1])
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, changed)
    i, j, way = rows, columns, []
    while i or j:
        if i and (j == 0 or d[i, j] == d[i - 1, j] + 1):
            i, pair = i - 1, (reference[i - 1], None)
        elif i == 0 or d[i, j - 1] == d[i - 1, j - 1] - 1:
            j, pair = j - 1, (None, hypothesis[j - 1])
        else:
            i, j, pair = i - 1, j - 1, (reference[i - 1], hypothesis[j - 1])
        way.append(pair)
    return way[::-1]


def test_of_equally_short_alignments_it_is_that_of_the_whole_table():
    for reference, hypothesis in random_pairs(300):
        ends = [["end"], ["other end"]]  # no common ends, which would be left out of the table
        reference, hypothesis = (end + x + end for end, x in zip(ends, (reference, hypothesis), strict=True))
        assert [(s.reference, s.hypothesis) for s in align(reference, hypothesis)] == plain_way(reference, hypothesis)


def test_memory_does_not_grow_with_the_square_of_the_text():
    """Characters of an hour of speech would be a table of 10 GB, of these 64 MB."""
    rng = random.Random(0)
    reference, hypothesis = ("".join(rng.choice("abcde") for _ in range(4000)) for _ in range(2))
    tracemalloc.start()
    try:
        steps = align(reference, hypothesis)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(steps) >= 4000 and peak < 8e6


def test_jiwer_counts_the_same():
    jiwer = pytest.importorskip("jiwer", reason="needs jiwer: the oracle of error rates")
    total, references, hypotheses = Errors(), [], []
    for reference, hypothesis in random_pairs(1000):
        theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
        ours = count_errors(align(reference, hypothesis))
        assert tuple(ours) == (theirs.hits, theirs.substitutions, theirs.deletions, theirs.insertions)
        assert ours.rate == theirs.wer
        characters = count_errors(align(" ".join(reference), " ".join(hypothesis)))
        assert characters.rate == jiwer.process_characters(" ".join(reference), " ".join(hypothesis)).cer
        total += ours
        references.append(" ".join(reference))
        hypotheses.append(" ".join(hypothesis))
    assert total.rate == jiwer.wer(references, hypotheses)


def test_of_an_empty_reference_every_word_is_an_insertion():
    assert count_errors(align([], ["a", "b"])) == Errors(0, 0, 0, 2)
    assert count_errors(align([], ["a", "b"])).rate == 2
    assert count_errors(align([], [])).rate == 0


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("none", " It\u2019s  a\ttest. ", "It\u2019s a test."),
        ("case", "he's  here", "HE'S HERE"),
        ("words", "\u2018Well-known\u2019, it\u2019s 5\u00bd_o'clock!", "WELL KNOWN IT'S 51\u20442 O'CLOCK"),
        ("words", "rock 'n' roll", "ROCK N ROLL"),
        ("words", "stra\u00dfe \ufb01n", "STRASSE FIN"),
    ],
)
def test_normalisation(name, text, expected):
    if name == "words":
        expected = expected.replace("\u2044", " ")
    assert NORMALIZERS[name](text) == expected


def outcome(group: str, errors: Errors, seconds: float = 1.0) -> Outcome:
    return Outcome("id", group, "file", "", "", errors, Errors(hits=10), 10.0, seconds)


def test_the_summary_has_a_row_for_each_part_and_one_for_all():
    outcomes = [outcome("a", Errors(8, 1, 1, 0)), outcome("b", Errors(10), 3.0), outcome("b", Errors(10))]
    lines = Summary().table(outcomes).split("\n")
    assert [line.split()[0] for line in lines[1:]] == ["a", "b", "all"]
    assert lines[1].split()[1:] == ["1", "10", "20.00", "10.00", "10.00", "0.00", "0.00", "100.0", "0.1000"]
    assert lines[3].split()[1:4] == ["3", "30", "6.67"]
    assert lines[3].split()[-2:] == ["33.3", "0.1667"]


def test_one_part_alone_gets_one_row():
    assert len(Summary().table([outcome("a", Errors(1))]).split("\n")) == 2
    assert len(Summary().table([]).split("\n")) == 2


def test_the_alignment_is_shown_in_columns():
    shown = show_alignment(align("a longer one".split(), "a short one more".split()))
    assert shown.split("\n") == ["REF a longer one", "HYP a short  one more", "      S          I"]


def said(hypothesis: str, reference: str, group: str = "") -> Outcome:
    return compare(Utterance("id", Path("x.wav"), reference, group), hypothesis, "none", 10.0, 1.0)


def test_characters_are_counted_on_request():
    [record] = Summary("cer").records([said("ab d", "abc d"), said("x", "y")])
    assert record["characters"] == 6 and record["cer"] == pytest.approx(100 * 2 / 6)
    assert [record[kind] for kind in ("substitutions", "deletions")] == pytest.approx([100 / 6, 100 / 6])
    heading, row = Summary("cer").table([said("ab d", "abc d"), said("x", "y")]).split("\n")
    assert heading.split()[:4] == ["files", "chars", "CER", "%"]
    assert row.split()[:4] == ["all", "2", "6", "33.33"]


def test_bleu_by_hand():
    """Papineni et al. 2002: the geometric mean of n-gram precisions times the brevity penalty exp(1 - r / c)."""
    pytest.importorskip("sacrebleu", reason="needs sacrebleu: the metric")
    summary = Summary("bleu")
    [record] = summary.records([said("the cat sat on the mat", "the cat sat on a mat today")])
    precisions = [5 / 6, 3 / 5, 2 / 4, 1 / 3]
    assert record["bleu"] == pytest.approx(100 * math.prod(precisions) ** 0.25 * math.exp(1 - 7 / 6), abs=1e-9)
    assert record["words"] == 7 and "wer" not in record


def test_chrf_by_hand():
    """Popovic 2015: F of character n-gram precision and recall, averaged over n = 1 to 6, recall counting beta = 2."""
    pytest.importorskip("sacrebleu", reason="needs sacrebleu: the metric")
    [record] = Summary("chrf").records([said("abcdefgh", "abcdefgx")])
    precision = sum(1 - 1 / (9 - n) for n in range(1, 7)) / 6  # one n-gram of each order differs; recall is the same
    assert record["chrf"] == pytest.approx(100 * precision, abs=1e-9)


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_a_translation_metric_is_of_the_whole_part_and_carries_its_signature(metric):
    pytest.importorskip("sacrebleu", reason="needs sacrebleu: the metric")
    summary = Summary(metric)
    outcomes = [said("guten Tag", "guten Tag Herr Wirt", "a"), said("der Hund bellt sehr laut", "der Hund bellt", "b")]
    *parts, everything = summary.records(outcomes)
    assert [part["group"] for part in parts] == ["a", "b"] and everything["group"] == "all"
    alone = [Summary(metric).records([o])[0][metric] for o in outcomes]
    assert [part[metric] for part in parts] == alone
    assert everything[metric] != pytest.approx(sum(alone) / 2)
    assert "version:" in summary.signature and "case:mixed" in summary.signature and "nrefs:1" in summary.signature
    assert Summary().signature is None
    assert summary.records([])[0][metric] == 0


def test_an_absent_sacrebleu_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(OptionError, match=r"--metric chrf needs sacrebleu.*s2t-np\[translation\]"):
        Summary("chrf")
    assert Summary("cer").metric == "cer"
