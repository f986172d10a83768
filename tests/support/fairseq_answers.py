"""Small networks of every architecture and option of fairseq's S2T models, for answers of fairseq's own.

A case is a name and the settings in which it differs from the base. Weights and features are functions of a name, a
shape and a seed, so that `tools/make_fairseq_answers.py`, which runs in an environment with fairseq, and the tests,
which have none, make the same ones. Nothing of this project is imported here: the answers judge it.
"""

import zlib

import numpy as np

VOCABULARY = 200  # as the small tokenizers have it
BINS = 8
FRAMES = 37
TARGET = (5, 17, 5, 120, 9, 2)
MOST_TOKENS = 12
KEPT = 5  # of so many columns of the logits, one
BEAMS = {"beam5": 5, "beam1": 1}

BASE = {
    "arch": "s2t_transformer_s",
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 24,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_ffn_embed_dim": 20,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "conv_channels": 12,
    "input_feat_per_channel": BINS,
    "input_channels": 1,
    "max_source_positions": 6000,
    "max_target_positions": 60,
}
POST = {"encoder_normalize_before": False, "decoder_normalize_before": False}
CONV = {"arch": "convtransformer"}
CONFORMER = {"arch": "s2t_conformer", "depthwise_conv_kernel_size": 7, "fp16": False}
ESPNET = CONFORMER | {"attn_type": "espnet"}
CASES = {
    "released": {"share_decoder_input_output_embed": True},
    "untied": {},
    "gelu": {"activation_fn": "gelu"},
    "gelu_fast": {"activation_fn": "gelu_fast"},
    "gelu_accurate": {"activation_fn": "gelu_accurate"},
    "tanh": {"activation_fn": "tanh"},
    "linear": {"activation_fn": "linear"},
    "relu_squared": {"activation_fn": "relu_squared"},
    "post-norm": POST,
    "post-norm encoder": {"encoder_normalize_before": False},
    "post-norm decoder": {"decoder_normalize_before": False, "activation_fn": "gelu"},
    "no final norm": {"no_decoder_final_norm": True},
    "embedding norm": {"layernorm_embedding": True},
    "no scale": {"no_scale_embedding": True},
    "no positions": {"no_token_positional_embeddings": True},
    "learned positions": {"decoder_learned_pos": True},
    "narrow decoder": {"decoder_embed_dim": 12, "layernorm_embedding": True},
    "narrow output": {"decoder_output_dim": 10},
    "wide learned tied": {
        "decoder_embed_dim": 20,
        "decoder_learned_pos": True,
        "share_decoder_input_output_embed": True,
        "decoder_normalize_before": False,
    },
    "one convolution": {"conv_kernel_sizes": "3"},
    "three convolutions": {"conv_kernel_sizes": "5,3,7", "conv_channels": 10, "encoder_layers": 1},
    "ctc": {"ctc_weight": 0.3, "decoder_layers": 1, "encoder_layers": 3},
    "convtransformer": CONV,
    "convtransformer espnet": CONV | {"arch": "convtransformer_espnet", "conv_out_channels": 5, "encoder_layers": 1},
    "convtransformer pre-norm": CONV
    | {
        "encoder_normalize_before": True,
        "decoder_normalize_before": True,
        "activation_fn": "gelu",
        "no_scale_embedding": True,
        "decoder_output_dim": 10,
    },
    "conformer": CONFORMER,
    "conformer espnet": ESPNET,
    "conformer rope": ESPNET | {"pos_enc_type": "rope", "depthwise_conv_kernel_size": 31},
    "conformer rel_pos": ESPNET | {"pos_enc_type": "rel_pos", "no_scale_embedding": True},
    "conformer without positions": CONFORMER | {"pos_enc_type": "rope", "decoder_normalize_before": False},
}
ENSEMBLES = {  # names of cases; a case that comes twice has other weights the second time
    "two": ("untied", "untied"),
    "different sizes": ("untied", "three convolutions", "narrow decoder"),
    "different architectures": ("convtransformer", "conformer rel_pos", "post-norm"),
}
ONES = ("norm.weight", "layer_norm.weight", "layernorm_embedding.weight")
NOT_SET = ("_float_tensor", "version", "num_batches_tracked", "inv_freq")


def settings(case: str) -> dict:
    """The settings of a case, as a training run would save them."""
    return BASE | CASES[case]


def seeded(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A tensor of fairseq's with that name: float32, lively enough that texts differ."""
    draw = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())])).standard_normal(shape)
    if name.endswith("running_var"):
        return (0.5 + np.abs(draw)).astype(np.float32)
    if name.endswith(ONES):
        return (1 + 0.2 * draw).astype(np.float32)
    if len(shape) == 1 or name.endswith(("pos_bias_u", "pos_bias_v")):
        return (0.2 * draw).astype(np.float32)
    gain = 3 if "output_projection" in name else 1
    spread = gain / np.prod(shape[1:]) ** 0.5
    made = (spread * draw).astype(np.float32)
    if name.endswith(("embed_tokens.weight", "embed_positions.weight")):
        made[1] = 0  # padding
    return made


def features(seed: int = 0) -> np.ndarray:
    """Features (T, M)."""
    return np.random.Generator(np.random.PCG64([seed, 7])).standard_normal((FRAMES, BINS)).astype(np.float32)


def tensors(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """The state dict of a case as fairseq saves it: the seeded tensors, the zero-filled twins, counters."""
    made = {}
    for name, shape in shapes.items():
        zero = name.endswith(NOT_SET) or name.split(".")[-1] in (
            f"{part}_{kind}" for part in ("in_proj", "out_proj", "fc1", "fc2") for kind in ("weight", "bias")
        )
        made[name] = np.zeros(shape, np.float32) if zero else seeded(name, tuple(shape), seed)
    return made


def state(case: str, shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """`tensors`, with the head that is tied to the embeddings if the case says so."""
    made = tensors(shapes, seed)
    if settings(case).get("share_decoder_input_output_embed"):
        made["decoder.output_projection.weight"] = made["decoder.embed_tokens.weight"]
    return made
