"""A vocabulary of one's own: a SentencePiece model trained on the transcripts, and the files of a tokenizer."""

import io
from collections.abc import Iterable
from pathlib import Path

from ..config import write_json
from ..errors import OptionError

SPECIAL_IDS = {"bos_id": 0, "pad_id": 1, "eos_id": 2, "unk_id": 3}  # as in every released model
SETTINGS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "do_upper_case": False,
    "do_lower_case": False,
    "tgt_lang": None,
    "lang_codes": None,
}


def train_sentencepiece(texts: Iterable[str], size: int) -> bytes:
    """A unigram model of at most `size` pieces, fewer where the texts give no more. Raises OptionError."""
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="unigram",
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            minloglevel=2,
            num_threads=1,  # the result depends on it
            **SPECIAL_IDS,
        )
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(
            f"vocab_size {size}: SentencePiece cannot make a vocabulary of the texts ({reason})"
        ) from None
    return model.getvalue()


def write_vocabulary(texts: Iterable[str], size: int, folder: Path) -> int:
    """Train a vocabulary and write the tokenizer's files into a folder; returns how many pieces it has.

    Raises OptionError, OSError.
    """
    import sentencepiece

    model = train_sentencepiece(texts, size)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    write_json(folder / "vocab.json", {processor.id_to_piece(i): i for i in range(len(processor))})
    write_json(folder / "tokenizer_config.json", SETTINGS)
    special = {name: piece for name, piece in SETTINGS.items() if name.endswith("_token")}
    write_json(folder / "special_tokens_map.json", special)
    return len(processor)
