"""The four JSON files: the 24 released ones read as they are, every kind of malformed one refused by name."""

import json
import random
import time

import pytest

from s2t_np.config import (
    MAX_JSON_BYTES,
    FeatureConfig,
    GenerationConfig,
    ModelConfig,
    TokenizerConfig,
    parse_json,
    read_json,
)
from s2t_np.errors import ModelError, OptionError
from s2t_np.settings.fields import from_dict
from tests.support.paths import CHECKPOINT_CONFIGS, DIGITS, needs_shared

CLASSES = {
    "config.json": ModelConfig,
    "generation_config.json": GenerationConfig,
    "preprocessor_config.json": FeatureConfig,
    "tokenizer_config.json": TokenizerConfig,
}
SMALL = {"d_model": 256, "heads": 4, "ffn": 2048, "vocab_size": 10000, "tied": True}
RELEASED = {  # the shapes of the papers' models, by folder
    "s2t-small-librispeech-asr": SMALL,
    "s2t-medium-librispeech-asr": SMALL | {"d_model": 512, "heads": 8},
    "s2t-large-librispeech-asr": SMALL | {"d_model": 1024, "heads": 16, "ffn": 4096},
    "s2t-small-mustc-en-es-st": SMALL | {"vocab_size": 8000, "tied": False},
    "s2t-small-covost2-fr-en-st": SMALL | {"vocab_size": 277, "tied": False, "rate": 48000},
    "s2t-medium-mustc-multilingual-st": SMALL | {"d_model": 512, "heads": 8, "tied": False, "lang_codes": "mustc"},
}
MODEL = {"model_type": "speech_to_text"}


def load(folder, name: str):
    return CLASSES[name].from_dict(read_json(folder / name), str(folder / name))


@needs_shared
@pytest.mark.parametrize("name", RELEASED)
def test_released_files(name):
    folder, expected = CHECKPOINT_CONFIGS / name, RELEASED[name]
    assert {path.name for path in folder.iterdir()} == set(CLASSES)
    model = load(folder, "config.json")
    found = {"d_model": model.d_model, "vocab_size": model.vocab_size, "tied": model.tie_word_embeddings}
    found |= {"heads": model.encoder_attention_heads, "ffn": model.encoder_ffn_dim}
    assert found == {key: expected[key] for key in found}
    assert (model.decoder_attention_heads, model.decoder_ffn_dim) == (expected["heads"], expected["ffn"])
    assert (model.encoder_layers, model.decoder_layers) == (12, 6)
    assert (model.conv_channels, model.conv_kernel_sizes, model.input_feat_per_channel) == (1024, (5, 5), 80)
    assert model.scale_embedding and model.decoder_start_token_id == 2
    generation = load(folder, "generation_config.json")
    assert (generation.num_beams, generation.max_length, generation.early_stopping) == (5, 200, True)
    assert generation == GenerationConfig.from_dict(read_json(folder / "config.json"))
    features = load(folder, "preprocessor_config.json")
    assert (features.num_mel_bins, features.sampling_rate) == (80, expected.get("rate", 16000))
    assert features.do_ceptral_normalize and features.normalize_means and features.normalize_vars
    tokenizer = load(folder, "tokenizer_config.json")
    assert (tokenizer.lang_codes, tokenizer.tgt_lang) == (expected.get("lang_codes"), None)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.do_upper_case) == ("<s>", "</s>", False)


@needs_shared
def test_there_are_24_released_files():
    assert {path.name for path in CHECKPOINT_CONFIGS.iterdir()} == set(RELEASED)
    assert len(list(CHECKPOINT_CONFIGS.glob("*/*.json"))) == 24


def test_the_bundled_files():
    assert load(DIGITS, "config.json").vocab_size == 30
    assert load(DIGITS, "generation_config.json").num_beams == 5
    assert load(DIGITS, "preprocessor_config.json").num_mel_bins == 80
    assert load(DIGITS, "tokenizer_config.json").lang_codes is None


def deep(depth: int) -> str:
    return '{"d_model": ' + "[" * depth + "]" * depth + "}"


GOOD = json.dumps(MODEL | {"vocab_size": 100, "name": "ß▁"}, ensure_ascii=False)
BROKEN = {
    "empty": b"",
    "blank": b" \n\t",
    "zero bytes": b"\0" * 64,
    "binary": random.Random(1).randbytes(4096),
    "UTF-8 cut inside a letter": GOOD.encode()[: GOOD.encode().index("▁".encode()) + 1],
    "bad UTF-8": b'{"model_type": "\xff"}',
    "overlong UTF-8": b'{"model_type": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"model_type": "\xed\xa0\x80"}',
    "Latin-1": GOOD.replace("▁", "").encode("latin-1"),
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-32": GOOD.encode("utf-32"),
    "two marks": b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD.encode(),
    "two objects": GOOD.encode() * 2,
    "text behind": GOOD.encode() + b"x",
    "a key twice": b'{"model_type": "speech_to_text", "d_model": 1, "d_model": 1}',
    "a key twice, spelled in two ways": b'{"d_model": 1, "d_\\u006dodel": 2}',
    "a key twice, inside": b'{"a": [{"b": 1, "b": 2}]}',
    "comma at the end": b'{"d_model": 1,}',
    "comma missing": b'{"d_model": 1 "a": 2}',
    "colon missing": b'{"d_model" 1}',
    "key without quotes": b"{d_model: 1}",
    "single quotes": b"{'d_model': 1}",
    "comment": b'{"d_model": 1} // width',
    "unclosed string": b'{"d_model',
    "raw newline in a string": b'{"a": "b\nc"}',
    "bad escape": b'{"a": "\\x41"}',
    "leading zero": b'{"d_model": 0256}',
    "plus sign": b'{"d_model": +256}',
    "hexadecimal": b'{"d_model": 0x100}',
    "Python": b'{"tie_word_embeddings": True}',
    "too many digits": b'{"d_model": ' + b"1" * 5000 + b"}",
    "deep": deep(100_000).encode(),
    "deep and open": b'{"a":' * 100_000,
    "a list": b"[1, 2]",
    "a string": b'"speech_to_text"',
    "a number": b"7",
    "null": b"null",
    "NaN": b"NaN",
    "HTML": b"<!DOCTYPE html><html>not found</html>",
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", CLASSES)
def test_broken_json(tmp_path, name, kind):
    (tmp_path / name).write_bytes(BROKEN[kind])
    with pytest.raises(ModelError) as caught:
        load(tmp_path, name)
    says = str(caught.value)
    assert str(tmp_path / name) in says and "\n" not in says and len(says) < len(str(tmp_path)) + 400


def test_truncated_at_every_byte():
    raw = GOOD.encode()
    for end in range(len(raw)):
        with pytest.raises(ModelError, match=r"^here: not valid JSON"):
            parse_json(raw[:end], "here")
    assert parse_json(raw, "here") == json.loads(GOOD)


def test_what_is_unusual_and_valid():
    assert parse_json(b"\xef\xbb\xbf" + GOOD.encode(), "") == json.loads(GOOD)
    assert parse_json(GOOD.replace(",", ",\r\n\t").encode(), "") == json.loads(GOOD)
    assert ModelConfig.from_dict(MODEL | {"unknown": [{"a": None}], "d_modell": "x"}) == ModelConfig()
    assert GenerationConfig.from_dict({"num_beams": None, "length_penalty": 1}) == GenerationConfig()
    assert TokenizerConfig.from_dict({"eos_token": {"content": "<e>", "lstrip": False}}).eos_token == "<e>"


@pytest.mark.parametrize("depth", [*range(880, 1000, 3), 3000, 10_000])
def test_nesting_of_every_depth(depth):
    with pytest.raises(ModelError):
        ModelConfig.from_dict(MODEL | parse_json(deep(depth).encode(), "here"))


def test_missing_and_oversized_files(tmp_path):
    for path, says in (
        (tmp_path, "directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        with pytest.raises(ModelError, match=f"cannot be read .*{says}"):
            read_json(path)
    with open(tmp_path / "large", "wb") as file:
        file.truncate(MAX_JSON_BYTES + 1)
    with pytest.raises(ModelError, match="larger than"):
        read_json(tmp_path / "large")


def test_many_keys_take_no_time():
    keys = ",".join(f'"{i}":0' for i in range(30_000))
    start = time.monotonic()
    assert len(parse_json(f"{{{keys}}}".encode(), "")) == 30_000
    with pytest.raises(ModelError, match="'29999' is given twice"):
        parse_json(f'{{{keys},"29999":1}}'.encode(), "")
    assert time.monotonic() - start < 5


HUGE = (10**400, -(10**400), 2**31, 2**63, 1e308)
COUNT = (0, -1, True, 1.0, "1", "", [1], {}, {"a": 1}, float("nan"), float("inf"), *HUGE)
INDEX = COUNT[1:]
FLAG = (0, 1, "true", "True", [True], {}, 1.0, *HUGE)
TEXT = (0, True, 1.5, ["a"], {}, {"a": "b"}, *HUGE)
REAL = ("1", "", True, [1.0], {}, float("nan"), float("inf"), float("-inf"), 10**400, -(10**400))
WRONG = {
    (ModelConfig, "vocab_size d_model encoder_attention_heads decoder_attention_heads encoder_ffn_dim decoder_ffn_dim "
     "num_conv_layers input_feat_per_channel input_channels max_source_positions max_target_positions"): COUNT,
    (ModelConfig, "encoder_layers decoder_layers bos_token_id pad_token_id eos_token_id decoder_start_token_id"): INDEX,
    (ModelConfig, "conv_channels"): (1, 3, *COUNT),
    (ModelConfig, "conv_kernel_sizes"): ([5], [5, 5, 5], [5, 4], [5, 0], [5, -5], [5, "5"], [5, [5]], [], 5, "55", {},
                                         [True, 5], [5, 10**400]),
    (ModelConfig, "activation_function"): ("prelu", "", "RELU", 0, ["relu"], {}, *HUGE),
    (ModelConfig, "encoder_normalize_before decoder_normalize_before no_decoder_final_norm layernorm_embedding "
     "decoder_learned_pos no_token_positional_embeddings"): FLAG,
    (ModelConfig, "decoder_embed_dim decoder_output_dim conv_out_channels"): COUNT,
    (ModelConfig, "depthwise_conv_kernel_size"): (2, 1001, *COUNT),
    (ModelConfig, "architecture attn_type pos_enc_type"): ("", "wav2vec", 0, True, ["abs"], {}, *HUGE),
    (ModelConfig, "scale_embedding tie_word_embeddings"): FLAG,
    (ModelConfig, "model_type"): ("bert", "", 3, ["speech_to_text"], {}, True, *HUGE),
    (GenerationConfig, "max_length max_new_tokens num_beams num_return_sequences"): COUNT,
    (GenerationConfig, "min_length min_new_tokens no_repeat_ngram_size forced_bos_token_id seed pad_token_id "
     "decoder_start_token_id"): INDEX,
    (GenerationConfig, "eos_token_id forced_eos_token_id"): (-1, True, 1.0, "2", "", [], [2, "2"], [[2]], {}, [-1],
                                                             2**31),
    (GenerationConfig, "early_stopping"): (0, 1, "always", "NEVER", [], {}, *HUGE),
    (GenerationConfig, "length_penalty unk_penalty"): REAL,
    (GenerationConfig, "search"): ("", "whisper", "Fairseq", 0, True, ["fairseq"], {}, *HUGE),
    (GenerationConfig, "repetition_penalty"): (0, -1, -0.5, 0.0, *REAL),
    (GenerationConfig, "max_time"): (-1, *REAL),
    (GenerationConfig, "stop_strings"): ("", 5, True, [""], ["a", 5], [["a"]], {"a": 1}),
    (GenerationConfig, "exponential_decay_length_penalty"): (5, 1.5, "5", [5], [5, 1.5, 2], [0.5, 2], [5, "2"], {},
                                                             [-1, 2.0], [5, float("nan")], [5, None]),
    (GenerationConfig, "sequence_bias"): (5, "5", [5], [[5, 1.0]], [[[5], "1"]], [[[], 1.0]], [[["5"], 1.0]],
                                          [[[5], 1.0, 2.0]], [[[-1], 1.0]], [[[5], float("inf")]], True),
    (GenerationConfig, "bad_words_ids"): (5, "5", [5], [[]], [["5"]], [[-1]], [[[5]]], [[True]], {}, {"a": 1}, [None]),
    (GenerationConfig, "hotwords"): (5, True, 1.5, {"a": 1}),
    (GenerationConfig, "renormalize_logits remove_invalid_values"): FLAG,
    (GenerationConfig, "suppress_tokens begin_suppress_tokens"): (1, "1", [-1], [1.5], ["1"], [[1]], [True], {},
                                                                    [10**400], [None]),
    (GenerationConfig, "do_sample"): FLAG,
    (FeatureConfig, "num_mel_bins feature_size"): COUNT,
    (FeatureConfig, "sampling_rate"): (99, *COUNT),
    (FeatureConfig, "do_ceptral_normalize normalize_means normalize_vars return_attention_mask"): FLAG,
    (FeatureConfig, "padding_value"): REAL,
    (FeatureConfig, "padding_side"): ("top", "", 0, [], {}, True),
    (FeatureConfig, "dither"): (0.1, 1, -1, *REAL),
    (FeatureConfig, "do_normalize one_pass_variance"): FLAG,
    (FeatureConfig, "global_mean global_std"): (1, "1", ["1"], [[1.0]], [True], [None], {}, [float("nan")], [10**400]),
    (TokenizerConfig, "languages"): (1, "de", [1], [["de"]], [None], {}, True),
    (TokenizerConfig, "padding_side truncation_side"): ("top", "", 0, [], {}, True),
    (TokenizerConfig, "model_max_length"): (0, -1, 0.5, *REAL),
    (TokenizerConfig, "bos_token eos_token unk_token pad_token tgt_lang lang_codes"): (*TEXT, {"content": 3}),
    (TokenizerConfig, "do_upper_case do_lower_case clean_up_tokenization_spaces"): FLAG,
}  # fmt: skip
OPTIONAL = ("bos_token_id", "max_new_tokens", "min_new_tokens", "suppress_tokens", "begin_suppress_tokens", "seed",
            "forced_bos_token_id", "forced_eos_token_id", "hotwords", "max_time", "stop_strings", "sequence_bias",
            "bad_words_ids", "exponential_decay_length_penalty", "global_mean", "global_std", "languages", "tgt_lang",
            "lang_codes", "clean_up_tokenization_spaces", "do_normalize", "decoder_embed_dim", "decoder_output_dim",
            "conv_out_channels", "attn_type")  # fmt: skip
FIELDS = [(cls, field, values) for (cls, fields), values in WRONG.items() for field in fields.split()]


SAMPLES = {  # refused only where the file samples
    "temperature": (0, -1, -0.5, 0.0, *REAL),
    "top_p top_h typical_p": (0, -1, 1.5, 2, 0.0, *REAL),
    "min_p": (-1, -0.5, 1.5, 2, *REAL),
    "epsilon_cutoff eta_cutoff": (-1, 1, 1.0, 2, *REAL),
    "top_k": INDEX,
}
SAMPLING_FIELDS = [(field, values) for fields, values in SAMPLES.items() for field in fields.split()]


@pytest.mark.parametrize(("field", "values"), SAMPLING_FIELDS, ids=lambda x: str(x)[:30])
def test_wrong_values_of_sampling_options(field, values):
    for value in values:
        with pytest.raises(ModelError, match=f"^some.json: {field} is ") as caught:
            GenerationConfig.from_dict({field: value, "do_sample": True}, "some.json")
        assert len(str(caught.value)) < 300
        with pytest.raises(OptionError, match=field):
            GenerationConfig().replace(**{field: value})


def test_every_field_is_among_those_tested():
    tested = {(cls, field) for cls, field, _ in FIELDS} | {(GenerationConfig, field) for field, _ in SAMPLING_FIELDS}
    assert tested == {(cls, field) for cls in CLASSES.values() for field in cls.__dataclass_fields__}


@pytest.mark.parametrize(("cls", "field", "values"), FIELDS, ids=lambda x: getattr(x, "__name__", None) or str(x)[:30])
def test_wrong_values_of_every_field(cls, field, values):
    for value in values:
        with pytest.raises(ModelError) as caught:
            cls.from_dict((MODEL if cls is ModelConfig else {}) | {field: value}, "some.json")
        says = str(caught.value)
        assert says.startswith("some.json: ") and field in says and len(says) < 300, (value, says)


@pytest.mark.parametrize(("cls", "field", "values"), FIELDS, ids=lambda x: getattr(x, "__name__", None) or str(x)[:30])
def test_null_is_not_set_or_refused(cls, field, values):
    data = (MODEL if cls is ModelConfig else {}) | {field: None}
    if field in OPTIONAL or cls is GenerationConfig:
        assert getattr(cls.from_dict(data), field) == (None if field in OPTIONAL else getattr(cls(), field))
    else:
        with pytest.raises(ModelError, match=field):
            cls.from_dict(data, "some.json")


def test_fields_that_contradict_each_other():
    for wrong, says in (
        ({"d_model": 250}, "d_model 250 does not divide by encoder_attention_heads 4"),
        ({"decoder_attention_heads": 3}, "decoder_attention_heads 3"),
        ({"num_conv_layers": 3}, "conv_kernel_sizes has 2 entries, expected num_conv_layers = 3"),
        ({"vocab_size": 2}, "eos_token_id 2 is outside vocab_size 2"),
        ({"decoder_start_token_id": 10000}, "decoder_start_token_id 10000 is outside vocab_size"),
        ({"model_type": None}, "model_type is None, expected 'speech_to_text'"),
    ):
        with pytest.raises(ModelError, match=says):
            ModelConfig.from_dict(MODEL | wrong)
    with pytest.raises(ModelError, match="model_type is None"):
        ModelConfig.from_dict({})


def test_options_that_replace_fields():
    config = GenerationConfig(num_beams=5)
    changed = config.replace(num_beams=1, suppress_tokens=[3, 4])
    assert (changed.num_beams, changed.suppress_tokens, config.num_beams) == (1, (3, 4), 5)
    for wrong in (
        {"num_beams": 0},
        {"num_beams": None},
        {"max_length": None},
        {"temperature": float("nan")},
        {"max_length": 10**5000},
    ):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            config.replace(**wrong)
    with pytest.raises(OptionError, match=r"unknown generation option beams, bims; known are .*num_beams"):
        config.replace(bims=1, beams=2)


def test_random_damage_never_escapes():
    rng = random.Random(5)
    raw = (DIGITS / "config.json").read_bytes()
    for _ in range(3000):
        damaged = bytearray(raw)
        for _ in range(rng.choice((1, 2, 10))):
            damaged[rng.randrange(len(raw))] = rng.choice(b'{}[]",:0123456789eE.-\\ntu\xff\0 ')
        try:
            config = ModelConfig.from_dict(parse_json(bytes(damaged), "here"))
        except ModelError as error:
            assert str(error).startswith(("here", "config.json"))
        else:
            assert config.d_model % config.encoder_attention_heads == 0


def test_from_dict_makes_tuples_of_lists():
    assert from_dict(ModelConfig, {"conv_kernel_sizes": [3, 7]}, "").conv_kernel_sizes == (3, 7)
