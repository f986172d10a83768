"""Folders in the shapes of the twenty released checkpoints: JSON files, vocabularies of their kinds, random weights.

    JSON files               as released; the real ones of six are known, and a test compares
    one language, MuST-C     8000 pieces of a unigram model, an untied head
    multilingual MuST-C      10000, with the languages' pieces at ids 4 to 11 as released
    CoVoST 2                 one piece a character, features of 48 kHz sound; 277 of them in fr-en, the other sizes are
                             not known here and stand for them

Everything is a function of the id alone, as in random_checkpoint.py.
"""

from itertools import chain, count, islice, product
from pathlib import Path

from s2t_np.checkpoint.official import Official, official

from .random_checkpoint import GENERATION, SPECIAL, TOKENIZER, sentencepiece_model, write_checkpoint, write_json

WIDTHS = {  # d_model, heads, feed-forward width, dropout
    "small": (256, 4, 2048, 0.1),
    "medium": (512, 8, 2048, 0.15),
    "large": (1024, 16, 4096, 0.2),
}
NARROW = {
    **{"d_model": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "conv_channels": 48},
    **{"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_hidden_layers": 2},
}
COMMON = {
    **{"activation_function": "relu", "architectures": ["Speech2TextForConditionalGeneration"], "bos_token_id": 0},
    **{"classifier_dropout": 0.0, "conv_channels": 1024, "conv_kernel_sizes": [5, 5], "decoder_layerdrop": 0.0},
    **{"decoder_layers": 6, "decoder_start_token_id": 2, "early_stopping": True, "encoder_layerdrop": 0.0},
    **{"encoder_layers": 12, "eos_token_id": 2, "gradient_checkpointing": False, "init_std": 0.02},
    **{"input_channels": 1, "input_feat_per_channel": 80, "is_encoder_decoder": True, "max_length": 200},
    **{"max_source_positions": 6000, "max_target_positions": 1024, "model_type": "speech_to_text", "num_beams": 5},
    **{"num_conv_layers": 2, "num_hidden_layers": 12, "pad_token_id": 1, "scale_embedding": True},
    **{"transformers_version": "4.4.0.dev0", "use_cache": True},
}
PREPROCESSOR = {
    **{"do_ceptral_normalize": True, "feature_size": 80, "normalize_means": True, "normalize_vars": True},
    **{"num_mel_bins": 80, "padding_side": "right", "padding_value": 0.0, "return_attention_mask": True},
}
RELEASED_LANGUAGES = ("pt", "fr", "ru", "nl", "ro", "it", "es", "de")  # ids 4 to 11
SIGNS = " .,-'?!\":;()0123456789"
LETTERS = {  # what texts of a target language are written with, beside SIGNS
    **{
        "en": "abcdefghijklmnopqrstuvwxyz",
        "de": "abcdefghijklmnopqrstuvwxyzäöüß",
        "ca": "abcdefghilmnopqrstuvxyzàçèéíïòóúü",
    },
    **{
        "et": "abdeghijklmnoprsštuvõäöüžz",
        "fa": "ابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیآ",
        "ru": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    },
}
CHARACTERS = {
    "fr-en": 277,
    "de-en": 214,
    "es-en": 189,
    "ca-en": 163,
    "en-de": 173,
    "en-ca": 151,
    "en-et": 127,
    "en-fa": 143,
}


def config_json(one: Official, narrow: bool = False) -> dict:
    """config.json; `narrow` leaves the kind of model and its vocabulary and makes its layers few and small."""
    width, heads, inner, dropout = WIDTHS[size_of(one)]
    config = COMMON | {"d_model": width, "encoder_attention_heads": heads, "decoder_attention_heads": heads}
    config |= {"encoder_ffn_dim": inner, "decoder_ffn_dim": inner}
    config |= dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), dropout)
    config["vocab_size"] = len(pieces_of(one))
    if not one.id.endswith("-asr"):
        config["tie_word_embeddings"] = False
    return config | (NARROW if narrow else {})


def size_of(one: Official) -> str:
    """small, medium or large."""
    return next(size for size in WIDTHS if f"s2t-{size}-" in one.id)


def is_character_model(one: Official) -> bool:
    """True for CoVoST, whose vocabularies hold single characters."""
    return "covost2" in one.id


def preprocessor_json(one: Official) -> dict:
    """preprocessor_config.json: CoVoST's asks for 48 kHz, the multilingual one has fields that are read nowhere."""
    data = PREPROCESSOR | {"sampling_rate": 48000 if is_character_model(one) else 16000}
    if "multilingual" in one.id:
        data |= {"do_normalize": True, "norm_means": True, "norm_vars": True}
    return data


def tokenizer_json(one: Official) -> dict:
    """tokenizer_config.json."""
    transcribes = one.id.endswith("-asr")
    return TOKENIZER | {"do_lower_case": transcribes, "lang_codes": "mustc" if "multilingual" in one.id else None}


def pieces_of(one: Official) -> list[str]:
    """The vocabulary, in the order of its ids."""
    if is_character_model(one):
        return characters(CHARACTERS["-".join((one.source, *one.targets))], one.targets[0])
    if "multilingual" in one.id:
        return syllables(10000, "en", [f"<lang:{code}>" for code in RELEASED_LANGUAGES])
    return syllables(10000 if one.id.endswith("-asr") else 8000, one.targets[0])


def characters(size: int, language: str) -> list[str]:
    """Single characters: the language's own, then others, as Common Voice's texts hold some of nearly everything."""
    letters = LETTERS[language]
    own = ["\u2581", *letters, *letters.upper(), *SIGNS[1:]]
    others = (chr(code) for code in count(0xA1) if chr(code).isprintable() and not chr(code).isspace())
    return list(islice(dict.fromkeys(chain(SPECIAL, own, islice(others, 2 * size))), size))


def syllables(size: int, language: str, languages: list[str] | None = None) -> list[str]:
    """Letters, syllables, and words of two or three of them, after the special pieces and those of `languages`."""
    vowels, consonants = ("аеиоу", "бвгдзклмнпрстф") if language == "ru" else ("aeiou", "bdfgklmnprstvz")
    parts = ["".join(pair) for pair in product(consonants, vowels)]
    letters = ["\u2581", *LETTERS.get(language, LETTERS["en"]), "'", ".", ",", "?"]
    words = (start + "".join(w) for n in (1, 2, 3) for start in ("\u2581", "") for w in product(parts, repeat=n))
    return list(islice(chain(SPECIAL, languages or (), letters, words), size))


def write_official(folder: Path, name: str, narrow: bool = False) -> Path:
    """Write the folder of one released id with random weights; return it."""
    one = official()[name]
    pieces = pieces_of(one)
    folder = write_checkpoint(Path(folder), config_json(one, narrow))
    write_json(folder / "generation_config.json", {"_from_model_config": True} | GENERATION)
    write_json(folder / "preprocessor_config.json", preprocessor_json(one))
    write_json(folder / "tokenizer_config.json", tokenizer_json(one))
    write_json(folder / "vocab.json", {piece: i for i, piece in enumerate(pieces)})
    model = sentencepiece_model(pieces, "char" if is_character_model(one) else "unigram")
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    return folder
