"""The arguments of `generate` and of the call that change nothing on a CPU in numpy.

Upstream takes about a hundred names. Those of `GenerationConfig` are obeyed. Those below are accepted with the values
that ask for nothing; any other value is refused by name, so that nothing is ignored in silence.
"""

import dataclasses

import numpy as np

from ..config import GenerationConfig
from ..errors import OptionError

NOT_UPSTREAMS = ("seed",)  # fields of GenerationConfig that transformers does not have
OFF = (None, False)
NEUTRAL = {
    "use_cache": (None, True, False),  # the result is the same
    "output_attentions": OFF,
    "output_hidden_states": OFF,
    "output_logits": OFF,
    "return_dict": (None, True, False),  # the call always gives a dict
    "synced_gpus": OFF,
    "cache_implementation": OFF,
    "assistant_model": OFF,
    "custom_generate": OFF,
    "token_healing": OFF,
    "watermarking_config": OFF,
    "trust_remote_code": OFF,
    "logits_processor": (None, []),
    "stopping_criteria": (None, []),
    "prefix_allowed_tokens_fn": OFF,
    "streamer": OFF,
    "encoder_outputs": OFF,
    "past_key_values": OFF,
    "decoder_attention_mask": OFF,
    "bad_words_ids": OFF,
    "sequence_bias": OFF,
    "renormalize_logits": OFF,
    "remove_invalid_values": OFF,
    "stop_strings": OFF,
    "max_time": OFF,
    "num_beam_groups": (None, 1),
    "diversity_penalty": (None, 0.0),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1.0),
    "exponential_decay_length_penalty": OFF,
    "typical_p": (None, 1.0),
    "min_p": OFF,
    "epsilon_cutoff": (None, 0.0),
    "eta_cutoff": (None, 0.0),
    "guidance_scale": (None, 1.0),
    "bos_token_id": (None,),
}
NOT_FEATURES = "S2T reads sound: pass the features as input_features (older model cards call them input_ids)"


def plain_options(options: dict) -> dict:
    """The options that GenerationConfig is to judge: numbers of numpy as Python's, neutral arguments left out.

    Raises OptionError for an argument that is not supported.
    """
    if "input_ids" in options:
        raise OptionError(f"input_ids: {NOT_FEATURES}")
    options = {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}
    return drop_neutral(options)


def drop_neutral(options: dict) -> dict:
    """The options that are not in the table. Raises OptionError for one that is and asks for something."""
    for name, value in options.items():
        if name in NEUTRAL and not any(is_same(value, neutral) for neutral in NEUTRAL[name]):
            raise OptionError(f"{name} is not supported here; expected {one_of(NEUTRAL[name])}, or leave it out")
    return {name: value for name, value in options.items() if name not in NEUTRAL}


def is_same(value, neutral) -> bool:
    """Whether a value is a neutral one: the same object, or an equal number or list."""
    return value is neutral or (type(value) in (int, float, list) and type(neutral) is not bool and value == neutral)


def one_of(values: tuple) -> str:
    """The values for a message."""
    return " or ".join(map(repr, values))


def generation_json(config: GenerationConfig) -> dict:
    """The contents of generation_config.json: the fields that are set and that transformers has."""
    fields = dataclasses.asdict(config).items()
    return {name: value for name, value in fields if value is not None and name not in NOT_UPSTREAMS}
