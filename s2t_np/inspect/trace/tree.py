"""The search as a tree: the continuations that were considered at every step, and the outcome of each.

The search depends on nothing but the logits that `step` returned. Its own functions (`search.beam`) are run over them a
second time, and each candidate is noted with its outcome. Greedy search and sampling consider every token; the tree
lists the likeliest ones and the chosen one.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ...config import GenerationConfig
from ...errors import OptionError
from ...search import Candidates, Hypothesis, beam, next_token
from ...search.constraints import Constraint, constraints
from ...search.hooks import Stop
from ...search.port import ranked
from ...search.sampling import draw_different
from .recorder_backend import Step, log_probabilities

ALTERNATIVES = 5  # tokens listed for every row of a greedy search or a sampling, besides the chosen one

RUNS_ON = "runs on"
STOPPED = "still running when the search stopped"
FINISHED = "finished"
DISPLACED = "finished, but later pushed out by better ones"
WEAK = "ended, but worse than the finished ones"
NOT_AMONG_FIRST = "ended, but not among the best K candidates, which alone may finish"
PRUNED = "pruned: K others score higher"
IMPOSSIBLE = "banned by a constraint, or continues a dead beam"
CHOSEN, NOT_CHOSEN = "chosen", "not chosen"


class Candidate(NamedTuple):
    """One continuation. `beam` is its row among the beams of the next step, None if it is not one of them."""

    step: int  # the call of the decoder whose logits proposed it: steps.NNN
    parent: int  # the row that it continues
    token: int
    log_prob: float  # log-probability of this token, as the model gave it
    score: float  # beam search: the sum so far, after constraints; else log_prob. -inf: banned
    outcome: str
    beam: int | None = None


class Tree(NamedTuple):
    """All candidates, step by step, in the order in which the search ranked them."""

    kind: str  # "beam", "greedy" or "sample"
    rows: int  # K
    candidates: list[Candidate]
    end: str  # the reason why the search stopped


def build_tree(
    steps: Sequence[Step],
    hypotheses: Sequence[Hypothesis],
    options: GenerationConfig,
    prompt: Sequence[int],
    others: Sequence[Stop] = (),
) -> Tree:
    """The tree of a search, from its steps and hypotheses; `options` have absolute lengths (`check_options`).

    `others` are the ends of a text besides EOS and max_length (`search.stopping.stops`).
    """
    searched = steps[len(prompt) - 1 :]
    if options.num_beams > 1:
        return beam_tree(searched, options, prompt, others)
    kind = "sample" if options.do_sample else "greedy"
    found = list(path_candidates(searched, hypotheses, len(prompt)))
    ended = all(h.finished or len(h.tokens) < options.max_length for h in hypotheses)
    return Tree(kind, len(steps[0].tokens), found, "every row ended" if ended else "max_length was reached")


def beam_tree(
    searched: Sequence[Step], options: GenerationConfig, prompt: Sequence[int], others: Sequence[Stop]
) -> Tree:
    """Repeat a beam search over the recorded logits and note every candidate."""
    K, active, repeat = options.num_beams, constraints(options, len(prompt)), picking(options)
    beams, finished, found = beam.first_beams(prompt, K), [], []
    for number, step in enumerate(searched, len(prompt) - 1):
        candidates = extend(beams, step.logits, active, beam.candidate_count(options), repeat)
        ended = beam.have_ended(beams, candidates, options, others)
        finished = beam.collect(finished, beams, candidates, ended, options)
        before, beams = beams, beam.run_on(beams, candidates, ended)
        found += noted(number, before, candidates, ended, beams, finished)
    kept, last = {h.tokens for h in finished}, len(prompt) - 2 + len(searched)
    final = [as_it_ended(c, tokens in kept, last) for c, tokens in found]
    return Tree("beam", K, final, end_of(beams, finished, options))


def check_repeatable(options: GenerationConfig) -> None:
    """Raise OptionError for a search that cannot be run a second time with the same outcome."""
    if options.do_sample and options.num_beams > 1 and options.seed is None:
        raise OptionError("beams that are drawn (do_sample with num_beams) can only be traced with a seed")
    if options.max_time is not None:
        raise OptionError(f"max_time is {options.max_time:g}: a trace cannot stop at a time; trace with max_time=None")


def picking(options: GenerationConfig) -> beam.Pick:
    """The choice that the beams made among their continuations, made again."""
    return partial(draw_different, random=np.random.default_rng(options.seed)) if options.do_sample else ranked


def extend(
    beams: beam.Beams, logits: np.ndarray, active: Sequence[Constraint], count: int, pick: beam.Pick = ranked
) -> Candidates:
    """As beam.extend, but it does not change the logits (K, V), and banned tokens keep the model's log-probability."""
    found = beam.extend(beams, next_token(logits.copy()), active, count, pick)
    return found._replace(log_probs=log_probabilities(logits)[found.parents, found.tokens])


def noted(
    number: int,
    before: beam.Beams,
    candidates: Candidates,
    ended: list[bool],
    beams: beam.Beams,
    finished: Sequence[Hypothesis],
) -> Iterator[tuple[Candidate, tuple]]:
    """The candidates of one step with their outcomes, each with its tokens, which identify a finished one."""
    kept = {h.tokens for h in finished}
    running = {pair: k for k, pair in enumerate(zip(beams.parents, beams.tokens[:, -1], strict=True))}
    for i, (parent, token, log_prob, score) in enumerate(zip(*candidates, strict=True)):
        text = (*before.tokens[parent].tolist(), int(token))
        row = running.get((parent, token)) if score > -np.inf and not ended[i] else None
        outcome = outcome_of(score > -np.inf, ended[i], i < len(beams.scores), text in kept, row)
        yield Candidate(number, int(parent), int(token), float(log_prob), float(score), outcome, row), text


def outcome_of(alive: bool, ended: bool, among_first: bool, kept: bool, row: int | None) -> str:
    """The outcome of a candidate in its own step."""
    if not alive:
        return IMPOSSIBLE
    if not ended:
        return PRUNED if row is None else RUNS_ON
    if not among_first:
        return NOT_AMONG_FIRST
    return FINISHED if kept else WEAK


def as_it_ended(candidate: Candidate, kept: bool, last: int) -> Candidate:
    """The outcome seen from the end: a finished one may have been displaced, a running one stopped."""
    if candidate.outcome == FINISHED and not kept:
        return candidate._replace(outcome=DISPLACED)
    if candidate.outcome == RUNS_ON and candidate.step == last:
        return candidate._replace(outcome=STOPPED)
    return candidate


def end_of(beams: beam.Beams, finished: Sequence[Hypothesis], options: GenerationConfig) -> str:
    """The reason why a beam search stopped, tested in the order of `beam.is_over`."""
    if beams.scores[0] == -np.inf:
        return "no beam could go on"
    if options.early_stopping is True:
        return f"{len(finished)} hypotheses had finished (early_stopping)"
    return "no running beam could displace the worst of the finished"


def path_candidates(
    searched: Sequence[Step], hypotheses: Sequence[Hypothesis], prompt_length: int
) -> Iterator[Candidate]:
    """The likeliest tokens at every position of every hypothesis, and the chosen one if it is not among them.

    Rows that begin with the same tokens have the same logits, so the tokens of a hypothesis identify its row.
    """
    rows = {}  # tokens so far -> (step, row) whose logits came after them
    history = [tuple(hypotheses[0].tokens[: prompt_length - 1])] * len(searched[0].tokens)
    for number, step in enumerate(searched):
        history = [(*h, int(t)) for h, t in zip(history, step.tokens, strict=True)]
        rows |= {h: (number, k) for k, h in reversed(list(enumerate(history)))}
    chosen = {(h.tokens[:u], h.tokens[u]) for h in hypotheses for u in range(prompt_length, len(h.tokens))}
    for so_far in sorted({so_far for so_far, _ in chosen}, key=lambda tokens: (len(tokens), tokens)):
        number, row = rows[so_far]
        log_probs = log_probabilities(searched[number].logits[row])
        picked = {token for before, token in chosen if before == so_far}
        likeliest = np.argsort(-log_probs, kind="stable")[:ALTERNATIVES].tolist()
        for token in dict.fromkeys([*likeliest, *sorted(picked)]):
            value, outcome = float(log_probs[token]), CHOSEN if token in picked else NOT_CHOSEN
            yield Candidate(number + prompt_length - 1, row, token, value, value, outcome)
