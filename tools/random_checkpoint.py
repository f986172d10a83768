#!/usr/bin/env python3
"""A checkpoint folder of any shape with seeded random weights: parity, timing and tests without the released files.

    python -m tools.random_checkpoint small|medium|large|tiny|CONFIG.json FOLDER [--seed 0] [--dtype float32|float16]

The folder holds what a released one holds: the JSON files, vocab.json, a sentencepiece model, model.safetensors.
Everything is a function of shape and seed alone: the numbers are drawn from the raw bits of PCG64, whose stream numpy
promises never to change, so golden files need not store the weights that made them.

Weights drawn at random say nothing, but they can say it in a lively way. Attention is sharp enough to depend on the
sound, embeddings are no larger than positions, signs in the last normalisation keep a tied head from repeating its
input, and its offset gives EOS a fair chance and <s>, <pad>, <unk> none, as training would.
"""

import argparse
import dataclasses
import json
import struct
from itertools import chain, islice, product
from pathlib import Path

import numpy as np

from s2t_np.config import ModelConfig
from s2t_np.settings.architecture import ArchitectureOptions
from s2t_np.weights import expected_shapes

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0, 1, 2, 3 in every released vocabulary
EOS = 2
SHARPNESS = np.float32(4)  # gives logits a standard deviation of 3: some tokens are likely, none is certain
SHAPES = {
    "small": {},
    "medium": {"d_model": 512, "encoder_attention_heads": 8, "decoder_attention_heads": 8},
    "large": {
        "d_model": 1024,
        "encoder_attention_heads": 16,
        "decoder_attention_heads": 16,
        "encoder_ffn_dim": 4096,
        "decoder_ffn_dim": 4096,
    },
    "tiny": {
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "conv_channels": 24,
        "vocab_size": 64,
    },
}
LANES = {  # the kernels' tests: sizes around the 16 lanes of a vector and the 32 columns of a panel
    "vocab_size": 101,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 72,
    "conv_channels": 44,
    "input_feat_per_channel": 20,
}
VARIANTS = {  # the family of small models that all tests and golden files draw from: name -> changes to the tiny shape
    "tied": {},
    "untied": {"tie_word_embeddings": False, "vocab_size": 51, "d_model": 24, "decoder_attention_heads": 3},
    "odd": {
        "d_model": 15,
        "encoder_attention_heads": 5,
        "decoder_attention_heads": 3,
        "vocab_size": 37,
        "conv_kernel_sizes": [3, 7],
        "scale_embedding": False,
        "decoder_layers": 3,
    },
    "one-conv": {"num_conv_layers": 1, "conv_kernel_sizes": [5], "decoder_layers": 1, "encoder_layers": 1},
    "three-conv": {"num_conv_layers": 3, "conv_kernel_sizes": [5, 3, 5], "decoder_layers": 1, "encoder_layers": 1},
    "unscaled": {"scale_embedding": False, "encoder_ffn_dim": 7, "decoder_ffn_dim": 5},
    "no-layers": {"encoder_layers": 0, "decoder_layers": 0},
    "lanes-even": LANES
    | {"d_model": 64, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 640},
    "lanes-odd": LANES
    | {"d_model": 36, "encoder_attention_heads": 3, "decoder_attention_heads": 4, "encoder_ffn_dim": 50},
    "lanes-untied": LANES
    | {"d_model": 32, "encoder_attention_heads": 1, "decoder_attention_heads": 2, "tie_word_embeddings": False},
}
PREPROCESSOR = {
    "do_ceptral_normalize": True,
    "normalize_means": True,
    "normalize_vars": True,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
    "sampling_rate": 16000,
}
TOKENIZER = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "do_upper_case": False,
    "do_lower_case": True,
    "tgt_lang": None,
    "lang_codes": None,
}
GENERATION = {
    "bos_token_id": 0,
    "decoder_start_token_id": 2,
    "early_stopping": True,
    "eos_token_id": 2,
    "max_length": 200,
    "num_beams": 5,
    "pad_token_id": 1,
}


def shape_config(shape: str, **changes) -> dict:
    """config.json as a dictionary: a name of SHAPES or the path of a config.json, with some fields changed."""
    if shape in SHAPES:
        ours = {field.name for field in dataclasses.fields(ArchitectureOptions)}  # no words of config.json
        data = {k: v for k, v in dataclasses.asdict(ModelConfig(**SHAPES[shape])).items() if k not in ours}
    else:
        data = json.loads(Path(shape).read_text(encoding="utf-8"))
    return data | {"architectures": ["Speech2TextForConditionalGeneration"], "is_encoder_decoder": True} | changes


def variant_config(variant: str, **changes) -> dict:
    """config.json of one of the VARIANTS, with some fields changed."""
    return shape_config("tiny", **VARIANTS[variant] | changes)


def uniform(bits: np.random.PCG64, shape: tuple[int, ...], mean: float, deviation: float) -> np.ndarray:
    """Numbers evenly spread around `mean` with that standard deviation, from the top 24 of each 64 bits: float32."""
    unit = (bits.random_raw(int(np.prod(shape))) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    return ((unit - np.float32(0.5)) * np.float32(12**0.5 * deviation) + np.float32(mean)).reshape(shape)


def spread(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and standard deviation of a tensor by its name."""
    if name.endswith("layer_norm.weight"):
        return 1.0, 0.1
    if name.endswith(".bias"):
        return 0.0, 0.05
    gain = 0.7 if name.endswith(("embed_tokens.weight", "lm_head.weight")) else 1.0
    gain = 2.0 if name.endswith(("q_proj.weight", "k_proj.weight")) else gain
    return 0.0, gain / float(np.prod(shape[1:])) ** 0.5  # inputs of variance 1 give outputs of variance gain**2


def steer(tensors: dict[str, np.ndarray], bits: np.random.PCG64) -> None:
    """Set the decoder's last normalisation so that its head makes texts of some length: see the top of the file."""
    norm = "model.decoder.layer_norm"
    head = tensors.get("lm_head.weight", tensors["model.decoder.embed_tokens.weight"])
    signs = np.where(uniform(bits, tensors[f"{norm}.weight"].shape, 0, 1) > 0, np.float32(1), np.float32(-1))
    tensors[f"{norm}.weight"] *= SHARPNESS * signs
    wanted = np.full(len(SPECIAL), -5.0)
    wanted[EOS] = np.log(len(head)) - 0.5
    rows = head[: len(SPECIAL)].astype(np.float64)
    offset = np.linalg.solve(rows @ rows.T, wanted) @ rows  # the shortest that shifts their logits by as much as wanted
    tensors[f"{norm}.bias"] = (np.round(offset * 1024) / 1024).astype(np.float32)  # a grid: the same on every machine


def random_tensors(config: ModelConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Every tensor a checkpoint of this config holds, by name, in float32."""
    bits = np.random.PCG64(seed)
    tensors = {name: uniform(bits, shape, *spread(name, shape)) for name, shape in expected_shapes(config).items()}
    steer(tensors, bits)
    return tensors


def vocabulary(size: int) -> list[str]:
    """Pieces that could be of a language: special ones, letters, then syllables and words of two or three of them."""
    syllables = ["".join(pair) for pair in product("bdfgklmnprstvz", "aeiou")]
    letters = ["\u2581", *"etaoinshrdlucmfwypvbgkjqxz'"]
    words = (start + "".join(w) for n in (1, 2, 3) for start in ("\u2581", "") for w in product(syllables, repeat=n))
    return list(islice(chain(SPECIAL, letters, words), size))


def varint(number: int) -> bytes:
    """Protocol buffers' variable-length integer: seven bits a byte, the lowest first."""
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: bytes | int | float) -> bytes:
    """One protocol buffer field: bytes with their length, an integer as a varint, a float in 4 bytes."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def sentencepiece_model(pieces: list[str], kind: str = "unigram") -> bytes:
    """A unigram or char model of these pieces, longer ones preferred, as sentencepiece_model.proto lays it out."""
    kinds = dict.fromkeys(SPECIAL, 3) | {"<unk>": 2}  # 1 normal, 2 unknown, 3 control, 4 user-defined
    kinds |= {piece: 4 for piece in pieces if piece.startswith("<lang:")}
    message = b""
    for piece in pieces:
        score = 0.0 if piece in SPECIAL else -4.0 - 1.0 / len(piece)
        message += field(1, field(1, piece.encode()) + field(2, score) + field(3, kinds.get(piece, 1)))
    trainer = (
        field(3, {"unigram": 1, "char": 4}[kind])
        + field(4, len(pieces))
        + field(40, 3)
        + field(41, 0)
        + field(42, EOS)
        + field(43, 1)
    )
    normalizer = field(1, b"identity") + field(3, 1) + field(4, 1) + field(5, 1)
    return message + field(2, trainer) + field(3, normalizer)


def write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_checkpoint(folder: Path, config_json: dict, seed: int = 0, dtype: str = "float32") -> Path:
    """Write the whole folder; return it. The weights are those of `random_tensors`, rounded to `dtype`."""
    from s2t_np.checkpoint import safetensors

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = ModelConfig.from_dict(config_json)
    pieces = vocabulary(config.vocab_size)
    bins = config.input_feat_per_channel
    write_json(folder / "config.json", config_json)
    write_json(folder / "generation_config.json", GENERATION)
    write_json(folder / "preprocessor_config.json", PREPROCESSOR | {"num_mel_bins": bins, "feature_size": bins})
    write_json(folder / "tokenizer_config.json", TOKENIZER)
    write_json(folder / "special_tokens_map.json", {k: v for k, v in TOKENIZER.items() if k.endswith("_token")})
    write_json(folder / "vocab.json", {piece: i for i, piece in enumerate(pieces)})
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model(pieces))
    tensors = {name: tensor.astype(dtype) for name, tensor in random_tensors(config, seed).items()}
    safetensors.write(folder / "model.safetensors", tensors)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    options = parser.parse_args()
    folder = write_checkpoint(options.folder, shape_config(options.shape), options.seed, options.dtype)
    print(f"{folder}: {options.shape}, seed {options.seed}, {options.dtype}")


if __name__ == "__main__":
    main()
