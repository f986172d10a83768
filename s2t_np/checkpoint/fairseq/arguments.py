"""The settings of a fairseq S2T model -> the fields of config.json, and what this project cannot compute, by flag.

Names and defaults are those of `s2t_transformer` in fairseq/models/speech_to_text/s2t_transformer.py (0.10 to 0.12). A
checkpoint holds the settings complete, as the chosen architecture filled them in; where one is missing, that
architecture's default stands (`ARCHITECTURES`).
"""

from collections.abc import Callable
from typing import NamedTuple

from ..mapped import Malformed, shown

BASE = {
    "conv_kernel_sizes": "5,5",
    "conv_channels": 1024,
    "input_feat_per_channel": 80,
    "input_channels": 1,
    "encoder_embed_dim": 512,
    "encoder_ffn_embed_dim": 2048,
    "encoder_layers": 12,
    "encoder_attention_heads": 8,
    "decoder_layers": 6,
    "decoder_attention_heads": 8,
    "share_decoder_input_output_embed": False,
    "no_scale_embedding": False,
    "activation_fn": "relu",
    "max_source_positions": 6000,
    "max_target_positions": 1024,
}
SMALL = {"encoder_embed_dim": 256, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
MEDIUM = {"encoder_embed_dim": 512, "encoder_attention_heads": 8, "decoder_attention_heads": 8}
LARGE = {
    "encoder_embed_dim": 1024,
    "encoder_ffn_embed_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
}
ARCHITECTURES = {
    "s2t_transformer": {},
    "s2t_transformer_xs": {**SMALL, "encoder_layers": 6, "decoder_layers": 3, "encoder_ffn_embed_dim": 1024},
    "s2t_transformer_s": SMALL,
    "s2t_transformer_sp": {**SMALL, "encoder_layers": 16},
    "s2t_transformer_m": MEDIUM,
    "s2t_transformer_mp": {**MEDIUM, "encoder_layers": 16},
    "s2t_transformer_l": LARGE,
    "s2t_transformer_lp": {**LARGE, "encoder_layers": 16},
}


# field of config.json -> setting of fairseq, a whole number
WHOLE = {
    "d_model": "encoder_embed_dim",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "encoder_attention_heads": "encoder_attention_heads",
    "decoder_attention_heads": "decoder_attention_heads",
    "encoder_ffn_dim": "encoder_ffn_embed_dim",
    "decoder_ffn_dim": "decoder_ffn_embed_dim",
    "conv_channels": "conv_channels",
    "input_feat_per_channel": "input_feat_per_channel",
    "input_channels": "input_channels",
    "max_source_positions": "max_source_positions",
    "max_target_positions": "max_target_positions",
}
# the same in every model of fairseq's: its dictionary begins with <s> <pad> </s> <unk>, and decoding with </s>
FIXED = {
    "model_type": "speech_to_text",
    "architectures": ["Speech2TextForConditionalGeneration"],
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}


class Flag(NamedTuple):
    """A setting that changes what is computed: its default, the values that are supported, and how they are named."""

    default: object
    accepts: Callable[[object], bool]
    expected: str


FALSE = Flag(False, lambda value: not value, "False")
TRUE = Flag(True, lambda value: value is True, "True (pre-norm)")

# A flag that is not here changes training only (dropout, layer drop, freezing), or the loss.
FLAGS = {
    "encoder_normalize_before": TRUE,
    "decoder_normalize_before": TRUE,
    "no_decoder_final_norm": FALSE,
    "layernorm_embedding": FALSE,
    "decoder_learned_pos": FALSE,
    "encoder_learned_pos": FALSE,
    "no_token_positional_embeddings": FALSE,
    "adaptive_softmax_cutoff": FALSE,
    "adaptive_input": FALSE,
    "character_embeddings": FALSE,
    "cross_self_attention": FALSE,
    "no_cross_attention": FALSE,
    "tie_adaptive_weights": FALSE,
    "speaker_to_id": FALSE,
}


def config_fields(settings: dict, vocab_size: int) -> dict:
    """The fields of config.json for the settings of one model, whose output has `vocab_size` rows. Raises Malformed.

    `settings` as `objects.settings` gives them; a setting that this project cannot compute is refused by its name.
    """
    complete = BASE | ARCHITECTURES[architecture(settings)] | settings
    width = whole(complete, "encoder_embed_dim")
    check_flags(complete, width)
    complete.setdefault("decoder_ffn_embed_dim", complete["encoder_ffn_embed_dim"])
    kernels = kernel_sizes(complete["conv_kernel_sizes"])
    fields = {"vocab_size": vocab_size, "num_conv_layers": len(kernels), "conv_kernel_sizes": kernels}
    return (
        FIXED
        | fields
        | {field: whole(complete, name) for field, name in WHOLE.items()}
        | {
            "activation_function": complete["activation_fn"],
            "scale_embedding": not complete["no_scale_embedding"],
            "tie_word_embeddings": bool(complete["share_decoder_input_output_embed"]),
        }
    )


def architecture(settings: dict) -> str:
    """The name of the architecture. Raises Malformed where it is not an s2t_transformer."""
    name = settings.get("arch") or settings.get("_name") or "s2t_transformer"
    if name not in ARCHITECTURES:
        raise Malformed(
            f"is of the architecture {shown(name)}, expected one of {', '.join(ARCHITECTURES)}",
            "use a checkpoint of fairseq's speech-to-text transformer",
        )
    return name


def check_flags(settings: dict, width: int) -> None:
    """Refuse what would be computed in another way. Raises Malformed naming the flag."""
    for name, flag in FLAGS.items():
        if not flag.accepts(value := settings.get(name, flag.default)):
            raise Malformed(
                f"was trained with {name}={shown(value)}, expected {flag.expected}",
                "this option of s2t_transformer is not supported here",
            )
    for name in ("decoder_embed_dim", "decoder_output_dim", "decoder_input_dim"):
        if (value := settings.get(name)) not in (None, width):
            raise Malformed(f"was trained with {name}={shown(value)}, expected encoder_embed_dim, which is {width}")


def whole(settings: dict, name: str) -> int:
    """A setting that is a whole number. Raises Malformed."""
    value = settings.get(name)
    if type(value) is not int or value < 0:
        raise Malformed(f"has {name}={shown(value)} among its settings, expected a whole number")
    return value


def kernel_sizes(value) -> list[int]:
    """ "5,5" -> [5, 5]. Raises Malformed."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, tuple) else ()
    try:
        sizes = [int(part) for part in parts]
    except (ValueError, TypeError):
        sizes = []
    if not sizes or min(sizes) < 1:
        raise Malformed(f"has conv_kernel_sizes={shown(value)} among its settings, expected numbers such as '5,5'")
    return sizes
