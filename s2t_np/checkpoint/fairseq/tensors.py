"""Names of tensors: fairseq's -> transformers'.

    encoder.subsample.conv_layers.0.weight       model.encoder.conv.conv_layers.0.weight
    encoder.transformer_layers.3.fc1.weight      model.encoder.layers.3.fc1.weight
    decoder.output_projection.weight             lm_head.weight
    every other one                              model. before it

Left out: counters and empty tables (`version`, `_float_tensor`), the head of a CTC loss, and, in each encoder layer of
fairseq 0.12, the zero-filled twins `in_proj_weight`, `fc1_weight`, ... of a fast path that training never fills; the
real weights, `self_attn.*` and `fc1.weight`, stand beside them.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

from ..mapped import Malformed, shown

Item = TypeVar("Item")

LEFT_OUT = re.compile(
    r"(encoder|decoder)\.(version|embed_positions\._float_tensor)"
    r"|encoder\.ctc_proj\.(weight|bias)"
    r"|encoder\.transformer_layers\.\d+\.(in_proj|out_proj|fc1|fc2)_(weight|bias)"
)
RENAMED = (
    (re.compile(r"encoder\.subsample\."), "encoder.conv."),
    (re.compile(r"encoder\.transformer_layers\."), "encoder.layers."),
)
HEAD = "decoder.output_projection.weight"


def renamed(tensors: Mapping[str, Item], tied: bool) -> dict[str, Item]:
    """The tensors of the network under transformers' names; a tied head is left out, it is the embedding table.

    Raises Malformed where two names become one.
    """
    result = {}
    for name, tensor in tensors.items():
        if LEFT_OUT.fullmatch(name) or (tied and name == HEAD):
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
