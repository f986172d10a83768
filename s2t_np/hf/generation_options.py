"""The arguments of `generate` that are not fields of GenerationConfig, sorted by what they are for.

Upstream takes about a hundred names. `ResultOptions` say what is returned, `Functions` take part in the search. The
arguments in NEUTRAL, and those of generation_refusals.py, are accepted with the values that ask for nothing; any other
value is refused by name, with the reason, so that nothing is ignored in silence.
"""

import dataclasses
import warnings
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputWarning, OptionError
from ..settings.fields import show
from ..settings.generation_config import GenerationConfig
from ..settings.generation_refusals import IGNORED, OFF, REFUSED, SPECULATIVE, Refusal, is_neutral

NOT_UPSTREAMS = ("seed",)  # fields of GenerationConfig that transformers does not have
NEUTRAL = {
    "use_cache": Refusal((None, True, False), "the cache is always used; the result is the same"),
    "return_dict": Refusal((None, True, False), "the call always gives a dict"),
    "synced_gpus": Refusal(OFF, "there is one CPU"),
    "cache_implementation": Refusal((*OFF, "dynamic", "static"), "the cache is this project's own"),
    "past_key_values": Refusal(OFF, "a cache of torch's cannot be continued; pass decoder_input_ids"),
    "cache": Refusal(OFF, "a cache of torch's cannot be continued; pass decoder_input_ids"),
    "assistant_model": Refusal(OFF, SPECULATIVE),
    "custom_generate": Refusal(OFF, "no code of a model is executed"),
    "trust_remote_code": Refusal(OFF, "no code of a model is executed"),
    "compile_config": Refusal(OFF, "it is torch's compiler"),
    "negative_prompt_ids": Refusal(OFF, "it belongs to guidance_scale"),
    "negative_prompt_attention_mask": Refusal(OFF, "it belongs to guidance_scale"),
}
NEUTRAL_IN_CALL = NEUTRAL | {
    name: Refusal(OFF, "generate(..., return_dict_in_generate=True) and get_encoder() return them")
    for name in ("output_attentions", "output_hidden_states")
}
ANYTHING = ("bos_token_id", "disable_compile", "transformers_version")  # no value of these changes anything
NOT_FEATURES = "S2T reads sound: pass the features as input_features (older model cards call them input_ids)"


def take(kind: type, options: dict) -> tuple[Any, dict]:
    """The arguments that are fields of `kind`, a NamedTuple, as one; and the others. None means the default."""
    own = {name: options[name] for name in kind._fields if options.get(name) is not None}
    return kind(**own), {name: value for name, value in options.items() if name not in kind._fields}


def plain_options(options: dict) -> dict:
    """The options without neutral arguments, numbers of numpy as Python's.

    Raises OptionError for an argument that is not supported.
    """
    if "input_ids" in options:
        raise OptionError(f"input_ids: {NOT_FEATURES}")
    return drop_neutral({name: plain(value) for name, value in options.items()})


def plain(value):
    """Numbers of numpy's as Python's, also within lists and dicts; arrays of ids as lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim < 2:
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


def drop_neutral(options: dict, table: dict[str, Refusal] = NEUTRAL) -> dict:
    """The options that are not in the table. Raises OptionError for one that is and asks for something."""
    for name, (neutral, reason) in table.items():
        if name in options and not is_neutral(options[name], neutral):
            expected = " or ".join(map(repr, neutral))
            raise OptionError(
                f"{name} is not supported here ({reason}); found {show(options[name])}, expected {expected}, or leave "
                "it out"
            )
    return {name: value for name, value in options.items() if name not in table and name not in ANYTHING}


def as_options(config) -> dict:
    """A generation_config as options: a dict, or any object with `to_dict` or attributes; what is None is not set.

    Of an object, what is neither a field, nor refused, nor about the result is bookkeeping and left out. Raises
    OptionError.
    """
    if isinstance(config, dict):
        return {name: value for name, value in config.items() if value is not None}
    found = config.to_dict() if hasattr(config, "to_dict") else getattr(config, "__dict__", None)
    if not isinstance(found, dict):
        raise OptionError(f"generation_config is {show(config)}, expected a GenerationConfig or a dict")
    known = {field.name for field in dataclasses.fields(GenerationConfig)} | {*ResultOptions._fields}
    known |= {*REFUSED, *IGNORED, *NEUTRAL}
    return {name: value for name, value in found.items() if name in known and value is not None}


class ResultOptions(NamedTuple):
    """The choice of what `generate` returns, and whose padding shows."""

    return_dict_in_generate: bool = False
    output_scores: bool = False
    output_logits: bool = False
    output_attentions: bool = False
    output_hidden_states: bool = False
    padded_as_upstream: bool = False

    def warn_of_unused(self) -> None:
        """Give an InputWarning for what only a dict could show, where none is asked for."""
        unused = [name for name in self._fields if name.startswith("output_") and getattr(self, name)]
        if unused and not self.return_dict_in_generate:
            told = f"{', '.join(unused)}: nothing is returned for it without return_dict_in_generate=True"
            warnings.warn(told, InputWarning, stacklevel=4)

    @property
    def of_layers(self) -> bool:
        """True if what the layers give is wanted."""
        return self.output_attentions or self.output_hidden_states


class Functions(NamedTuple):
    """The objects that take part in the search, by upstream's names."""

    logits_processor: Any = ()  # functions (ids (K, U), scores (K, V)) -> scores
    stopping_criteria: Any = ()  # functions (ids (K, U), scores) -> which rows end, (K,)
    prefix_allowed_tokens_fn: Any = None  # (number of the utterance, ids (U,)) -> ids that may come next
    streamer: Any = None  # `put(ids)` and `end()`
    tokenizer: Any = None  # for stop_strings
    encoder_outputs: Any = None  # instead of features
    decoder_attention_mask: Any = None

    @property
    def are_called(self) -> bool:
        """True if something of the caller's is called while the search runs."""
        called = self.logits_processor, self.stopping_criteria, self.prefix_allowed_tokens_fn, self.streamer
        return any(one is not None and one != () for one in called)


def generation_json(config: GenerationConfig) -> dict:
    """The contents of generation_config.json: the fields that are set and that transformers has."""
    fields = dataclasses.asdict(config).items()
    return {name: value for name, value in fields if value is not None and name not in NOT_UPSTREAMS}
