"""The ways to search that golden files and the parity suite go through: every option but sampling, alone and together.

Which tokens to force or to suppress is taken from what the model says by itself, since banning a token that it would
never say tests nothing.
"""

from typing import NamedTuple


class Run(NamedTuple):
    """One way to search."""

    name: str
    options: dict
    prefix: tuple[int, ...] = ()


def lengths(limit: int) -> list[Run]:
    """Where a hypothesis may and must end."""
    return [
        Run("min_length", {"min_length": limit - 2}),
        Run("min_new_tokens", {"min_new_tokens": limit // 2}),
        Run("max_new_tokens", {"max_new_tokens": 4}),
        Run("max_length 2", {"max_length": 2}),
        Run("max_length 3", {"max_length": 3}),
        Run("exactly 6", {"min_new_tokens": 6, "max_new_tokens": 6}),
    ]


def stopping() -> list[Run]:
    """When to stop, and how lengths are weighed against each other."""
    penalties = [Run(f"length_penalty {p}", {"length_penalty": p}) for p in (0.0, 0.5, 2.0, -1.0)]
    rules = [
        Run(f"early_stopping {rule}, length_penalty {p}", {"early_stopping": rule, "length_penalty": p})
        for rule in (False, "never")
        for p in (1.0, 1.7, -0.5)
    ]
    return penalties + rules


def tokens(said: list[int]) -> list[Run]:
    """What may and must be said; `said` is what the model says unasked, without start token and EOS."""
    one, other = said[0], said[len(said) // 2]
    return [
        Run("no_repeat_ngram_size 1", {"no_repeat_ngram_size": 1, "max_length": 8}),
        Run("no_repeat_ngram_size 2", {"no_repeat_ngram_size": 2}),
        Run("no_repeat_ngram_size 3", {"no_repeat_ngram_size": 3}),
        Run("repetition_penalty 1.4", {"repetition_penalty": 1.4}),
        Run("repetition_penalty 0.8", {"repetition_penalty": 0.8}),
        Run("suppress_tokens", {"suppress_tokens": [one, other]}),
        Run("begin_suppress_tokens", {"begin_suppress_tokens": [one, 2]}),
        Run("forced_bos", {"forced_bos_token_id": other}),
        Run("forced_bos padding", {"forced_bos_token_id": 1}),  # which gets no position
        Run("forced_eos", {"forced_eos_token_id": 2, "max_length": 5}),
        Run("forced_eos other", {"forced_eos_token_id": one, "max_length": 6}),
        Run("forced_bos, begin_suppress", {"forced_bos_token_id": one, "begin_suppress_tokens": [other, one]}),
    ]


def prefixes(said: list[int]) -> list[Run]:
    """A decoder prefix, alone and with what depends on where generation begins."""
    prefix = (said[-1], said[0])
    return [
        Run("prefix", {}, prefix),
        Run("prefix, max_new_tokens", {"max_new_tokens": 5, "length_penalty": 2.0}, prefix),
        Run("prefix, min_new_tokens", {"min_new_tokens": 5}, prefix),
        Run("prefix, begin_suppress", {"begin_suppress_tokens": [said[1 % len(said)], 2]}, prefix),
        Run("prefix, no_repeat", {"no_repeat_ngram_size": 2, "repetition_penalty": 1.2}, prefix),
        Run("prefix, forced_bos", {"forced_bos_token_id": said[0]}, prefix[:1]),
    ]


def together(said: list[int]) -> list[Run]:
    """Several at once: the order in which they act shows."""
    everything = {
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.3,
        "min_length": 5,
        "suppress_tokens": [said[0]],
        "begin_suppress_tokens": [said[-1]],
        "early_stopping": "never",
        "length_penalty": 1.3,
    }
    forced = {"forced_bos_token_id": said[-1], "forced_eos_token_id": 2, "min_length": 6, "max_length": 7}
    return [Run("everything", everything), Run("everything, prefix", everything, (said[-1],)), Run("forced", forced)]


def option_sets(said: list[int], beams: int, limit: int) -> list[Run]:
    """All of them for a number of beams, no transcript longer than `limit` tokens.

    With one beam, options that only beam search knows are left out; with more, every second run asks for the n best.
    """
    runs = [Run("plain", {}), *lengths(limit), *tokens(said), *prefixes(said), *together(said)]
    runs += stopping() if beams > 1 else []
    common = {"num_beams": beams, "max_length": limit}
    wanted = [{"num_return_sequences": beams} if beams > 1 and i % 2 == 0 else {} for i in range(len(runs))]
    return [run._replace(options=common | more | run.options) for run, more in zip(runs, wanted, strict=True)]
