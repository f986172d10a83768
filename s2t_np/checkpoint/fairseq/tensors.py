"""Names of tensors: fairseq's -> transformers'.

    encoder.subsample.conv_layers.0.weight       model.encoder.conv.conv_layers.0.weight
    encoder.transformer_layers.3.fc1.weight      model.encoder.layers.3.fc1.weight
    encoder.conformer_layers.3.ffn1.w_1.weight   model.encoder.layers.3.ffn1.w_1.weight
    decoder.output_projection.weight             lm_head.weight
    every other one                              model. before it

The attention that fairseq took from ESPnet calls its projections linear_q, ... and keeps that of distances among them.

Left out: counters and tables that are computed (`version`, `_float_tensor`, `num_batches_tracked`, `inv_freq`), the
head of a CTC loss, the normalisation that a convtransformer holds and never calls, and, in each encoder layer of
fairseq 0.12, the zero-filled twins `in_proj_weight`, `fc1_weight`, ... of a fast path that training never fills; the
real weights, `self_attn.*` and `fc1.weight`, stand beside them.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

from ...settings.architecture import CONVTRANSFORMER, TRANSFORMER
from ..file_bytes import Malformed, shown

Item = TypeVar("Item")

LEFT_OUT = re.compile(
    r"(encoder|decoder)\.(version|embed_positions\._float_tensor)"
    r"|encoder\.ctc_proj\.(weight|bias)"
    r"|encoder\.conformer_layers\.\d+\.(self_attn\.rotary_emb\.inv_freq|conv_module\.batch_norm\.num_batches_tracked)"
    r"|encoder\.transformer_layers\.\d+\.(in_proj|out_proj|fc1|fc2)_(weight|bias)"
)
UNCALLED = re.compile(r"encoder\.layer_norm\.(weight|bias)")  # in a convtransformer
RENAMED = (
    (re.compile(r"encoder\.subsample\."), "encoder.conv."),
    (re.compile(r"encoder\.conv\.2\."), "encoder.conv.1."),  # 1 and 3 are the ReLUs of a convtransformer
    (re.compile(r"encoder\.(transformer|conformer)_layers\."), "encoder.layers."),
    (re.compile(r"(encoder\.layers\.\d+\.self_attn\.)linear_([qkv])\."), r"\1\2_proj."),
    (re.compile(r"(encoder\.layers\.\d+\.self_attn\.)linear_out\."), r"\1out_proj."),
    (re.compile(r"(encoder\.layers\.\d+\.)self_attn\.(linear_pos|pos_bias_)"), r"\1distances.\2"),
)
HEAD = "decoder.output_projection.weight"


def renamed(tensors: Mapping[str, Item], tied: bool, architecture: str = TRANSFORMER) -> dict[str, Item]:
    """The tensors of the network under transformers' names; a tied head is left out, it is the embedding table.

    Raises Malformed where two names become one.
    """
    result = {}
    for name, tensor in tensors.items():
        if LEFT_OUT.fullmatch(name) or (tied and name == HEAD):
            continue
        if architecture == CONVTRANSFORMER and UNCALLED.fullmatch(name):
            continue
        new = new_name(name)
        if new in result:
            raise Malformed(f"has two tensors for {shown(new)}, expected one")
        result[new] = tensor
    return result


def new_name(name: str) -> str:
    """The name that transformers gives a tensor."""
    if name == HEAD:
        return "lm_head.weight"
    for pattern, replacement in RENAMED:
        name = pattern.sub(replacement, name, count=1) if pattern.match(name) else name
    return f"model.{name}"
