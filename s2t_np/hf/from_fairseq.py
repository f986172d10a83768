"""A checkpoint of fairseq's as the files of a transformers folder, and what transformers has no word for.

transformers normalises each utterance by itself, and knows the target languages of MuST-C only; a checkpoint with a
global CMVN or with other languages is refused rather than written in a way that would give other text there.
"""

from pathlib import Path

from ..checkpoint.fairseq.checkpoint import FairseqCheckpoint
from ..config import write_json
from ..errors import ModelError
from ..tokenizer import LANGUAGES

OURS = ("global_mean", "global_std", "one_pass_variance", "languages")  # fields that transformers does not have


def json_files(parts: FairseqCheckpoint) -> dict[str, dict]:
    """{file name: content} of a transformers folder, config.json included. Raises ModelError where it has no words."""
    features = {name: value for name, value in parts.feature_config.items() if name not in OURS}
    if "global_mean" in parts.feature_config:
        raise ModelError(
            f"{parts.path}: the model was trained with a global CMVN, which transformers does not have; "
            "use the checkpoint itself, --model takes it"
        )
    return {
        "config.json": parts.config,
        "generation_config.json": parts.generation_config,
        "preprocessor_config.json": features | {"processor_class": "Speech2TextProcessor"},
        "tokenizer_config.json": tokenizer_json(parts),
        "vocab.json": parts.vocab,
    }


def tokenizer_json(parts: FairseqCheckpoint) -> dict:
    """The content of tokenizer_config.json. Raises ModelError for languages that transformers does not know."""
    fields = {name: value for name, value in parts.tokenizer_config.items() if name not in OURS}
    languages = parts.tokenizer_config.get("languages")
    if languages is None:
        return fields
    for code, known in LANGUAGES.items():
        if set(known) == set(languages):
            return fields | {"lang_codes": code, "tgt_lang": languages[0]}
    raise ModelError(
        f"{parts.path}: the model writes {', '.join(languages)}; transformers knows the languages of "
        f"{', '.join(LANGUAGES)} only; use the checkpoint itself, --model takes it"
    )


def write_files(parts: FairseqCheckpoint, target: Path) -> None:
    """Write everything but the weights and config.json into the folder `target`. Raises ModelError, OSError."""
    for name, content in json_files(parts).items():
        if name != "config.json":
            write_json(target / name, content)
    (target / "sentencepiece.bpe.model").write_bytes(parts.sentencepiece.read_bytes())
