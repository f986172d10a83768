"""The settings of a fairseq S2T model -> the fields of config.json, and what this project cannot compute, by flag.

Names and defaults are those of the models in fairseq/models/speech_to_text (0.10 to 0.12): s2t_transformer.py,
convtransformer.py, s2t_conformer.py. A checkpoint holds the settings complete, as the chosen architecture filled them
in; where one is missing, that architecture's default stands (`architectures.py`).
"""

from collections.abc import Callable
from typing import NamedTuple

from ...settings.architecture import CONFORMER, CONVTRANSFORMER
from ..file_bytes import Malformed, shown
from .architectures import defaults

# field of config.json -> setting of fairseq, a whole number
WHOLE = {
    "d_model": "encoder_embed_dim",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "encoder_attention_heads": "encoder_attention_heads",
    "decoder_attention_heads": "decoder_attention_heads",
    "encoder_ffn_dim": "encoder_ffn_embed_dim",
    "decoder_ffn_dim": "decoder_ffn_embed_dim",
    "input_feat_per_channel": "input_feat_per_channel",
    "input_channels": "input_channels",
    "max_source_positions": "max_source_positions",
    "max_target_positions": "max_target_positions",
}
# field of config.json -> setting of fairseq, a flag
SWITCHES = (
    "encoder_normalize_before",
    "decoder_normalize_before",
    "no_decoder_final_norm",
    "layernorm_embedding",
    "decoder_learned_pos",
    "no_token_positional_embeddings",
)
# the same in every model of fairseq's: its dictionary begins with <s> <pad> </s> <unk>, and decoding with </s>
FIXED = {
    "model_type": "speech_to_text",
    "architectures": ["Speech2TextForConditionalGeneration"],
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
# fairseq's name of an activation function -> transformers'
ACTIVATION_NAMES = {name: name for name in ("relu", "gelu", "gelu_accurate", "tanh", "linear", "swish")}
ACTIVATION_NAMES |= {"relu_squared": "relu2", "gelu_fast": "gelu_accurate"}


class Flag(NamedTuple):
    """A setting that changes what is computed: the values that are supported, and how they are named."""

    accepts: Callable[[object], bool]
    expected: str


OFF = Flag(lambda value: not value, "False")
# A flag that is neither here nor above changes training only (dropout, layer drop, freezing), or the loss.
FLAGS = dict.fromkeys(
    (
        *("encoder_learned_pos", "adaptive_softmax_cutoff", "adaptive_input", "tie_adaptive_weights"),
        *("character_embeddings", "char_inputs", "cross_self_attention", "no_cross_attention", "speaker_to_id"),
        *("base_layers", "quant_noise_pq", "scale_attn", "scale_heads", "scale_fc", "scale_resids"),
        *("encoder_layers_to_keep", "decoder_layers_to_keep", "encoder_xformers_att_config"),
        "decoder_xformers_att_config",
    ),
    OFF,
)


def config_fields(settings: dict, vocab_size: int) -> dict:
    """The fields of config.json for the settings of one model, whose output has `vocab_size` rows. Raises Malformed.

    `settings` as `objects.settings` gives them; a setting that this project cannot compute is refused by its name.
    """
    kind, complete = defaults(settings)
    check_flags(complete)
    complete.setdefault("decoder_ffn_embed_dim", complete["encoder_ffn_embed_dim"])
    tied = bool(complete["share_decoder_input_output_embed"])
    return (
        FIXED
        | {"vocab_size": vocab_size, "architecture": kind}
        | {field: whole(complete, name) for field, name in WHOLE.items()}
        | {name: switch(complete, name) for name in SWITCHES}
        | widths(complete, tied)
        | encoder_fields(kind, complete)
        | {
            "activation_function": activation_function(complete["activation_fn"]),
            "scale_embedding": not complete["no_scale_embedding"],
            "tie_word_embeddings": tied,
        }
    )


def encoder_fields(kind: str, settings: dict) -> dict:
    """The fields that only the encoder of one architecture has. Raises Malformed."""
    if kind == CONVTRANSFORMER:
        settings.setdefault("conv_out_channels", settings["encoder_embed_dim"])
        return {"conv_out_channels": whole(settings, "conv_out_channels")}
    kernels = kernel_sizes(settings["conv_kernel_sizes"])
    fields = {
        "num_conv_layers": len(kernels),
        "conv_kernel_sizes": kernels,
        "conv_channels": whole(settings, "conv_channels"),
    }
    return fields | (conformer_fields(settings) if kind == CONFORMER else {})


def conformer_fields(settings: dict) -> dict:
    """The fields of an s2t_conformer. Raises Malformed.

    As fairseq does, anything but "espnet" means its own attention, and a kind of positions that it does not know "abs".
    """
    attention = "espnet" if settings["attn_type"] == "espnet" else None
    kind = settings["pos_enc_type"] if settings["pos_enc_type"] in ("rel_pos", "rope") else "abs"
    if kind == "rel_pos" and attention is None:
        raise Malformed("was trained with pos_enc_type='rel_pos', expected attn_type='espnet' beside it")
    size = whole(settings, "depthwise_conv_kernel_size")
    return {"attn_type": attention, "pos_enc_type": kind, "depthwise_conv_kernel_size": size}


def widths(settings: dict, tied: bool) -> dict:
    """The widths of a decoder that differs from the encoder. Raises Malformed."""
    encoder = whole(settings, "encoder_embed_dim")
    decoder = encoder if settings.get("decoder_embed_dim") is None else whole(settings, "decoder_embed_dim")
    output = decoder if settings.get("decoder_output_dim") is None else whole(settings, "decoder_output_dim")
    if (given := settings.get("decoder_input_dim")) not in (None, decoder):
        raise Malformed(f"was trained with decoder_input_dim={shown(given)}, expected decoder_embed_dim, {decoder}")
    if tied and output != decoder:
        raise Malformed(f"was trained with decoder_output_dim={output} and a tied head, expected {decoder}")
    return {
        "decoder_embed_dim": None if decoder == encoder else decoder,
        "decoder_output_dim": None if output == decoder else output,
    }


def check_flags(settings: dict) -> None:
    """Refuse what would be computed in another way. Raises Malformed naming the flag."""
    for name, flag in FLAGS.items():
        if not flag.accepts(value := settings.get(name)):
            raise Malformed(
                f"was trained with {name}={shown(value)}, expected {flag.expected}",
                "this option of fairseq's is not supported here",
            )


def activation_function(name) -> str:
    """transformers' name of an activation function. Raises Malformed."""
    if not isinstance(name, str) or name not in ACTIVATION_NAMES:
        raise Malformed(f"was trained with activation_fn={shown(name)}, expected one of {', '.join(ACTIVATION_NAMES)}")
    return ACTIVATION_NAMES[name]


def switch(settings: dict, name: str) -> bool:
    """A setting that is a flag. Raises Malformed."""
    if not isinstance(value := settings.get(name, False), bool):
        raise Malformed(f"has {name}={shown(value)} among its settings, expected True or False")
    return value


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
    except (ValueError, TypeError, OverflowError):  # the last: of infinity
        sizes = []
    if not sizes or min(sizes) < 1:
        raise Malformed(f"has conv_kernel_sizes={shown(value)} among its settings, expected numbers such as '5,5'")
    return sizes
