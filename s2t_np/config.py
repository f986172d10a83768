"""The JSON files of a checkpoint folder as frozen dataclasses: what each field means, and what it may hold.

    config.json               ModelConfig        the shape of the network
    generation_config.json    GenerationConfig   how to search (older checkpoints keep these in config.json)
    preprocessor_config.json  FeatureConfig      how sound becomes features
    tokenizer_config.json     TokenizerConfig    how ids become text
    s2t_np.json               UtteranceConfig    which utterances the model knows (a file of ours, which need not exist)

Field names are those of the files. Fields that inference does not use (dropout rates, versions, ...)
are ignored; fields that are here are checked, and a wrong one is refused by name.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from .activations import ACTIVATIONS
from .errors import ModelError
from .settings.architecture import ArchitectureOptions
from .settings.fields import (
    bounded_number,
    flag,
    from_dict,
    integer,
    is_integers,
    is_real,
    is_texts,
    numbers,
    real,
    rule,
    show,
    side,
    text,
)
from .settings.generation_config import GenerationConfig
from .settings.hub_places import download_again

__all__ = [
    "FeatureConfig",
    "GenerationConfig",
    "ModelConfig",
    "TokenizerConfig",
    "UtteranceConfig",
    "parse_json",
    "read_bounded",
    "read_json",
    "write_json",
]

UTTERANCE_FILE = "s2t_np.json"
MAX_JSON_BYTES = 8 << 20  # parsed, 30 times as much; the largest real file, vocab.json, has 0.2 MB
# Upper bounds far above every released model, so that a wrong or hostile number is refused before anything is built:
MOST_LAYERS = 1000
MOST_UNITS = 1 << 17  # width of any layer
MOST_BINS = 1000
HIGHEST_RATE = 768_000  # Hz


@dataclass(frozen=True)
class ModelConfig(ArchitectureOptions):
    """config.json: the shape of the network (defaults: s2t-small). What only fairseq's models use is in its base."""

    model_type: str = text("speech_to_text")
    vocab_size: int = integer(10000, 1, 1 << 20)  # V
    d_model: int = integer(256, 4, MOST_UNITS)  # D; the sinusoids need half of it to be more than one
    encoder_layers: int = integer(12, 0, MOST_LAYERS)
    decoder_layers: int = integer(6, 0, MOST_LAYERS)
    encoder_attention_heads: int = integer(4, 1, MOST_UNITS)  # H
    decoder_attention_heads: int = integer(4, 1, MOST_UNITS)
    encoder_ffn_dim: int = integer(2048, 1, MOST_UNITS)  # F
    decoder_ffn_dim: int = integer(2048, 1, MOST_UNITS)
    num_conv_layers: int = integer(2, 1, 16)
    conv_kernel_sizes: tuple[int, ...] = rule(
        (5, 5), "a list of odd kernel widths up to 999", lambda v: is_integers(v, 1, 999)
    )
    conv_channels: int = integer(1024, 2, MOST_UNITS)  # C of the inner convolutions, before the gate halves it
    input_feat_per_channel: int = integer(80, 1, MOST_BINS)  # M
    input_channels: int = integer(1, 1, 64)
    activation_function: str = rule(
        "relu",
        "relu, gelu, silu, tanh, linear or another that activations.py has",
        lambda v: isinstance(v, str) and v in ACTIVATIONS,
    )
    scale_embedding: bool = flag(True)  # multiply embeddings and subsampled features by sqrt(D)
    tie_word_embeddings: bool = flag(True)  # the vocabulary projection is the embedding table
    max_source_positions: int = integer(6000, 1)  # sizes a table upstream; no limit here
    max_target_positions: int = integer(1024, 1)
    bos_token_id: int = integer(0, optional=True)
    pad_token_id: int = integer(1)
    eos_token_id: int = integer(2)
    decoder_start_token_id: int = integer(2)

    @property
    def decoder_width(self) -> int:
        """D of the decoder."""
        return self.decoder_embed_dim or self.d_model

    def unlike_released(self) -> str:
        """The options of the network that no released model has, as "activation_function='gelu', ..."; or nothing."""
        activation = self.activation_function
        own = [] if activation == "relu" else [f"activation_function={activation!r}"]
        return ", ".join([*own, *filter(None, [self.unknown_to_transformers()])])

    @property
    def head_width(self) -> int:
        """Width of the rows that the vocabulary projection takes."""
        return self.decoder_output_dim or self.decoder_width

    @classmethod
    def from_dict(cls, data: dict, source: str = "config.json") -> "ModelConfig":
        """Check and build. Raises ModelError for another architecture or a shape that cannot be."""
        found = data.get("model_type")
        if found != "speech_to_text":
            raise ModelError(f"{source}: model_type is {show(found)}, expected 'speech_to_text' (an S2T checkpoint)")
        config = from_dict(cls, data, source)
        config.check_shape(source)
        return config

    def check_shape(self, source: str) -> None:
        """Hold the fields to each other. Raises ModelError."""
        for name, width in (("encoder", self.d_model), ("decoder", self.decoder_width)):
            heads = getattr(self, f"{name}_attention_heads")
            if width % heads:
                raise ModelError(f"{source}: d_model {width} does not divide by {name}_attention_heads {heads}")
        if len(self.conv_kernel_sizes) != self.num_conv_layers:
            raise ModelError(
                f"{source}: conv_kernel_sizes has {len(self.conv_kernel_sizes)} entries, expected num_conv_layers = "
                f"{self.num_conv_layers}"
            )
        if any(k % 2 == 0 for k in self.conv_kernel_sizes) or self.conv_channels % 2:
            raise ModelError(f"{source}: conv_kernel_sizes must be odd and conv_channels even")
        for name in ("bos_token_id", "pad_token_id", "eos_token_id", "decoder_start_token_id"):
            if (getattr(self, name) or 0) >= self.vocab_size:
                raise ModelError(f"{source}: {name} {getattr(self, name)} is outside vocab_size {self.vocab_size}")


@dataclass(frozen=True)
class FeatureConfig:
    """preprocessor_config.json: Kaldi filterbank and cepstral mean and variance normalisation."""

    num_mel_bins: int = integer(80, 1, MOST_BINS)  # M
    feature_size: int = integer(80, 1, MOST_BINS)  # the same number under upstream's general name
    sampling_rate: int = integer(16000, 100, HIGHEST_RATE)  # Hz
    do_ceptral_normalize: bool = flag(True)  # upstream's spelling
    normalize_means: bool = flag(True)
    normalize_vars: bool = flag(True)
    padding_value: float = rule(0.0, "a number", is_real)
    padding_side: str = side("right")
    return_attention_mask: bool = flag(True)
    global_mean: tuple[float, ...] | None = numbers(None)  # (M,) of fairseq's global CMVN, instead of the utterance's
    global_std: tuple[float, ...] | None = numbers(None)  # (M,); both are fields of ours
    one_pass_variance: bool = flag(False)  # E[x^2] - mean^2 in float32, as fairseq computes it; a field of ours
    dither: float = rule(0.0, "0: no noise is added to the sound here", lambda v: is_real(v) and v == 0)
    do_normalize: bool | None = flag(None, optional=True)  # kept for re-saving; upstream reads it nowhere

    @classmethod
    def from_dict(cls, data: dict, source: str = "preprocessor_config.json") -> "FeatureConfig":
        """Check and build. Raises ModelError."""
        return from_dict(cls, data, source)

    @classmethod
    def from_folder(cls, folder: Path) -> "FeatureConfig":
        """From preprocessor_config.json, or the processor_config.json that transformers 5 writes. Raises ModelError."""
        path = folder / "preprocessor_config.json"
        if not path.exists() and (folder / "processor_config.json").exists():
            path = folder / "processor_config.json"
        data = read_json(path)
        inner = data.get("feature_extractor")
        return cls.from_dict(inner if isinstance(inner, dict) else data, str(path))


@dataclass(frozen=True)
class TokenizerConfig:
    """tokenizer_config.json: the special pieces, the case of the text, the target languages."""

    bos_token: str = text("<s>")
    eos_token: str = text("</s>")
    unk_token: str = text("<unk>")
    pad_token: str = text("<pad>")
    do_upper_case: bool = flag(False)
    do_lower_case: bool = flag(False)  # kept for re-saving; upstream reads it nowhere
    tgt_lang: str | None = text(None, optional=True)
    clean_up_tokenization_spaces: bool | None = flag(False, optional=True)  # close the space before punctuation
    padding_side: str = side("right")
    truncation_side: str = side("right")
    model_max_length: float = bounded_number(int(1e30), "tokens that truncation leaves; as large as this: no limit", 1)
    lang_codes: str | None = text(None, optional=True)  # "mustc": pieces <lang:XX> choose the target language
    languages: tuple[str, ...] | None = rule(None, "a list of languages", is_texts, optional=True)  # a field of ours

    @classmethod
    def from_dict(cls, data: dict, source: str = "tokenizer_config.json") -> "TokenizerConfig":
        """Check and build. Raises ModelError; a token given as {"content": ...} (newer files) is unwrapped."""
        unwrapped = {k: v["content"] if isinstance(v, dict) and "content" in v else v for k, v in data.items()}
        return from_dict(cls, unwrapped, source)


@dataclass(frozen=True)
class UtteranceConfig:
    """s2t_np.json, a file of ours that transformers ignores: which utterances a model knows."""

    longest_utterance: float = real(30.0, 5, 3600)  # seconds
    logprob_threshold: float = real(-1.0, -1000, 0)

    @classmethod
    def from_folder(cls, folder: Path) -> "UtteranceConfig":
        """From s2t_np.json; the defaults if there is no such file. Raises ModelError."""
        path = folder / UTTERANCE_FILE
        return from_dict(cls, read_json(path), str(path)) if path.exists() else cls()


def _no_duplicates(pairs):
    """json.loads hook: a key given twice is an ambiguity, not a choice."""
    data = dict(pairs)
    if len(data) != len(pairs):
        seen = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))
        raise ValueError(f"key {twice!r:.80} is given twice")
    return data


def parse_json(raw: bytes, source: str) -> dict:
    """A JSON object from its bytes. Raises ModelError for anything else, with the reason."""
    if not raw.strip(b"\0"):
        raise ModelError(f"{source}: not valid JSON ({'zeros only' if raw else 'it is empty'})")
    try:
        data = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ModelError(f"{source}: not valid JSON ({error or 'nested too deeply'})") from None
    if not isinstance(data, dict):
        raise ModelError(f"{source}: holds a {type(data).__name__}, expected a JSON object")
    return data


def read_bounded(path: Path, limit: int, expected: str) -> bytes:
    """A file's bytes, if there are no more than `limit`. Raises ModelError, saying what was `expected`."""
    data = bytearray()
    try:
        with open(path, "rb") as file:
            while len(data) <= limit and (part := file.read(1 << 20)):  # read(limit) would allocate all of it
                data += part
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > limit:
        raise ModelError(f"{path}: larger than {limit >> 20} MB, expected {expected}")
    return bytes(data)


def read_json(path: Path) -> dict:
    """Read one JSON object from a file of bounded size. Raises ModelError."""
    raw = read_bounded(path, MAX_JSON_BYTES, "a small JSON file")
    try:
        return parse_json(raw, str(path))
    except ModelError as error:
        raise ModelError(f"{error}; {download_again(path)}") from None


def write_json(path: Path, data: dict) -> None:
    """Write one JSON object: indented, UTF-8, in the order of `data`. Raises OSError."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
