"""The options by which a network of fairseq's may differ from the released S2T models, under the names of its flags.

The released models have none of them, and transformers' config.json has no words for them; they are fields of ours.
Sources: fairseq/models/speech_to_text/s2t_transformer.py, convtransformer.py, s2t_conformer.py, and
fairseq/models/transformer/transformer_decoder.py (0.12).
"""

import dataclasses
from dataclasses import dataclass

from .fields import flag, integer, is_integer, rule

TRANSFORMER, CONVTRANSFORMER, CONFORMER = "s2t_transformer", "convtransformer", "s2t_conformer"
ARCHITECTURES = (TRANSFORMER, CONVTRANSFORMER, CONFORMER)
ATTENTIONS = (None, "espnet")  # fairseq's own attention, or the one that it took from ESPnet
POSITIONS = ("abs", "rel_pos", "rope")


def width():
    """A width that may be left out; it is then that of the encoder."""
    return integer(None, 1, 1 << 17, optional=True)


def one_of(values: tuple):
    """A field that holds one of these words; the first is its default."""
    return rule(values[0], f"one of {', '.join(map(repr, values))}", values.__contains__, None in values)


@dataclass(frozen=True)
class ArchitectureOptions:
    """The options; their defaults are the released models."""

    architecture: str = one_of(ARCHITECTURES)  # the encoder: the decoder is the same in all
    encoder_normalize_before: bool = flag(True)  # pre-norm; False: post-norm, and no norm after the last layer
    decoder_normalize_before: bool = flag(True)
    no_decoder_final_norm: bool = flag(False)  # pre-norm without the norm after the last layer
    layernorm_embedding: bool = flag(False)  # normalise the sum of the decoder's embeddings and positions
    decoder_learned_pos: bool = flag(False)  # a table of max_target_positions rows instead of sinusoids
    no_token_positional_embeddings: bool = flag(False)  # no positions in the decoder; the encoder keeps its own
    decoder_embed_dim: int | None = width()  # width of the decoder, if it is not the encoder's
    decoder_output_dim: int | None = width()  # width that the decoder's rows are projected to before the head
    conv_out_channels: int | None = width()  # convtransformer: channels of both convolutions
    depthwise_conv_kernel_size: int = rule(  # s2t_conformer
        31, "an odd whole number up to 999", lambda v: is_integer(v, 1, 999) and v % 2 == 1
    )
    attn_type: str | None = one_of(ATTENTIONS)  # s2t_conformer
    pos_enc_type: str = one_of(POSITIONS)  # s2t_conformer

    def unknown_to_transformers(self) -> str:
        """The options that differ from their defaults, as "layernorm_embedding=True, ..."; empty if there are none."""
        differing = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(ArchitectureOptions)
            if getattr(self, field.name) != field.default
        }
        return ", ".join(f"{name}={value!r}" for name, value in differing.items())
