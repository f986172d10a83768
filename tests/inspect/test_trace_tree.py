"""The tree of a search: the same hypotheses as the search found, and a outcome for every candidate."""

from collections import Counter

import numpy as np
import pytest

from s2t_np.config import GenerationConfig
from s2t_np.errors import OptionError
from s2t_np.inspect.trace import tree
from s2t_np.inspect.trace.recorder_backend import Step
from s2t_np.search import Decoder, Hooks, generate, next_token
from s2t_np.search.options import check_options
from s2t_np.search.stopping import stops
from tests.support.search_fakes import FakeDecoder, random_logits, table_logits

A, B = 4, 5


def search(logits_of, prompt=(), **options):
    """(hypotheses, tree) of a search over a fake decoder, watched as the trace does."""
    options = GenerationConfig(**options)
    decoder, steps, parents = FakeDecoder(logits_of), [], []

    class Cache:
        """Notes by whom it is reordered."""

        def __init__(self, rows):
            self.inner = decoder.start(rows)

        def reorder(self, chosen):
            parents.append(chosen.copy())
            self.inner.reorder(chosen)

    def step(tokens, cache):
        logits = decoder.step(tokens, cache.inner)
        steps.append(Step(tokens.copy(), parents[-1] if parents else np.arange(len(tokens)), logits.copy()))
        return next_token(logits)

    hooks = Hooks(pieces=[f"|{i}" for i in range(99)])
    hypotheses = generate(Decoder(Cache, step), options, prompt, hooks)
    whole = [options.decoder_start_token_id, *prompt]
    grown = tree.build_tree(steps, hypotheses, check_options(options, len(whole)), whole, stops(options, hooks))
    return hypotheses, steps, grown


def path_to(grown, candidate):
    """The tokens that lead to a candidate, by its parents."""
    tokens, by_place = [candidate.token], {(c.step, c.beam): c for c in grown.candidates if c.beam is not None}
    while (parent := by_place.get((candidate.step - 1, candidate.parent))) is not None:
        tokens.insert(0, parent.token)
        candidate = parent
    return tuple(tokens)


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True, "seed": 3, "temperature": 2.0, "top_k": 6},
        {"eos_token_id": (2, 5, 7)},
        {"stop_strings": ("|5", "7|1")},
        {"exponential_decay_length_penalty": (1, 1.3), "renormalize_logits": True, "bad_words_ids": ((4, 4),)},
    ],
    ids=str,
)
def test_other_ends_and_drawn_beams_are_repeated(options):
    options = {"num_beams": 3, "num_return_sequences": 3, "max_length": 9} | options
    for seed in range(4):
        found, steps, grown = search(random_logits(seed, 9, eos_bonus=0.5), **options)
        finished = [c for c in grown.candidates if c.outcome == tree.FINISHED]
        assert {path_to(grown, c) for c in finished} == {h.generated for h in found}
        for step, after in enumerate(steps[1:]):
            ran_on = {c.beam: c for c in grown.candidates if c.step == step and c.beam is not None}
            assert [ran_on[k].token for k in range(3) if k in ran_on] == after.tokens.tolist()[: len(ran_on)]


def test_what_cannot_be_repeated_is_refused():
    with pytest.raises(OptionError, match="can only be traced with a seed"):
        tree.check_repeatable(GenerationConfig(do_sample=True, num_beams=2))
    with pytest.raises(OptionError, match="max_time is 2: a trace cannot stop at a time"):
        tree.check_repeatable(GenerationConfig(max_time=2.0))


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("seed", range(4))
def test_the_finished_of_the_tree_are_the_hypotheses(seed, early_stopping):
    options = {"num_beams": 3, "num_return_sequences": 3, "max_length": 8, "early_stopping": early_stopping}
    found, steps, grown = search(random_logits(seed, 9, eos_bonus=1.5), prompt=(6,), **options)
    finished = [c for c in grown.candidates if c.outcome == tree.FINISHED]
    assert {path_to(grown, c) for c in finished} == {h.generated for h in found}
    by_step = Counter(c.step for c in grown.candidates)
    assert set(by_step.values()) == {6}
    assert sorted(by_step) == list(range(1, len(steps)))
    for step, after in enumerate(steps[2:], 1):
        ran_on = {c.beam: c for c in grown.candidates if c.step == step and c.beam is not None}
        assert [ran_on[k].token for k in range(3)] == after.tokens.tolist()
        assert [ran_on[k].parent for k in range(3)] == after.parents.tolist()


def test_fates():
    """Two beams. EOS comes third at the first step; a good end pushes a worse one out; a constraint bans."""
    first = {A: 0.6, B: 0.3, 2: 0.1}
    table = {(2,): first, (2, A): {2: 0.2, A: 0.79, B: 0.01}, (2, B): {2: 0.3, B: 0.7}, (2, A, A): {2: 0.98, A: 0.02}}
    _, _, grown = search(table_logits(table, 8), num_beams=2, early_stopping=False, max_length=6)
    outcomes = {(c.step, c.parent, c.token): c.outcome for c in grown.candidates if c.score > -np.inf}
    assert outcomes[0, 0, 2] == tree.NOT_AMONG_FIRST
    assert outcomes[0, 0, A] == outcomes[0, 0, B] == tree.RUNS_ON
    assert outcomes[2, 0, 2] == tree.FINISHED
    assert tree.IMPOSSIBLE in {c.outcome for c in grown.candidates if c.score == -np.inf}
    assert grown.end == "no running beam could displace the worst of the finished"
    chances = {c.token: np.exp(c.log_prob) for c in grown.candidates if c.step == 0 and c.score > -np.inf}
    assert chances == pytest.approx(first, abs=1e-6)


def test_displaced():
    table = {(2,): {A: 0.5, 2: 0.3, B: 0.2}, (2, A): {2: 0.9, A: 0.1}, (2, B): {2: 0.9, B: 0.1}}
    table |= {(2, A, A): {2: 1.0}}
    found, _, grown = search(table_logits(table, 8), num_beams=2, early_stopping="never", max_length=5)
    by_fate = {c.outcome: path_to(grown, c) for c in grown.candidates if c.outcome in (tree.FINISHED, tree.DISPLACED)}
    assert found[0].generated == (A, 2)
    assert by_fate[tree.DISPLACED] == (2,)


@pytest.mark.parametrize(
    "options", [{}, {"do_sample": True, "num_return_sequences": 3, "seed": 1, "top_k": 0}], ids=str
)
def test_greedy_and_sampling(options):
    found, steps, grown = search(random_logits(5, 20), prompt=(7,), max_length=6, **options)
    assert grown.kind == ("sample" if options else "greedy")
    chosen = {(c.step, c.token) for c in grown.candidates if c.outcome == tree.CHOSEN}
    assert chosen == {(u - 1, h.tokens[u]) for h in found for u in range(2, len(h.tokens))}
    for candidate in grown.candidates:
        assert (
            candidate.log_prob
            == tree.log_probabilities(steps[candidate.step].logits)[candidate.parent, candidate.token]
        )
    listed = [c for c in grown.candidates if c.step == 1]
    assert len(listed) >= tree.ALTERNATIVES
    assert grown.end == ("every row ended" if all(h.finished for h in found) else "max_length was reached")
