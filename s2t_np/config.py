"""The JSON files of a checkpoint folder as frozen dataclasses: what each field means, and what it may hold.

    config.json               ModelConfig        the shape of the network
    generation_config.json    GenerationConfig   how to search (older checkpoints keep these in config.json)
    preprocessor_config.json  FeatureConfig      how sound becomes features
    tokenizer_config.json     TokenizerConfig    how ids become text
    s2t_np.json               UtteranceConfig    which utterances the model knows (a file of ours, which need not exist)

Field names are those of the files. Fields that inference does not use (dropout rates, versions, ...)
are ignored; fields that are here are checked, and a wrong one is refused by name.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ModelError, OptionError
from .generation_refusals import refuse_unsupported

SEARCHES = ("transformers", "fairseq")
UTTERANCE_FILE = "s2t_np.json"
MAX_JSON_BYTES = 8 << 20  # parsed, 30 times as much; the largest real file, vocab.json, has 0.2 MB
# Upper bounds far above every released model, so that a wrong or hostile number is refused before anything is built:
MOST_LAYERS = 1000
MOST_UNITS = 1 << 17  # width of any layer
MOST_BINS = 1000
MOST_TOKENS = 100_000  # length of a transcript
MOST_ROWS = 1024  # beams or draws side by side; their memory would be exhausted before the answer
HIGHEST_RATE = 768_000  # Hz


def rule(default: Any, expected: str, accepts: Callable[[Any], bool], optional: bool = False):
    """A dataclass field that knows what it may hold and how to say so; `optional` lets null through as well."""

    def check(value):
        return value is None if value is None and optional else value is not None and accepts(value)

    return dataclasses.field(default=default, metadata={"expected": expected + " or null" * optional, "check": check})


def is_integer(value, low=0, high=2**31 - 1):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_real(value, low=-sys.float_info.max, high=sys.float_info.max):
    """A finite number in a range: an int may be too large for a float, and NaN compares False."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_integers(value, low=0, high=2**31 - 1):
    return isinstance(value, list | tuple) and all(is_integer(v, low, high) for v in value)


def integer(default, low=0, high=2**31 - 1, optional=False):
    return rule(default, f"a whole number from {low} to {high}", lambda v: is_integer(v, low, high), optional)


def flag(default, optional=False):
    return rule(default, "true or false", lambda v: isinstance(v, bool), optional)


def text(default, optional=False):
    return rule(default, "a string", lambda v: isinstance(v, str), optional)


def side(default):
    return rule(default, '"right" or "left"', lambda v: v in ("right", "left"))


def real(default, low, high):
    return rule(default, f"a number from {low:g} to {high:g}", lambda v: is_real(v, low, high))


def is_texts(value):
    return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)


def numbers(default):
    return rule(default, "a list of numbers", lambda v: isinstance(v, tuple | list) and all(map(is_real, v)), True)


def token_ids(default):
    return rule(default, "a list of token ids", is_integers, optional=True)


def bounded_number(default, help: str, low: float = 0.0, optional: bool = False):
    """An option: a number of at least `low`, with a line of help for the command."""
    checked = rule(default, f"a number of at least {low:g}", lambda v: is_real(v) and v >= low, optional)
    return dataclasses.field(default=default, metadata={**checked.metadata, "help": help})


def show(value) -> str:
    """A value for a message: short, and never an error of its own (repr refuses huge integers and deep nesting)."""
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):
        return f"a huge {type(value).__name__}"


def check_fields(config, source: str, error: type[Exception] = ModelError) -> None:
    """Hold every field of a dataclass instance to its rule, or raise `error` naming the source and the field."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if "check" in field.metadata and not field.metadata["check"](value):
            raise error(f"{source}: {field.name} is {show(value)}, expected {field.metadata['expected']}")


def from_dict(cls, data: dict, source: str):
    """Build the dataclass `cls` from the fields of `data` that it knows, and check them. Raises ModelError."""
    known = {f.name for f in dataclasses.fields(cls)}
    config = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known})
    check_fields(config, source)
    return config


@dataclass(frozen=True)
class ModelConfig:
    """config.json: the shape of the network (defaults: s2t-small)."""

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
    activation_function: str = rule("relu", '"relu", the only one S2T was released with', lambda v: v == "relu")
    scale_embedding: bool = flag(True)  # multiply embeddings and subsampled features by sqrt(D)
    tie_word_embeddings: bool = flag(True)  # the vocabulary projection is the embedding table
    max_source_positions: int = integer(6000, 1)  # sizes a table upstream; no limit here
    max_target_positions: int = integer(1024, 1)
    bos_token_id: int = integer(0, optional=True)
    pad_token_id: int = integer(1)
    eos_token_id: int = integer(2)
    decoder_start_token_id: int = integer(2)

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
        for side in ("encoder", "decoder"):
            heads = getattr(self, f"{side}_attention_heads")
            if self.d_model % heads:
                raise ModelError(f"{source}: d_model {self.d_model} does not divide by {side}_attention_heads {heads}")
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
class GenerationConfig:
    """The search options; names, meaning and defaults are those of transformers' GenerationConfig."""

    max_length: int = integer(200, 1, MOST_TOKENS)  # tokens in all, counting the start token
    max_new_tokens: int | None = integer(
        None, 1, MOST_TOKENS, optional=True
    )  # replaces max_length: tokens after the prefix
    min_length: int = integer(0, 0, MOST_TOKENS)  # no EOS before this many tokens, counting the start token
    min_new_tokens: int | None = integer(None, 0, MOST_TOKENS, optional=True)
    num_beams: int = integer(1, 1, MOST_ROWS)
    num_return_sequences: int = integer(1, 1, MOST_ROWS)  # n-best
    early_stopping: bool | str = rule(False, 'true, false or "never"', lambda v: isinstance(v, bool) or v == "never")
    length_penalty: float = rule(1.0, "a number", is_real)
    no_repeat_ngram_size: int = integer(0)
    repetition_penalty: float = real(1.0, 1e-6, 1e6)
    suppress_tokens: tuple[int, ...] | None = token_ids(None)
    begin_suppress_tokens: tuple[int, ...] | None = token_ids(None)
    forced_bos_token_id: int | None = integer(None, optional=True)  # the first generated token
    forced_eos_token_id: int | None = integer(None, optional=True)  # the token at max_length
    do_sample: bool = flag(False)
    temperature: float = real(1.0, 1e-6, 1e6)
    top_k: int = integer(50)  # 0 keeps all
    top_p: float = rule(1.0, "a number in (0, 1]", lambda v: is_real(v) and 0 < v <= 1)
    search: str = rule(
        "transformers", '"transformers" or "fairseq"', lambda v: v in SEARCHES
    )  # whose rules; a field of ours
    unk_penalty: float = rule(
        0.0, "a number", is_real
    )  # taken from <unk>'s log-probability in fairseq's search; a field of ours
    seed: int | None = integer(None, optional=True)  # makes sampling repeatable; not a field of transformers
    eos_token_id: int = integer(2)
    pad_token_id: int = integer(1)
    decoder_start_token_id: int = integer(2)

    @classmethod
    def from_dict(cls, data: dict, source: str = "generation_config.json") -> "GenerationConfig":
        """Check and build; null means "not set" for any field. Raises ModelError."""
        refuse_unsupported(data, source)
        return from_dict(cls, {k: v for k, v in data.items() if v is not None}, source)

    def replace(self, **options) -> "GenerationConfig":
        """A copy with some fields changed. Asking for samples without naming `num_beams` means single paths.

        Raises OptionError for an unknown name or an invalid value.
        """
        if options.get("do_sample"):
            options = {"num_beams": 1} | options
        known = {f.name for f in dataclasses.fields(self)}
        if unknown := sorted(set(options) - known):
            raise OptionError(f"unknown generation option {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        changed = dataclasses.replace(self, **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
        check_fields(changed, "generation options", OptionError)
        return changed


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
    try:
        data = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ModelError(f"{source}: not valid JSON ({error or 'nested too deeply'}); download it again") from None
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
    return parse_json(read_bounded(path, MAX_JSON_BYTES, "a small JSON file"), str(path))


def write_json(path: Path, data: dict) -> None:
    """Write one JSON object: indented, UTF-8, in the order of `data`. Raises OSError."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
