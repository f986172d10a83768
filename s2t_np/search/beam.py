"""Beam search: K partial transcripts side by side, and at every step the best K of all their continuations.

Greedy search cannot take a first word back that turns out wrong two words later. Beam search keeps K ways open: a step
extends each by every token, ranks the K x V results by the sum of log-probabilities, and lets the best K live on. One
that ends in EOS leaves the race and waits among the finished, of which the best K are kept; there longer ones compete
with shorter ones, so the sum is divided by length ** length_penalty. The search stops when no beam that still runs
looks able to displace a finished one.

Details are those of transformers 5.x `_beam_search` (fairseq's differ): 2K candidates are kept a step, so that K
can run on even if K end, and K more for each further token that ends a text; only those among the first K may end; all
K beams start equal, so only one starts alive; what max_length cuts off counts as ended. Two things are decided here
that upstream leaves open. Of equal scores, the lower beam and then the lower token id goes first; torch.topk promises
no order. And dead beams, to which upstream gives -1e9, score -inf here and never end: where constraints leave fewer
than 2K continuations, upstream's can fill its list with repeated or padded rows scoring -1e9 / length, and with
early_stopping True stop the search for it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..config import GenerationConfig
from .constraints import Constraint, constrain, constraints, rewrite
from .hooks import NO_HOOKS, Hooks, Stop
from .options import no_token_left
from .port import Cache, Candidates, Hypothesis, NextToken, Search, advance, append_column, feed_prompt, ranked
from .stopping import ended_rows, stops

Pick = Callable[[np.ndarray, np.ndarray, int], Candidates]  # log_probs and scores (K, V), how many -> best first


class Beams(NamedTuple):
    """K partial transcripts, best first."""

    tokens: np.ndarray  # (K, U) start token, prefix, generated so far
    log_probs: np.ndarray  # (K, G) float32, for each generated token: what the model gave it
    scores: np.ndarray  # (K,) float32, the sum of what the constraints left of those; -inf: dead
    parents: np.ndarray  # (K,) which beam of the step before each one continues


def beam_search(
    start: Callable[[int], Cache],
    options: GenerationConfig,
    prompt: Sequence[int],
    hooks: Hooks = NO_HOOKS,
    pick: Pick = ranked,
) -> Search:
    """The best `num_return_sequences` of the hypotheses that K = `num_beams` beams find after `prompt`.

    `pick` chooses among all continuations: the best ones, unless sampling (sampling.py) draws them.
    """
    active, others = constraints(options, len(prompt), hooks), stops(options, hooks)
    cache, following = yield from feed_prompt(start, options, prompt, options.num_beams)
    beams = first_beams(prompt, options.num_beams)
    finished: list[Hypothesis] = []
    while True:
        candidates = extend(beams, following, active, candidate_count(options), pick)
        ended = have_ended(beams, candidates, options, others)
        finished = collect(finished, beams, candidates, ended, options)
        beams = run_on(beams, candidates, ended)
        if is_over(beams, finished, len(prompt), options):
            break
        cache.reorder(beams.parents)
        following = yield from advance(beams.tokens[:, -1], cache)
    if not finished:
        raise no_token_left(beams.tokens.shape[1] - 1)
    return finished[: options.num_return_sequences]


def first_beams(prompt: Sequence[int], count: int) -> Beams:
    """K copies of the prompt, of which only the first is alive: alive together they would all do the same."""
    scores = np.full(count, -np.inf, np.float32)
    scores[0] = 0
    return Beams(np.tile(prompt, (count, 1)), np.empty((count, 0), np.float32), scores, np.arange(count))


def candidate_count(options: GenerationConfig) -> int:
    """How many continuations a step keeps: enough that K of them can run on, however many end in EOS."""
    return max(2, 1 + len(options.eos_token_ids)) * options.num_beams


def extend(
    beams: Beams, following: NextToken, active: Sequence[Constraint], count: int, pick: Pick = ranked
) -> Candidates:
    """The `count` of the K x V ways to add a token that `pick` chooses, best first. Bans are entered in the logits.

    (Of a banned token, which only gets that far where there is nothing else, the log-probability is then -inf too.)
    """
    if pick is ranked and not rewrite(active, beams.tokens.shape[1]):
        constrain(active, beams.tokens, following.logits)
        return following.best(beams.scores, count)
    log_probs = following.log_probs()
    scores = constrain(active, beams.tokens, log_probs) + beams.scores[:, None]
    return pick(log_probs, scores, count)


def have_ended(
    beams: Beams, candidates: Candidates, options: GenerationConfig, others: Sequence[Stop] = ()
) -> list[bool]:
    """Which of the candidates end here: by EOS, because they may not grow longer, or for one of the other reasons."""
    if others:
        return ended_rows(append_column(beams.tokens[candidates.parents], candidates.tokens), options, others).tolist()
    cut_off, ends = beams.tokens.shape[1] + 1 == options.max_length, options.eos_token_ids
    return [cut_off or token in ends for token in candidates.tokens.tolist()]


def collect(
    finished: list[Hypothesis], beams: Beams, candidates: Candidates, ended: list[bool], options: GenerationConfig
) -> list[Hypothesis]:
    """The best K of the finished so far and of those of the first K candidates that end now, best first."""
    new = [row for row in range(options.num_beams) if ended[row] and candidates.scores[row] > -np.inf]
    if not new:
        return finished
    joined = finished + [as_hypothesis(beams, candidates, row, options) for row in new]
    return sorted(joined, key=lambda hypothesis: -hypothesis.score)[: options.num_beams]


def as_hypothesis(beams: Beams, candidates: Candidates, row: int, options: GenerationConfig) -> Hypothesis:
    """A candidate that has ended, with its score normalised by length."""
    parent, last = candidates.parents[row], int(candidates.tokens[row])
    log_probs = (*beams.log_probs[parent].tolist(), float(candidates.log_probs[row]))
    score = normalise(candidates.scores[row], len(log_probs), options)
    return Hypothesis((*beams.tokens[parent].tolist(), last), log_probs, score, last in options.eos_token_ids)


def normalise(score: np.float32, count: int, options: GenerationConfig) -> float:
    """A sum over `count` generated tokens, made comparable to others; in float32, as upstream divides."""
    return float(score / np.float32(float(count) ** options.length_penalty))


def run_on(beams: Beams, candidates: Candidates, ended: list[bool]) -> Beams:
    """The best K that have not ended. Ended ones stay as dead rows where there are not K others."""
    running_first = np.array(sorted(range(len(ended)), key=ended.__getitem__)[: len(beams.scores)])
    parents, tokens, log_probs, scores = (field[running_first] for field in candidates)
    scores[ended.count(False) :] = -np.inf
    texts, history = append_column(beams.tokens[parents], tokens), append_column(beams.log_probs[parents], log_probs)
    return Beams(texts, history, scores, parents)


def is_over(beams: Beams, finished: list[Hypothesis], prompt_length: int, options: GenerationConfig) -> bool:
    """Stop when nothing runs any more, or when K have finished and the best running beam cannot displace the worst.

    How good a running beam can become is a guess. Its score only falls, but its length may yet make up for that:
    early_stopping "never" grants it the most favourable length, False its length now, True no hope at all.
    """
    if beams.scores[0] == -np.inf:
        return True
    if len(finished) < options.num_beams:
        return False
    if options.early_stopping is True:
        return True
    longest = options.early_stopping == "never" and options.length_penalty > 0
    count = (options.max_length if longest else beams.tokens.shape[1]) - prompt_length
    return normalise(beams.scores[0], count, options) <= finished[-1].score
