"""A search as a generator: what it asks, who answers, and that it does not matter who else is answered in between."""

import numpy as np
import pytest

from s2t_np import search
from s2t_np.config import GenerationConfig
from s2t_np.errors import ModelError, OptionError
from tests.support.search_fakes import FakeDecoder, random_logits
from tests.support.search_port import decoder_of

OPTIONS = GenerationConfig(max_length=12)
KINDS = [
    {"num_beams": 1},
    {"num_beams": 4, "num_return_sequences": 3},
    {"do_sample": True, "num_beams": 1, "seed": 5, "num_return_sequences": 4},
    {"search": "fairseq", "num_beams": 3},
    {"num_beams": 2, "repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "min_length": 6},
]


def fake(seed: int) -> search.Decoder:
    """A decoder of its own."""
    return decoder_of(FakeDecoder(random_logits(seed, 11)))


def begun(seed: int, kind: dict, prefix=()) -> tuple[search.Decoder, search.Search]:
    """A decoder and a search over it."""
    decoder = fake(seed)
    return decoder, search.begin(decoder.start, OPTIONS.replace(**kind), prefix)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_ask_is_the_start_token_for_every_row(kind):
    decoder, asking = begun(1, kind)
    ask = next(asking)
    rows = kind.get("num_return_sequences", 1) if kind.get("do_sample") else kind["num_beams"]
    assert ask.tokens.tolist() == [OPTIONS.decoder_start_token_id] * rows
    second = asking.send(decoder.step(*ask))
    assert second.cache is ask.cache and len(second.tokens) == rows


def test_searches_that_take_turns_find_what_each_finds_alone():
    cases = [(seed, kind, prefix) for seed in range(12) for kind in KINDS for prefix in ((), (3, 4))]
    alone = [search.generate(fake(seed), OPTIONS.replace(**kind), prefix) for seed, kind, prefix in cases]
    running = {i: begun(*case) for i, case in enumerate(cases)}
    asks = {i: next(asking) for i, (_, asking) in running.items()}
    found, order = {}, np.random.default_rng(0)
    while asks:
        i = int(order.choice(list(asks)))
        decoder, asking = running[i]
        try:
            asks[i] = asking.send(decoder.step(*asks[i]))
        except StopIteration as end:
            found[i] = end.value
            del asks[i]
    assert [found[i] for i in range(len(cases))] == alone


def test_run_returns_what_the_generator_returns():
    def nothing_to_ask():
        return 7
        yield

    assert search.run(nothing_to_ask(), lambda *_: pytest.fail("asked")) == 7


def test_contradictions_are_found_before_the_first_ask():
    start = fake(0).start
    for wrong in ({"num_return_sequences": 3, "num_beams": 2}, {"search": "fairseq", "suppress_tokens": (4,)}):
        with pytest.raises(OptionError):
            search.begin(start, OPTIONS.replace(**wrong))
    with pytest.raises(OptionError):
        search.begin(start, OPTIONS, [-1])


def test_an_answer_that_is_not_finite_ends_this_search():
    asking = begun(1, {"num_beams": 2})[1]
    next(asking)
    with pytest.raises(ModelError, match="not finite"):
        asking.send(search.next_token(np.full((2, 11), np.nan)))
