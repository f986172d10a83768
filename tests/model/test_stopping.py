"""The ends of a text besides EOS and max_length: a time, strings, functions of the caller's."""

import time

import numpy as np
import pytest

from s2t_np.config import GenerationConfig
from s2t_np.errors import OptionError
from s2t_np.search import Hooks, stopping
from tests.support.search_fakes import FakeDecoder, random_logits, table_logits
from tests.support.search_port import generate

PIECES = ["<s>", "<pad>", "</s>", " one", " t", "wo", " three", "", "!"]


@pytest.mark.parametrize(
    ("strings", "row", "stops"),
    [
        (["two"], [2, 4, 5], True),
        (["two"], [2, 4], False),
        (["two"], [2, 4, 5, 3], False),  # it was complete before, and the search was asked then
        (["on"], [2, 3], True),  # the token goes on after it
        (["o t"], [2, 3], False),
        (["e t"], [2, 3, 4], True),
        (["e three"], [2, 3, 6], True),
        (["wo one t"], [4, 5, 3, 4], True),
        (["wo one t"], [5, 5, 4, 3, 4], False),
        (["x", "!"], [8], True),
        (["!!"], [8, 7, 8], True),  # a token without a text changes nothing
        (["!!"], [8, 8, 7], False),
        (["</s>"], [2], True),
        (["one"], [99], False),  # a row of the network without a piece
    ],
)
def test_a_string_that_the_newest_token_completes(strings, row, stops):
    assert stopping.stop_at(strings, PIECES)(np.array([row, row])).tolist() == [stops, stops]


def test_strings_need_the_texts_of_tokens():
    with pytest.raises(OptionError, match="stop_strings are given, but no tokenizer"):
        generate(FakeDecoder(random_logits(0, size=9)), GenerationConfig(stop_strings="one"))


PATH = table_logits({(2,): {3: 0.9, 4: 0.1}, (2, 3): {4: 0.9, 6: 0.1}, (2, 3, 4): {5: 0.9, 8: 0.1}}, size=9)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "top_k": 1}])
def test_strings_end_every_kind_of_search(options):
    options = GenerationConfig(stop_strings=("two",), max_length=9, min_length=8).replace(**options)
    (found,) = generate(FakeDecoder(PATH), options, (), Hooks(pieces=PIECES))
    assert found.tokens == (2, 3, 4, 5)
    assert not found.finished
    assert found.score == pytest.approx(np.log(0.9))


@pytest.mark.parametrize("beams", [1, 3])
def test_time_is_up(beams):
    def slow(tokens, scores):
        time.sleep(0.03)
        return scores

    options = GenerationConfig(max_length=500, num_beams=beams, eos_token_id=None)
    decoder = FakeDecoder(random_logits(0, size=9))
    (found,) = generate(decoder, options.replace(max_time=0.1), (), Hooks(processors=(slow,)))
    assert 1 <= len(found.generated) <= 5
    (at_once,) = generate(decoder, options.replace(max_time=0.0))
    assert len(at_once.generated) == 1


def test_a_function_ends_single_rows_and_the_others_go_on():
    options = GenerationConfig(do_sample=True, num_return_sequences=40, seed=0, max_length=20, eos_token_id=None)
    stops = Hooks(stops=(lambda tokens: tokens[:, -1] == 7,))
    found = generate(FakeDecoder(random_logits(0, size=9)), options, (), stops)
    assert len({len(h.tokens) for h in found}) > 3
    for h in found:
        assert 7 not in h.generated[:-1]
        assert (h.generated[-1] == 7) or len(h.tokens) == 20
        assert not h.finished and len(h.token_log_probs) == len(h.generated)


def test_beams_that_a_function_ends_wait_among_the_finished():
    options = GenerationConfig(num_beams=4, num_return_sequences=4, max_length=12, eos_token_id=None)
    seen = []

    def stop(tokens):
        seen.append(tokens.shape)
        return tokens[:, -1] >= 5

    found = generate(FakeDecoder(random_logits(3, size=9)), options, (), Hooks(stops=(stop,)))
    assert seen[0] == (8, 2)  # all candidates are asked for
    assert any(len(h.tokens) < 12 for h in found)
    assert all((h.generated[-1] >= 5 or len(h.tokens) == 12) and max(h.generated[:-1], default=0) < 5 for h in found)
