"""fairseq's beam search on tables of probabilities: what it does differently, case by case, by hand."""

import math

import numpy as np
import pytest

from s2t_np.config import GenerationConfig
from s2t_np.errors import OptionError
from s2t_np.search import Decoder, generate, next_token

PAD, EOS, UNK, A, B = 1, 2, 3, 4, 5
SIZE = 6


class Table:
    """A decoder that knows the probabilities of what follows each text."""

    def __init__(self, table: dict[tuple, dict[int, float]], rest: dict[int, float] | None = None):
        self.table, self.rest = table, rest or {EOS: 1.0}

    def start(self, rows: int):
        self.texts = [()] * rows
        return self

    def reorder(self, parents) -> None:
        self.texts = [self.texts[parent] for parent in parents]

    def step(self, tokens, cache):
        self.texts = [(*text, int(token)) for text, token in zip(self.texts, tokens, strict=True)]
        logits = np.full((len(tokens), SIZE), -50.0, np.float32)
        for row, text in enumerate(self.texts):
            for token, probability in self.table.get(text[1:], self.rest).items():
                logits[row, token] = math.log(probability)
        return next_token(logits)


def search(table, rest=None, prefix=(), **options):
    decoder = Table(table, rest)
    config = GenerationConfig(**({"search": "fairseq", "num_beams": 2, "max_length": 4} | options))
    return generate(Decoder(decoder.start, decoder.step), config, prefix)


def found(hypotheses):
    return [(h.tokens[1:], round(h.score, 4)) for h in hypotheses]


def test_it_waits_for_as_many_as_there_are_beams():
    """The first K that finish are kept, in the order of their scores; the search does not look for better ones."""
    table = {(): {A: 0.6, B: 0.4}, (A,): {EOS: 0.9, A: 0.1}, (B,): {EOS: 0.2, B: 0.8}}
    hypotheses = search(table, num_return_sequences=2)
    a = (math.log(0.6) + math.log(0.9)) / 2
    b = (math.log(0.4) + math.log(0.8)) / 3
    assert found(hypotheses) == [((A, EOS), round(a, 4)), ((B, B, EOS), round(b, 4))]


def test_a_forced_token_counts():
    table = {(): {A: 0.9, B: 0.1}, (B,): {EOS: 1.0}}
    best = search(table, prefix=[B], num_beams=1)[0]
    assert best.tokens[1:] == (B, EOS) and best.score == pytest.approx(math.log(0.1) / 2, abs=1e-4)
    assert search(table, forced_bos_token_id=B, num_beams=1)[0] == best


def test_the_longest_text_ends_in_eos():
    best = search({}, rest={A: 0.99, EOS: 0.01}, num_beams=1, max_length=3)[0]
    assert best.tokens[1:] == (A, A, A, EOS) and best.finished


def test_an_empty_text_is_not_possible():
    table = {(): {EOS: 0.9, A: 0.1}}
    assert search(table, num_beams=1)[0].tokens[1:] == (A, EOS)


def test_padding_is_never_chosen_and_the_unknown_piece_pays():
    table = {(): {PAD: 0.5, UNK: 0.3, A: 0.2}}
    assert search(table, num_beams=1)[0].tokens[1:] == (UNK, EOS)
    assert search(table, num_beams=1, unk_penalty=0.5)[0].tokens[1:] == (A, EOS)
    assert search(table, num_beams=1, unk_penalty=-1.0)[0].tokens[1:] == (UNK, EOS)


def test_length_penalty():
    table = {(): {A: 0.5, B: 0.5}, (A,): {EOS: 0.5, A: 0.5}, (B,): {EOS: 0.45, B: 0.55}}
    for penalty in (0.0, 0.5, 1.0, 2.0):
        for hypothesis in search(table, length_penalty=penalty, num_return_sequences=2):
            total = sum(hypothesis.token_log_probs)
            assert hypothesis.score == pytest.approx(total / len(hypothesis.token_log_probs) ** penalty, abs=1e-4)


def test_no_ngram_twice():
    best = search({}, rest={A: 0.7, B: 0.2, EOS: 0.1}, num_beams=1, no_repeat_ngram_size=2)[0]
    assert best.tokens[1:] == (A, A, B, A, EOS)
    with pytest.raises(OptionError, match="none to choose"):  # the start token is EOS, which may not come again
        search({}, num_beams=1, no_repeat_ngram_size=1)


@pytest.mark.parametrize(
    "option",
    ({"do_sample": True, "num_beams": 1}, {"repetition_penalty": 2.0}, {"suppress_tokens": (A,)}),
    ids=str,
)
def test_what_fairseq_does_not_have_is_refused_by_name(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        search({}, **option)


def test_more_results_than_beams():
    with pytest.raises(OptionError, match="num_return_sequences"):
        search({}, num_return_sequences=3)
    with pytest.raises(OptionError, match="prefix"):
        search({}, prefix=[SIZE])
