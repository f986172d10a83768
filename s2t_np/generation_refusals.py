"""Options of transformers' `generate` that this search does not have, and their values that ask for nothing.

A checkpoint whose generation_config.json sets one of them to anything else is refused by name: its text would differ
from that of transformers.
"""

from .errors import ModelError

OFF = (None, False)
NEUTRAL = {
    "bad_words_ids": (None, [], ()),
    "sequence_bias": (None, {}, [], ()),
    "exponential_decay_length_penalty": (None,),
    "renormalize_logits": OFF,
    "remove_invalid_values": OFF,
    "typical_p": (None, 1.0),
    "min_p": (None, 0.0),
    "top_h": (None, 1.0),
    "epsilon_cutoff": (None, 0.0),
    "eta_cutoff": (None, 0.0),
    "max_time": (None,),
    "stop_strings": (None, [], ()),
    "num_beam_groups": (None, 0, 1),
    "diversity_penalty": (None, 0.0),
    "penalty_alpha": (None, 0.0),
    "dola_layers": (None,),
    "constraints": (None, [], ()),
    "force_words_ids": (None, [], ()),
    "guidance_scale": (None, 1.0),
    "watermarking_config": (None,),
    "token_healing": OFF,
    "prompt_lookup_num_tokens": (None, 0),
    "assistant_early_exit": (None,),
}


def refuse_unsupported(data: dict, source: str) -> None:
    """Raise ModelError for the first option in `data` that asks for what this search does not have."""
    for name, neutral in NEUTRAL.items():
        value = data.get(name)
        if value not in neutral:
            found = value if isinstance(value, bool | float) else f"a {type(value).__name__}"
            raise ModelError(
                f"{source}: {name} is {found}, which this search does not have; transformers' text would differ. "
                "Remove the entry from the file to do without it"
            )
