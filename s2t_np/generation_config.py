"""generation_config.json as a frozen dataclass: how to search. Names, meaning and defaults are transformers'."""

import dataclasses
from dataclasses import dataclass

from .errors import OptionError
from .fields import check_fields, flag, from_dict, integer, is_real, real, rule, token_ids
from .generation_refusals import refuse_unsupported

SEARCHES = ("transformers", "fairseq")
MOST_TOKENS = 100_000  # length of a transcript
MOST_ROWS = 1024  # beams or draws side by side; their memory would be exhausted before the answer


@dataclass(frozen=True)
class GenerationConfig:
    """The search options; names, meaning and defaults are those of transformers' GenerationConfig."""

    max_length: int = integer(200, 1, MOST_TOKENS)  # tokens in all, counting the start token
    max_new_tokens: int | None = integer(
        None, 1, MOST_TOKENS, optional=True
    )  # replaces max_length: tokens after the prefix
    min_length: int = integer(0, 0, MOST_TOKENS)  # no EOS before this many tokens, counting the start token
    min_new_tokens: int | None = integer(None, 0, MOST_TOKENS, optional=True)
    num_beams: int = integer(1, 1, MOST_ROWS)
    num_return_sequences: int = integer(1, 1, MOST_ROWS)  # n-best
    early_stopping: bool | str = rule(False, 'true, false or "never"', lambda v: isinstance(v, bool) or v == "never")
    length_penalty: float = rule(1.0, "a number", is_real)
    no_repeat_ngram_size: int = integer(0)
    repetition_penalty: float = real(1.0, 1e-6, 1e6)
    suppress_tokens: tuple[int, ...] | None = token_ids(None)
    begin_suppress_tokens: tuple[int, ...] | None = token_ids(None)
    forced_bos_token_id: int | None = integer(None, optional=True)  # the first generated token
    forced_eos_token_id: int | None = integer(None, optional=True)  # the token at max_length
    do_sample: bool = flag(False)
    temperature: float = real(1.0, 1e-6, 1e6)
    top_k: int = integer(50)  # 0 keeps all
    top_p: float = rule(1.0, "a number in (0, 1]", lambda v: is_real(v) and 0 < v <= 1)
    search: str = rule(
        "transformers", '"transformers" or "fairseq"', lambda v: v in SEARCHES
    )  # whose rules; a field of ours
    unk_penalty: float = rule(
        0.0, "a number", is_real
    )  # taken from <unk>'s log-probability in fairseq's search; a field of ours
    seed: int | None = integer(None, optional=True)  # makes sampling repeatable; not a field of transformers
    eos_token_id: int = integer(2)
    pad_token_id: int = integer(1)
    decoder_start_token_id: int = integer(2)

    @classmethod
    def from_dict(cls, data: dict, source: str = "generation_config.json") -> "GenerationConfig":
        """Check and build; null means "not set" for any field. Raises ModelError."""
        refuse_unsupported(data, source)
        return from_dict(cls, {k: v for k, v in data.items() if v is not None}, source)

    def replace(self, **options) -> "GenerationConfig":
        """A copy with some fields changed. Asking for samples without naming `num_beams` means single paths.

        Raises OptionError for an unknown name or an invalid value.
        """
        if options.get("do_sample"):
            options = {"num_beams": 1} | options
        known = {f.name for f in dataclasses.fields(self)}
        if unknown := sorted(set(options) - known):
            raise OptionError(f"unknown generation option {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        changed = dataclasses.replace(self, **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
        check_fields(changed, "generation options", OptionError)
        return changed
