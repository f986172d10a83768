"""Error rates: distance and alignment, normalisation, the summary; jiwer is the oracle where it is installed."""

import random

import pytest

from s2t_np.evaluation.distance import DELETION, HIT, INSERTION, SUBSTITUTION, Errors, align, count_errors
from s2t_np.evaluation.report import Outcome, show_alignment, summary
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
    lines = summary([outcome("a", Errors(8, 1, 1, 0)), outcome("b", Errors(10), 3.0), outcome("b", Errors(10))]).split(
        "\n"
    )
    assert [line.split()[0] for line in lines[1:]] == ["a", "b", "all"]
    assert lines[1].split()[1:] == ["1", "10", "20.00", "10.00", "10.00", "0.00", "0.00", "100.0", "0.1000"]
    assert lines[3].split()[1:4] == ["3", "30", "6.67"]
    assert lines[3].split()[-2:] == ["33.3", "0.1667"]


def test_one_part_alone_gets_one_row():
    assert len(summary([outcome("a", Errors(1))]).split("\n")) == 2
    assert len(summary([]).split("\n")) == 2


def test_the_alignment_is_shown_in_columns():
    shown = show_alignment(align("a longer one".split(), "a short one more".split()))
    assert shown.split("\n") == ["REF a longer one", "HYP a short  one more", "      S          I"]
