"""Hotwords: the bonus is that of the definition, computed from scratch; what is not said is not made up."""

import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import s2t_np
from s2t_np.cli import main
from s2t_np.errors import InputWarning, OptionError
from s2t_np.hotwords import WEIGHT, hotwords, parsed
from s2t_np.search.hotwords import Hotwords, Phrase, Trie
from tests.support.paths import DIGITS

TWO = DIGITS.parent.parent / "recordings" / "two-nine-three-four-zero.flac"
EOS, A, B, C, D, S = 0, 1, 2, 3, 4, 5  # A to D begin words, S continues one
SIZE = 6


def tables(*phrases):
    """The automaton of phrases, (tokens, weight) each."""
    return Trie(Hotwords(tuple(Phrase(tuple(tokens), weight) for tokens, weight in phrases), (S,)))


def gains(trie, *history):
    """What every token would change after this history."""
    scores = np.zeros((1, SIZE))
    trie.edit(np.array([history]), scores)
    return dict(enumerate(scores[0].tolist()))


def total(trie, *tokens):
    """The bonus of a whole text, the sum of the changes on the way."""
    return sum(gains(trie, EOS, *tokens[:i])[token] for i, token in enumerate(tokens))


def test_a_phrase_gets_its_weight_for_each_token():
    trie = tables(((A, B), 2.0))
    assert gains(trie, EOS) == {EOS: 0, A: 2, B: 0, C: 0, D: 0, S: 0}
    assert gains(trie, EOS, A) == {EOS: -2, A: 0, B: 2, C: -2, D: -2, S: -2}
    assert gains(trie, EOS, A, B) == {EOS: 0, A: 2, B: 0, C: 0, D: 0, S: -4}


@pytest.mark.parametrize(
    "tokens, bonus",
    [
        ((A, B, EOS), 4),
        ((A, C, EOS), 0),
        ((A, EOS), 0),
        ((A, A, B, EOS), 4),
        ((A, B, S, EOS), 0),
        ((C, A, B, C, A, B, EOS), 8),
    ],
)
def test_what_breaks_off_gains_nothing(tokens, bonus):
    assert total(tables(((A, B), 2.0)), *tokens) == bonus


def test_a_phrase_within_a_longer_one_stays_when_that_breaks_off():
    trie = tables(((A,), 1.0), ((A, B, C), 1.0))
    assert total(trie, A, D, EOS) == 1
    assert total(trie, A, B, D, EOS) == 1
    assert total(trie, A, B, C, EOS) == 3
    assert total(trie, A, S, EOS) == 0


def test_the_end_of_one_may_begin_another():
    trie = tables(((A, B, C), 1.0), ((B, D), 3.0))
    assert total(trie, A, B, D, EOS) == 6
    assert total(trie, A, B, C, EOS) == 3


def defined(phrases, tokens):
    """The bonus of a text by definition, for phrases that share no token: whole phrases that end where a word does."""
    found = 0.0
    for phrase, weight in phrases:
        for i in range(len(tokens)):
            after = tokens[i + len(phrase) : i + len(phrase) + 1]
            found += weight * len(phrase) * (tokens[i : i + len(phrase)] == list(phrase) and after != [S])
    return found


@pytest.mark.parametrize("seed", range(50))
def test_the_sum_is_that_of_the_definition(seed):
    draw = random.Random(seed)
    phrases = [((A, B), draw.choice((0.5, 2.0))), ((C,), draw.choice((0.25, 1.0)))]
    tokens = [draw.choice((A, B, C, D, S)) for _ in range(draw.randrange(12))] + [EOS]
    assert total(tables(*phrases), *tokens) == pytest.approx(defined(phrases, tokens))


def test_banned_tokens_stay_banned():
    scores = np.full((2, SIZE), -np.inf)
    scores[:, C] = -1.0
    tables(((A, B), 2.0)).edit(np.array([[EOS, A], [EOS, D]]), scores)
    assert scores.tolist() == [[-np.inf] * 3 + [-3.0] + [-np.inf] * 2, [-np.inf] * 3 + [-1.0] + [-np.inf] * 2]


@pytest.mark.parametrize(
    "text, phrases",
    [
        ("Kubernetes, Łódź:4", [("Kubernetes", WEIGHT), ("Łódź", 4.0)]),
        ("new york : 0.5,", [("new york", 0.5)]),
        ("10:30", [("10", 30.0)]),
        ("ratio: high", [("ratio: high", WEIGHT)]),
        ("", []),
    ],
)
def test_phrases_and_weights(text, phrases):
    assert list(parsed(text)) == phrases


@pytest.mark.parametrize("text", ["x:-1", "x:0", "x:nan", "x:1e9", ":3"])
def test_weights_that_are_wrong(text):
    with pytest.raises(OptionError, match="expected such as"):
        list(parsed(text))


@pytest.mark.parametrize("wrong", [3, [3], 1.5, {1: 2}])
def test_what_is_no_text_is_refused(digits, wrong):
    with pytest.raises(OptionError, match="expected phrases separated by commas"):
        digits.transcribe(TWO, hotwords=wrong)


def test_the_case_is_that_of_the_vocabulary(digits):
    found = hotwords("FIVE, Nine:3", digits.tokenizer)
    assert [(digits.tokenizer.decode(phrase.tokens), phrase.weight) for phrase in found.phrases] == [
        ("five", WEIGHT),
        ("nine", 3.0),
    ]
    with pytest.warns(InputWarning, match="'Łódź': the model's vocabulary cannot spell it"):
        assert hotwords(["Łódź"], digits.tokenizer) is None
    with pytest.raises(OptionError):
        hotwords([5], digits.tokenizer)


@pytest.fixture(scope="module")
def digits():
    """The bundled model, computing in numpy."""
    return s2t_np.load("digits", backend="numpy")


@pytest.mark.parametrize("options", [{}, {"num_beams": 4}])
def test_a_strong_weight_is_heard_and_a_weak_one_is_harmless(digits, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = digits.transcribe(TWO, **options)
        assert digits.transcribe(TWO, hotwords="six:0.5, seven:0.5", **options).text == plain.text
        assert digits.transcribe(TWO, hotwords="zero:0.5", **options).text == plain.text
        forced = digits.transcribe(TWO, hotwords="six:20", **options)
    assert "six" in forced.text.split()
    assert forced.hypotheses[0].log_prob < plain.hypotheses[0].log_prob  # the model's own, without the bonus


def test_no_hotwords_change_nothing(digits):
    assert digits.transcribe(TWO, hotwords="").hypotheses == digits.transcribe(TWO).hypotheses
    assert digits.transcribe(TWO, hotwords=["", " , "]).hypotheses == digits.transcribe(TWO).hypotheses


def test_the_command(capsys):
    argv = ["transcribe", "--model", "digits", "--backend", "numpy", str(TWO)]
    assert main([*argv, "--hotwords", "six:20"]) == 0
    assert "six" in capsys.readouterr().out
    assert main([*argv, "--hotwords", "six:-1"]) == 2
    assert main([*argv, "--hotwords", "six", "--search", "fairseq"]) == 2
    capsys.readouterr()
    assert main([*argv, "--hotwords", "Łódź"]) == 0
    assert "cannot spell it" in capsys.readouterr().err


def test_fairseqs_search_refuses_them(digits):
    with pytest.raises(OptionError, match="hotwords"):
        digits.transcribe(TWO, hotwords="six", search="fairseq")


def test_tokens_of_a_word_are_matched_whole():
    pieces = ["</s>", "▁Kub", "ern", "etes", "▁k"]
    tokenizer = SimpleNamespace(
        vocab={piece: i for i, piece in enumerate(pieces)},
        id_to_piece=pieces,
        tokenize=lambda text: ["▁Kub", "ern", "etes"] if text == "Kubernetes" else ["?"],
        unk_token_id=9,
        eos_token_id=0,
        pad_token_id=0,
    )
    assert hotwords("Kubernetes", tokenizer) == Hotwords((Phrase((1, 2, 3), WEIGHT),), (2, 3))
