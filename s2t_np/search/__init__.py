"""From logits to tokens: greedy search, beam search, sampling. This room knows the decoder only as a `step`.

    port.py         what a decoder must offer, what a search returns
    options.py      which options go together
    hotwords.py     phrases that are preferred
    constraints.py  tokens that may not, or must, come next
    stopping.py     when a text ends
    hooks.py        functions of the caller's that take part
    greedy.py       one path, always the best token
    beam.py         K paths side by side: the one to read first
    sampling.py     paths or beams drawn by chance
    warpers.py      the tokens that sampling leaves to be drawn
    fairseq.py      the same as fairseq does it, on request

Semantics, and the order in which things act, are those of transformers 5.x `generate`, token for token.
"""

from collections.abc import Callable, Sequence

from ..config import GenerationConfig
from .beam import beam_search
from .fairseq import check_fairseq_options, fairseq_search
from .greedy import greedy_search
from .hooks import NO_HOOKS, Hooks
from .options import check_options, check_prefix
from .port import Ask, Asking, Cache, Candidates, Decoder, Hypothesis, NextToken, Search, next_token, run
from .sampling import sample
from .stopping import check_stop_strings

__all__ = [
    "NO_HOOKS",
    "Ask",
    "Asking",
    "Cache",
    "Candidates",
    "Decoder",
    "Hooks",
    "Hypothesis",
    "NextToken",
    "Search",
    "begin",
    "check_prefix",
    "generate",
    "next_token",
    "run",
]


def generate(
    decoder: Decoder, options: GenerationConfig, prefix: Sequence[int] = (), hooks: Hooks = NO_HOOKS
) -> list[Hypothesis]:
    """Search as `options` say for what follows the start token and `prefix`; hypotheses come best score first.

    There are `num_return_sequences` of them, or fewer where constraints leave fewer different ones to find (upstream
    then fills up with rows that score about -1e9). Raises OptionError where options contradict each other or leave no
    token to choose, ModelError where the decoder returns NaN.
    """
    return run(begin(decoder.start, options, prefix, hooks), decoder.step)


def begin(
    start: Callable[[int], Cache], options: GenerationConfig, prefix: Sequence[int] = (), hooks: Hooks = NO_HOOKS
) -> Search:
    """The same search, to be run by the caller: with `run`, or together with others. Raises OptionError at once."""
    if options.search == "fairseq":
        check_fairseq_options(options, hooks)
        forced = [token for token in (options.forced_bos_token_id,) if token is not None and not prefix]
        return fairseq_search(start, options, [*forced, *check_prefix(prefix)])
    prompt = [options.decoder_start_token_id, *check_prefix(prefix)]
    options = check_options(options, len(prompt))
    check_stop_strings(options, hooks)
    if options.do_sample:
        return sample(start, options, prompt, hooks)
    if options.num_beams == 1:
        return greedy_search(start, options, prompt, hooks)
    return beam_search(start, options, prompt, hooks)
