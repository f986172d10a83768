"""Options of transformers' `generate` that this search does not have, their values that ask for nothing, and why.

A checkpoint whose generation_config.json sets one of them to anything else is refused by name, and so is a call: the
text would differ from that of transformers. Two options are ignored there too, for a model that reads sound.
"""

import warnings
from typing import Any, NamedTuple

from ..errors import InputWarning
from .fields import show

OFF = (None, False)
FROM_THE_HUB = "transformers 5 runs code from the hub for it, and nothing is executed here"
SPECULATIVE = "there is no second model to guess with, and the text would be the same"


class Refusal(NamedTuple):
    """The values that ask for nothing, and the reason why any other is refused."""

    neutral: tuple
    reason: str


REFUSED = {
    "num_beam_groups": Refusal((None, 0, 1), FROM_THE_HUB),
    "diversity_penalty": Refusal((None, 0.0), FROM_THE_HUB),
    "penalty_alpha": Refusal((None, 0.0), FROM_THE_HUB),
    "dola_layers": Refusal((None,), FROM_THE_HUB),
    "constraints": Refusal((None, [], ()), FROM_THE_HUB),
    "force_words_ids": Refusal((None, [], ()), FROM_THE_HUB),
    "guidance_scale": Refusal((None, 1.0), "it compares with a run without a text prompt, and S2T has none"),
    "watermarking_config": Refusal((None,), "its marks come from torch's random numbers"),
    "token_healing": Refusal(OFF, "it mends the end of a text prompt, and S2T has none"),
    "prompt_lookup_num_tokens": Refusal((None, 0), SPECULATIVE),
    "assistant_early_exit": Refusal((None, 0), SPECULATIVE),
    "use_mtp": Refusal(OFF, SPECULATIVE),
    "low_memory": Refusal(OFF, "transformers 5 refuses it too"),
}
# Both look for tokens of a text that the encoder reads.
IGNORED = {"encoder_no_repeat_ngram_size": (None, 0), "encoder_repetition_penalty": (None, 1.0)}


# What `generate` of the hf class returns is asked of each call, not of the file.
RESULTS = ("output_scores", "output_logits", "output_attentions", "output_hidden_states", "return_dict_in_generate")


def is_neutral(value: Any, neutral: tuple) -> bool:
    """True for a neutral value: the same object, or an equal number or list; True is not 1, False not 0."""
    return any(
        value is same or (type(value) in (int, float, list, tuple, dict) and type(same) is not bool and value == same)
        for same in neutral
    )


def refuse_unsupported(data: dict, source: str, error: type[Exception]) -> None:
    """Raise `error` for the first option in `data` that asks for what this search does not have."""
    for name, (neutral, reason) in REFUSED.items():
        if name in data and not is_neutral(data[name], neutral):
            found = show(data[name]) if isinstance(data[name], bool | float | int) else f"a {type(data[name]).__name__}"
            raise error(
                f"{source}: {name} is {found}, which this search does not have ({reason}); transformers' text would "
                "differ. Remove it to do without"
            )


def warn_of_ignored(data: dict, source: str) -> None:
    """Give an InputWarning for an option in `data` that changes nothing, here and in transformers."""
    for name, neutral in IGNORED.items():
        if name in data and not is_neutral(data[name], neutral):
            warnings.warn(f"{source}: {name} changes nothing for a model that reads sound", InputWarning, stacklevel=3)
    if asked := [name for name in RESULTS if data.get(name)]:
        told = f"{source}: {', '.join(asked)} changes nothing in a file; give it to generate"
        warnings.warn(told, InputWarning, stacklevel=3)
