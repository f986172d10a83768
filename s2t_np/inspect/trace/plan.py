"""THE TABLE of stages: every name that a trace can hold, in order of computation, with its shape.

Nothing is computed here. Before a run the table gives the size of a trace and the stages that a pattern selects; after
it, the order of the stages. Names are the checkpoint's own where it has one: a stage named like a module of the
checkpoint (`encoder.layers.3.self_attn.q_proj`, `encoder.layers.3.fc1`) is that module's output. The others are

    features.*            the filterbank, stage by stage, and its tables (povey_window, mel_bank)
    *.glu, activation_fn  after the gate, after the ReLU
    *.attn_weights        softmax(Q K^T): (H, Q, S)
    *.context             the weighted sum of the values, before out_proj
    *_residual, *.output  the residual stream after self_attn or encoder_attn, and after the layer
    *.embed_scale         convolved features, or token embeddings, times sqrt(D)
    *.embeddings          the input of the first layer: embed_scale plus embed_positions
    steps.007.*           the eighth call of the decoder during the search, its first axis the K beams
    decoder.*             the best transcript once more, all its positions at once (teacher forcing)

`memory` and `logits` are second names of `encoder.layer_norm` and `lm_head`.

A compiled backend computes a block of a layer in one go. It has the stages of COMPILED; what lies inside a block
(q_proj, attn_weights, fc1) exists with backend numpy only.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from ...backend import NUMPY
from ...config import ModelConfig
from ...ensemble import Ensemble
from ...errors import OptionError
from ...features import frame_geometry
from ...model import S2T

ALIASES = {"memory": "encoder.layer_norm", "logits": "lm_head"}
COMPILED = (  # the stages that a compiled backend shows, as globs; those of a search have steps.NNN. before them
    *("samples", "features.log_mel", "features.cmvn"),
    *("encoder.conv.conv_layers.*.glu", "encoder.embeddings", "encoder.layers.*.output", "encoder.layer_norm"),
    *("decoder.input_ids", "decoder.embeddings", "decoder.layers.*_residual", "decoder.layers.*.output"),
    *("lm_head", "log_probs", "tokens", "parents"),
)
SHOWN = (  # a stage's name in the compiled code, as a regular expression, and its name in a trace
    (r"conv\.(\d+)", r"encoder.conv.conv_layers.\1.glu"),
    (r"embed_features", "encoder.embeddings"),
    (r"encoder\.(\d+)", r"encoder.layers.\1.output"),
    (r"embed_tokens", "decoder.embeddings"),
    (r"decoder\.(\d+)", r"decoder.layers.\1.output"),
    (r"decoder\.(\d+)\.(self_attn|encoder_attn)", r"decoder.layers.\1.\2_residual"),
)
TOKENS_PER_SECOND, MORE_TOKENS = 5, 10  # more than people speak, so that an estimate is seldom too small


class Stage(NamedTuple):
    """A stage is one line of the table."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Size(NamedTuple):
    """The numbers that shapes depend on, besides the model."""

    samples: int  # N
    tokens: int  # U, the best transcript's inputs
    beams: int  # K
    steps: int  # calls of the decoder


def of_the_search(options: dict) -> dict:
    """The options of S2T.generate that are fields of GenerationConfig."""
    return {name: value for name, value in options.items() if name not in ("prefix", "padded_length")}


def expected_size(model: S2T, samples: int, options: dict) -> Size:
    """A guess before the run: tokens by the length of the recording, cut off at max_length."""
    config = model.generation_config.replace(**of_the_search(options))
    guess = int(TOKENS_PER_SECOND * samples / model.feature_config.sampling_rate) + MORE_TOKENS
    tokens = max(1, min(guess, config.max_length - 1))
    single = config.do_sample and config.num_beams == 1
    return Size(samples, tokens, config.num_return_sequences if single else config.num_beams, tokens)


def trace_name(shown: str) -> str:
    """The name in a trace of a stage that the compiled code shows under a name of its own: "encoder.3" is one."""
    for pattern, name in SHOWN:
        if found := re.fullmatch(pattern, shown):
            return found.expand(name)
    return ALIASES[shown]


def is_readable(model: S2T) -> bool:
    """True if the model's encoder is the readable one, whose `ops` can be watched; others are compiled."""
    return inspect.unwrap(model.backend.encode) is NUMPY.encode


def is_available(model: S2T, name: str) -> bool:
    """True if the model's backend has the stage of that name: numpy has all."""
    bare = re.sub(r"^steps\.\d+\.", "", name)
    return is_readable(model) or any(fnmatchcase(bare, pattern) for pattern in COMPILED)


def stages(model: S2T, size: Size) -> list[Stage]:
    """The table for a model and a recording: the stages that the model's backend has."""
    return [stage for stage in all_stages(model, size) if is_available(model, stage.name)]


def check_arrangement(model: S2T) -> None:
    """Raise OptionError for a network whose layers are not those of the table, and for an ensemble."""
    if isinstance(model, Ensemble):
        raise OptionError("a trace follows one model, not an ensemble; name one of them")
    if unknown := model.config.unknown_to_transformers():
        raise OptionError(f"a trace follows the layers of the released models only; this network has {unknown}")


def all_stages(model: S2T, size: Size) -> list[Stage]:
    """The table of the readable model, which has every stage. Raises OptionError for a network of other layers."""
    check_arrangement(model)
    dtype = np.dtype(model.dtype)
    table = [("samples", (size.samples,), np.float32), *feature_stages(model, size.samples)]
    memory = table[-1][1][0]
    table += [(name, shape, dtype) for name, shape in encoder_stages(model, memory)]
    memory = table[-1][1][0]
    for i in range(size.steps):
        table += step_stages(model.config, i, size.beams, memory, dtype)
    table += decoder_stages(model.config, size.tokens, memory, dtype)
    return [Stage(name, shape, np.dtype(kind)) for name, shape, kind in table]


def feature_stages(model: S2T, samples: int) -> Iterator[tuple]:
    """(name, shape, dtype) from the samples to the encoder's input; float64 until the logarithm."""
    config = model.feature_config
    window, hop, fft_length = frame_geometry(config.sampling_rate)
    T, bins = max(0, 1 + (samples - window) // hop), config.num_mel_bins
    for name in ("frames", "remove_dc", "preemphasize"):
        yield f"features.{name}", (T, window), np.float64
    yield "features.povey_window", (window,), np.float64
    yield "features.windowed", (T, window), np.float64
    yield "features.power_spectrum", (T, fft_length // 2), np.float64
    yield "features.mel_bank", (fft_length // 2, bins), np.float64
    yield "features.mel", (T, bins), np.float64
    yield "features.log_mel", (T, bins), model.dtype
    yield "features.cmvn", (T, bins), model.dtype


def encoder_stages(model: S2T, frames: int) -> Iterator[tuple]:
    """(name, shape) from the first convolution to the memory."""
    config, S = model.config, frames
    for i in range(config.num_conv_layers):
        last = i == config.num_conv_layers - 1
        S, channels = (S - 1) // 2 + 1, 2 * config.d_model if last else config.conv_channels
        yield f"encoder.conv.conv_layers.{i}", (S, channels)
        yield f"encoder.conv.conv_layers.{i}.glu", (S, channels // 2)
    for name in ("embed_scale", "embed_positions", "embeddings"):
        yield f"encoder.{name}", (S, config.d_model)
    weights = {"self_attn": (config.encoder_attention_heads, S, S)}
    for i in range(config.encoder_layers):
        yield from layer_stages(f"encoder.layers.{i}", S, weights, config.d_model, config.encoder_ffn_dim)
    yield "encoder.layer_norm", (S, config.d_model)


def layer_stages(name: str, rows: int, weights: dict[str, tuple], D: int, F: int) -> Iterator[tuple]:
    """(name, shape) of one layer; `weights` are its attention blocks and the shapes of their weights."""
    for block, shape in weights.items():
        yield f"{name}.{block}_layer_norm", (rows, D)
        yield f"{name}.{block}.q_proj", (rows, D)
        keys = shape[-1] if block == "encoder_attn" else rows
        yield f"{name}.{block}.k_proj", (keys, D)
        yield f"{name}.{block}.v_proj", (keys, D)
        yield f"{name}.{block}.attn_weights", shape
        yield f"{name}.{block}.context", (rows, D)
        yield f"{name}.{block}.out_proj", (rows, D)
        yield f"{name}.{block}_residual", (rows, D)
    yield f"{name}.final_layer_norm", (rows, D)
    yield f"{name}.fc1", (rows, F)
    yield f"{name}.activation_fn", (rows, F)
    yield f"{name}.fc2", (rows, D)
    yield f"{name}.output", (rows, D)


def decoder_rows(config: ModelConfig, rows: int, weights: dict[str, tuple], dtype) -> Iterator[tuple]:
    """(name, shape, dtype) of the decoder for U tokens or K beams."""
    yield "decoder.input_ids", (rows,), np.int64
    for name in ("embed_tokens", "embed_scale", "embed_positions", "embeddings"):
        yield f"decoder.{name}", (rows, config.d_model), dtype
    for i in range(config.decoder_layers):
        layer = layer_stages(f"decoder.layers.{i}", rows, weights, config.d_model, config.decoder_ffn_dim)
        yield from ((*stage, dtype) for stage in layer)
    yield "decoder.layer_norm", (rows, config.d_model), dtype
    yield "lm_head", (rows, config.vocab_size), dtype
    yield "log_probs", (rows, config.vocab_size), np.float32


def decoder_stages(config: ModelConfig, tokens: int, memory: int, dtype) -> Iterator[tuple]:
    """The decoder over a whole transcript, and the transcript."""
    heads = config.decoder_attention_heads
    weights = {"self_attn": (heads, tokens, tokens), "encoder_attn": (heads, tokens, memory)}
    yield from decoder_rows(config, tokens, weights, dtype)
    yield "tokens", (tokens + 1,), np.int64


def step_stages(config: ModelConfig, step: int, beams: int, memory: int, dtype) -> Iterator[tuple]:
    """The stages of one decoder step in the search. Keys and values of the memory were made before the first."""
    heads, prefix = config.decoder_attention_heads, f"steps.{step:03d}."
    weights = {"self_attn": (beams, heads, step + 1), "encoder_attn": (beams, heads, memory)}
    made_before = ("encoder_attn.k_proj", "encoder_attn.v_proj")
    for name, shape, kind in decoder_rows(config, beams, weights, dtype):
        if not name.endswith(made_before):
            yield prefix + name, shape, kind
    yield f"{prefix}parents", (beams,), np.int64


def matches(name: str, pattern: str) -> bool:
    """True if a pattern selects a stage: as a glob, as its name, or as the beginning of its name up to a dot."""
    pattern = ALIASES.get(pattern, pattern)
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def chosen(model: S2T, size: Size, patterns: Sequence[str] | None) -> tuple[list[Stage], Callable[[str], bool]]:
    """The table, and its `selection`. Raises OptionError, also for stages that only backend numpy has."""
    every = all_stages(model, size)
    table = [stage for stage in every if is_available(model, stage.name)]
    try:
        return table, selection(table, patterns)
    except OptionError:
        selection(every, patterns)  # raises it again for what no backend has
        raise OptionError(
            f"stages {patterns!r:.80} lie inside a block that backend {model.backend.name!r} computes in one go; "
            'trace them with backend "numpy"'
        ) from None


def selection(table: Sequence[Stage], patterns: Sequence[str] | None) -> Callable[[str], bool]:
    """A function that tells from a name whether to keep a stage; None keeps all. Raises OptionError for no match."""
    if patterns is None:
        return lambda name: True
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in patterns:
        if not any(matches(stage.name, pattern) for stage in table):
            raise OptionError(
                f"stages {pattern!r:.60} match nothing this model computes; names look like features.mel, "
                "encoder.layers.0.self_attn.attn_weights, decoder.layers.*.encoder_attn, steps.003, memory, logits"
            )
    return lambda name: any(matches(name, pattern) for pattern in patterns)


def estimate(table: Sequence[Stage], wanted: Callable[[str], bool]) -> int:
    """Bytes of the wanted stages."""
    return sum(stage.size for stage in table if wanted(stage.name))
