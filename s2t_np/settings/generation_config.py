"""generation_config.json as a frozen dataclass: how to search. Names, meaning and defaults are transformers'."""

import dataclasses
import warnings
from dataclasses import dataclass

from ..errors import InputWarning, ModelError, OptionError
from .fields import (
    bounded_number,
    check_fields,
    flag,
    from_dict,
    frozen,
    integer,
    is_integer,
    is_integers,
    is_real,
    is_texts,
    is_token_lists,
    real,
    rule,
    rules_of,
    show,
    token_ids,
)
from .generation_refusals import IGNORED, REFUSED, refuse_unsupported, warn_of_ignored

SEARCHES = ("transformers", "fairseq")
MOST_TOKENS = 100_000  # length of a transcript
MOST_ROWS = 1024  # beams or draws side by side; their memory would be exhausted before the answer
# What None, given to `replace`, means for a field that is never None: the option is switched off, as upstream has it.
SWITCHED_OFF = {
    "min_length": 0,
    "early_stopping": False,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "renormalize_logits": False,
    "remove_invalid_values": False,
    "do_sample": False,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")


def is_ids(value) -> bool:
    """One token id, or a list of at least one."""
    return is_integer(value) or (is_integers(value) and len(value) > 0)


def is_biases(value) -> bool:
    """Pairs of token ids and a number."""
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and is_token_lists(pair[:1]) and is_real(pair[1]) for pair in value
    )


def is_decay(value) -> bool:
    """A position and a factor."""
    return isinstance(value, tuple) and len(value) == 2 and is_integer(value[0]) and is_real(value[1])


def is_share(value) -> bool:
    """A number in (0, 1]."""
    return is_real(value) and 0 < value <= 1


def is_stop_strings(value) -> bool:
    """One string, or a list of strings, none of them empty."""
    return (isinstance(value, str) and value != "") or (is_texts(value) and all(value))


@dataclass(frozen=True)
class GenerationConfig:
    """The search options; names, meaning and defaults are those of transformers' GenerationConfig."""

    max_length: int = integer(200, 1, MOST_TOKENS)  # tokens in all, counting the start token
    max_new_tokens: int | None = integer(
        None, 1, MOST_TOKENS, optional=True
    )  # replaces max_length: tokens after the prefix
    min_length: int = integer(0, 0, MOST_TOKENS)  # no EOS before this many tokens, counting the start token
    min_new_tokens: int | None = integer(None, 0, MOST_TOKENS, optional=True)
    max_time: float | None = bounded_number(None, "seconds after which the search stops where it is", optional=True)
    stop_strings: str | tuple[str, ...] | None = rule(None, "a string, or a list of them", is_stop_strings, True)
    num_beams: int = integer(1, 1, MOST_ROWS)
    num_return_sequences: int = integer(1, 1, MOST_ROWS)  # n-best
    early_stopping: bool | str = rule(False, 'true, false or "never"', lambda v: isinstance(v, bool) or v == "never")
    length_penalty: float = rule(1.0, "a number", is_real)
    exponential_decay_length_penalty: tuple[int, float] | None = rule(
        None, "[tokens after which it begins, factor]", is_decay, True
    )  # EOS becomes likelier with every token after that
    no_repeat_ngram_size: int = integer(0)
    repetition_penalty: float = real(1.0, 1e-6, 1e6)
    sequence_bias: tuple | None = rule(None, "a list of [token ids, number], or a dict", is_biases, True)
    bad_words_ids: tuple[tuple[int, ...], ...] | None = rule(None, "a list of lists of token ids", is_token_lists, True)
    suppress_tokens: tuple[int, ...] | None = token_ids(None)
    begin_suppress_tokens: tuple[int, ...] | None = token_ids(None)
    forced_bos_token_id: int | None = integer(None, optional=True)  # the first generated token
    forced_eos_token_id: int | tuple[int, ...] | None = rule(
        None, "a token id, or a list of them", is_ids, True
    )  # the token at max_length, or the best of several
    remove_invalid_values: bool = flag(False)  # -inf becomes the lowest float
    renormalize_logits: bool = flag(False)  # log_softmax after everything else
    do_sample: bool = flag(False)
    temperature: float = real(1.0, 1e-6, 1e6)
    top_h: float | None = rule(None, "a number in (0, 1]", is_share, True)
    top_k: int = integer(50)  # 0 keeps all
    top_p: float = rule(1.0, "a number in (0, 1]", is_share)
    min_p: float | None = rule(None, "a number from 0 to 1", lambda v: is_real(v, 0, 1), True)
    typical_p: float = rule(1.0, "a number in (0, 1]", is_share)
    epsilon_cutoff: float = rule(0.0, "a number in [0, 1)", lambda v: is_real(v) and 0 <= v < 1)
    eta_cutoff: float = rule(0.0, "a number in [0, 1)", lambda v: is_real(v) and 0 <= v < 1)
    search: str = rule(
        "transformers", '"transformers" or "fairseq"', lambda v: v in SEARCHES
    )  # whose rules; a field of ours
    unk_penalty: float = rule(
        0.0, "a number", is_real
    )  # taken from <unk>'s log-probability in fairseq's search; a field of ours
    hotwords: str | tuple | None = rule(
        None, "phrases separated by commas", lambda v: isinstance(v, str | tuple), True
    )  # that the search prefers; a field of ours
    seed: int | None = integer(None, optional=True)  # makes sampling repeatable; not a field of transformers
    eos_token_id: int | tuple[int, ...] | None = rule(
        2, "a token id, or a list of them", is_ids, True
    )  # whatever ends a text; None: only its length does
    pad_token_id: int = integer(1)
    decoder_start_token_id: int = integer(2)

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """Every token that ends a text."""
        return as_tuple(self.eos_token_id)

    @classmethod
    def from_dict(cls, data: dict, source: str = "generation_config.json") -> "GenerationConfig":
        """Check and build; null means "not set" for any field.

        A sampling option out of range, in a file that does not sample, gets an InputWarning. Raises ModelError.
        """
        refuse_unsupported(data, source, ModelError)
        warn_of_ignored(data, source)
        data = with_pairs({name: value for name, value in data.items() if value is not None})
        return from_dict(cls, data if data.get("do_sample") else without_unused(cls, data, source), source)

    def replace(self, **options) -> "GenerationConfig":
        """A copy with some fields changed. Asking for samples without naming `num_beams` means single paths.

        None switches an option off. Raises OptionError for an unknown name or an invalid value.
        """
        refuse_unsupported(options, "generation options", OptionError)
        warn_of_ignored(options, "generation options")
        options = {name: value for name, value in options.items() if name not in {*IGNORED, *REFUSED}}
        if options.get("do_sample"):
            options = {"num_beams": 1} | options
        known = rules_of(GenerationConfig)
        if unknown := sorted(options.keys() - known):
            raise OptionError(f"unknown generation option {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        values = {k: SWITCHED_OFF.get(k) if v is None else frozen(v) for k, v in with_pairs(options).items()}
        changed = dataclasses.replace(self, **values)
        check_fields(changed, "generation options", OptionError)
        return changed


def with_pairs(options: dict) -> dict:
    """The options, with a sequence_bias that is a dict, {token ids: number}, as a list of pairs."""
    biases = options.get("sequence_bias")
    return options | {"sequence_bias": list(biases.items())} if isinstance(biases, dict) else options


def without_unused(cls, data: dict, source: str) -> dict:
    """`data` without invalid sampling options, with an InputWarning for each: nothing asks for them."""
    rules = {name: metadata for name, metadata in rules_of(cls).items() if name in SAMPLING}
    invalid = [name for name, metadata in rules.items() if name in data and not metadata["check"](data[name])]
    for name in invalid:
        told = f"{name} is {show(data[name])}, expected {rules[name]['expected']}; it has no effect without do_sample"
        warnings.warn(f"{source}: {told}", InputWarning, stacklevel=4)
    return {name: value for name, value in data.items() if name not in invalid}


def as_tuple(ids: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """One id, several or none, as a tuple."""
    return () if ids is None else (ids,) if isinstance(ids, int) else ids
