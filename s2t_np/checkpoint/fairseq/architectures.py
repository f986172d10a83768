"""The named architectures of fairseq's S2T models, and the settings that each fills in where none is given.

Every name belongs to a model, one of s2t_np/settings/architecture.py; the functions that fairseq registers under
these names (`@register_model_architecture`) are tables here.
"""

from ...settings.architecture import CONFORMER, CONVTRANSFORMER, TRANSFORMER
from ..file_bytes import Malformed, shown

COMMON = {
    "input_feat_per_channel": 80,
    "input_channels": 1,
    "encoder_embed_dim": 512,
    "encoder_ffn_embed_dim": 2048,
    "encoder_attention_heads": 8,
    "decoder_layers": 6,
    "decoder_attention_heads": 8,
    "share_decoder_input_output_embed": False,
    "no_scale_embedding": False,
    "activation_fn": "relu",
    "max_target_positions": 1024,
}
SUBSAMPLER = {"conv_kernel_sizes": "5,5", "conv_channels": 1024}
PRE_NORM = {"encoder_normalize_before": True, "decoder_normalize_before": True}
BASE = {
    TRANSFORMER: COMMON | SUBSAMPLER | PRE_NORM | {"encoder_layers": 12, "max_source_positions": 6000},
    CONVTRANSFORMER: COMMON | {"encoder_layers": 6, "max_source_positions": 3000},  # post-norm
    CONFORMER: COMMON
    | SUBSAMPLER
    | PRE_NORM
    | {
        "encoder_embed_dim": 256,
        "encoder_attention_heads": 4,
        "encoder_layers": 16,
        "max_source_positions": 6000,
        "attn_type": None,
        "pos_enc_type": "abs",
        "depthwise_conv_kernel_size": 31,
    },
}
SMALL = {"encoder_embed_dim": 256, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
MEDIUM = {"encoder_embed_dim": 512, "encoder_attention_heads": 8, "decoder_attention_heads": 8}
LARGE = {
    "encoder_embed_dim": 1024,
    "encoder_ffn_embed_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
}
NAMED = {
    "s2t_transformer": (TRANSFORMER, {}),
    "s2t_transformer_xs": (
        TRANSFORMER,
        {**SMALL, "encoder_layers": 6, "decoder_layers": 3, "encoder_ffn_embed_dim": 1024},
    ),
    "s2t_transformer_s": (TRANSFORMER, SMALL),
    "s2t_transformer_sp": (TRANSFORMER, {**SMALL, "encoder_layers": 16}),
    "s2t_transformer_m": (TRANSFORMER, MEDIUM),
    "s2t_transformer_mp": (TRANSFORMER, {**MEDIUM, "encoder_layers": 16}),
    "s2t_transformer_l": (TRANSFORMER, LARGE),
    "s2t_transformer_lp": (TRANSFORMER, {**LARGE, "encoder_layers": 16}),
    "convtransformer": (CONVTRANSFORMER, {}),
    "convtransformer_espnet": (CONVTRANSFORMER, {**SMALL, "encoder_layers": 12}),
    "s2t_conformer": (CONFORMER, {}),
}


def defaults(settings: dict) -> tuple[str, dict]:
    """The model that an architecture belongs to, and `settings` with its defaults where they say nothing.

    Raises Malformed for an architecture of another kind.
    """
    name = settings.get("arch") or settings.get("_name") or "s2t_transformer"
    if not isinstance(name, str) or name not in NAMED:
        raise Malformed(
            f"is of the architecture {shown(name)}, expected one of {', '.join(NAMED)}",
            "use a checkpoint of one of fairseq's speech-to-text models",
        )
    kind, named = NAMED[name]
    return kind, BASE[kind] | named | settings
