"""Beam search as fairseq's SequenceGenerator does it, for scores that can be compared with fairseq's own.

`beam.py` is to be read first; this is how fairseq differs from it (fairseq/sequence_generator.py, version 0.12):

    forced tokens    the prefix is generated like any token, and its log-probability counts
    stop             only when K hypotheses have finished, however hopeless those that still run are
    length           after `max_length` tokens only EOS may follow, so that every hypothesis ends in it
    padding          is never chosen; <unk> pays `unk_penalty`
    ended beams      a hypothesis that has ended keeps a place among the K, and that place is searched no further

The score is the sum of log-probabilities over (number of generated tokens, EOS included) ** length_penalty, in float32.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import OptionError
from ..settings.generation_config import SAMPLING, GenerationConfig
from .constraints import ban_repeated_ngrams
from .hooks import NO_HOOKS, Hooks
from .options import check_vocabulary, no_token_left
from .port import Cache, Candidates, Hypothesis, NextToken, Search, advance, append_column, ranked

UNK = 3  # in every dictionary of fairseq
# What it obeys, or what only sampling looks at; every other option must have its neutral value.
OBEYED = {
    *("search", "num_beams", "num_return_sequences", "length_penalty", "unk_penalty", "min_length", "max_length"),
    *("no_repeat_ngram_size", "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id"),
    *("early_stopping", "seed", *SAMPLING),
}


class Rows(NamedTuple):
    """K partial transcripts, best first."""

    tokens: np.ndarray  # (K, U) start token and generated so far
    log_probs: np.ndarray  # (K, G) float32, for each generated token
    sums: np.ndarray  # (K,) float32, of those
    closed: np.ndarray  # (K,) bool: holds the place of one that has ended
    parents: np.ndarray  # (K,) which row of the step before each one continues


def fairseq_search(start: Callable[[int], Cache], options: GenerationConfig, forced: Sequence[int]) -> Search:
    """The best `num_return_sequences` hypotheses, best score first; `forced` are the tokens that all begin with.

    Of `options`: num_beams (K), length_penalty, unk_penalty, min_length, max_length (tokens before EOS),
    no_repeat_ngram_size; `check_fairseq_options` refuses others. Raises OptionError for ids outside V.
    """
    count, first, (eos,) = options.num_beams, options.decoder_start_token_id, options.eos_token_ids
    cache = start(count)
    following = yield from advance(np.full(count, first), cache)
    check_vocabulary(options, [first, *forced], following.logits.shape[1])
    rows, finished = first_rows(first, count), []
    for step in range(options.max_length + 1):
        candidates = extend(rows, allowed(following, rows, step, forced, options))
        ended = (candidates.tokens == eos) & (candidates.scores > -np.inf)
        ended[:count] &= ~rows.closed
        finished += [as_hypothesis(rows, candidates, row, options) for row in np.flatnonzero(ended[:count])]
        if len(finished) >= count or step == options.max_length:
            break
        rows = run_on(rows, candidates, ended)
        cache.reorder(rows.parents)
        following = yield from advance(rows.tokens[:, -1], cache)
    if not finished:
        raise no_token_left(rows.tokens.shape[1])
    best = sorted(finished[:count], key=lambda hypothesis: -hypothesis.score)
    return best[: options.num_return_sequences]


def check_fairseq_options(options: GenerationConfig, hooks: Hooks = NO_HOOKS) -> None:
    """Refuse what fairseq's search does not know. Raises OptionError."""
    for field in dataclasses.fields(options):
        if field.name not in OBEYED and getattr(options, field.name) != field.default:
            raise OptionError(
                f"{field.name} is {getattr(options, field.name)!r:.40}, which fairseq's search does not have; "
                "leave it out"
            )
    if hooks._replace(pieces=None) != NO_HOOKS:
        raise OptionError("functions of the caller's take no part in fairseq's search; leave them out")
    if len(options.eos_token_ids) != 1:
        raise OptionError(f"eos_token_id is {options.eos_token_id}, expected one token for fairseq's search")
    if options.num_return_sequences > options.num_beams:
        raise OptionError(
            f"num_return_sequences is {options.num_return_sequences}, more than num_beams {options.num_beams}"
        )


def first_rows(start: int, count: int) -> Rows:
    """K rows that hold the start token."""
    tokens, sums = np.full((count, 1), start), np.zeros(count, np.float32)
    return Rows(tokens, np.empty((count, 0), np.float32), sums, np.zeros(count, bool), np.arange(count))


def allowed(
    following: NextToken, rows: Rows, step: int, forced: Sequence[int], options: GenerationConfig
) -> np.ndarray:
    """Log-probabilities (K, V) of the next token, -inf where it may not come."""
    log_probs = following.log_probs()
    log_probs[:, options.pad_token_id] = -np.inf
    log_probs[:, UNK] -= np.float32(options.unk_penalty)
    if step >= options.max_length:
        keep_only(log_probs, options.eos_token_ids[0])
    elif step < len(forced):
        keep_only(log_probs, forced[step])
    elif step < max(options.min_length, 1):
        log_probs[:, options.eos_token_ids] = -np.inf
    if options.no_repeat_ngram_size:
        ban_repeated_ngrams(rows.tokens, log_probs, options.no_repeat_ngram_size)
    return log_probs


def keep_only(log_probs: np.ndarray, token: int) -> None:
    """Ban every other token in (K, V), in place."""
    kept = log_probs[:, token].copy()
    log_probs[:] = -np.inf
    log_probs[:, token] = kept


def extend(rows: Rows, log_probs: np.ndarray) -> Candidates:
    """The best 2K continuations of log_probs (K, V), best first. At the first step all rows are alike; one counts."""
    count = len(rows.sums)
    if rows.tokens.shape[1] == 1:
        log_probs = log_probs[:1]
    scores = log_probs + rows.sums[: len(log_probs), None]
    return ranked(log_probs, scores, min(2 * count, scores.size - 1))


def run_on(rows: Rows, candidates: Candidates, ended: np.ndarray) -> Rows:
    """The first K candidates that may run on; places of ended ones are filled with what is left, and closed."""
    passive = ended.copy()
    passive[: len(rows.closed)] |= rows.closed
    chosen = np.argsort(passive, kind="stable")[: len(rows.closed)]
    parents, tokens, log_probs, sums = (field[chosen] for field in candidates)
    texts, history = append_column(rows.tokens[parents], tokens), append_column(rows.log_probs[parents], log_probs)
    return Rows(texts, history, sums, passive[chosen], parents)


def as_hypothesis(rows: Rows, candidates: Candidates, row: int, options: GenerationConfig) -> Hypothesis:
    """A candidate that ends in EOS, with its score."""
    parent, last = candidates.parents[row], int(candidates.tokens[row])
    log_probs = (*rows.log_probs[parent].tolist(), float(candidates.log_probs[row]))
    score = candidates.scores[row] / np.float32(float(len(log_probs)) ** options.length_penalty)
    return Hypothesis((*rows.tokens[parent].tolist(), last), log_probs, float(score), True)
