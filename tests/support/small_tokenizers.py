"""Little tokenizers of every kind, trained on the spot: a SentencePiece model and the vocab.json that belongs to it.

unigram bpe char   the model types, numbered as fairseq trains them (<s> 0, <pad> 1, </s> 2, <unk> 3)
upper              do_upper_case
bytes              unknown letters become byte pieces
multilingual       lang_codes "mustc", pieces <lang:XX>
shifted            SentencePiece's own numbering (<unk> 0, <s> 1, </s> 2, no <pad>): ids differ, pieces agree
tidy               clean_up_tokenization_spaces, as folders saved by transformers 4 have it
"""

import functools
import io
import json
import random
from pathlib import Path

LANGUAGES = ("pt", "fr", "ru", "nl", "ro", "it", "es", "de")  # in the order of the released ids 4 to 11
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
FAIRSEQ = {"bos_id": 0, "pad_id": 1, "eos_id": 2, "unk_id": 3}
TAGS = {"user_defined_symbols": [f"<lang:{language}>" for language in LANGUAGES]}
KINDS = {  # name -> options of the trainer, fields of tokenizer_config.json
    "unigram": (FAIRSEQ | {"model_type": "unigram"}, {}),
    "bpe": (FAIRSEQ | {"model_type": "bpe"}, {}),
    "char": (FAIRSEQ | {"model_type": "char"}, {}),
    "upper": (FAIRSEQ | {"model_type": "unigram"}, {"do_upper_case": True}),
    "bytes": (FAIRSEQ | {"model_type": "bpe", "byte_fallback": True, "vocab_size": 400}, {}),
    "multilingual": (FAIRSEQ | TAGS | {"model_type": "unigram"}, {"lang_codes": "mustc"}),
    "shifted": ({"model_type": "unigram"}, {}),
    "tidy": (FAIRSEQ | {"model_type": "bpe"}, {"clean_up_tokenization_spaces": True}),
}


def words(seed: int, count: int) -> list[str]:
    """Invented words, reproducible."""
    rng = random.Random(seed)
    syllables = [a + b for a in "bdfglmnprstv" for b in "aeiou"]
    return [
        "".join(rng.choices(syllables, k=rng.randint(1, 4))) + rng.choice(["", "", "s", "'s"]) for _ in range(count)
    ]


def sentences(seed: int, count: int) -> list[str]:
    """Invented sentences with punctuation, reproducible."""
    rng = random.Random(seed)
    stock = words(0, 500)
    return [
        " ".join(rng.choices(stock, k=rng.randint(1, 12))) + rng.choice(["", " .", ",", " ?"]) for _ in range(count)
    ]


@functools.cache
def model(kind: str, seed: int = 1) -> bytes:
    """The serialised SentencePiece model of a kind."""
    from sentencepiece import SentencePieceTrainer

    out = io.BytesIO()
    options = {"vocab_size": 200, "hard_vocab_limit": False, "num_threads": 1, "minloglevel": 3} | KINDS[kind][0]
    SentencePieceTrainer.train(sentence_iterator=iter(sentences(seed, 800)), model_writer=out, **options)
    return out.getvalue()


def pieces(serialised: bytes) -> list[str]:
    """The pieces of a SentencePiece model in its order."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=serialised)
    return [processor.id_to_piece(i) for i in range(len(processor))]


def vocabulary(serialised: bytes) -> dict[str, int]:
    """vocab.json as fairseq's dictionary numbers it: its four special pieces, then the rest in the model's order."""
    rest = [piece for piece in pieces(serialised) if piece not in SPECIAL]
    return {piece: i for i, piece in enumerate([*SPECIAL, *rest])}


def write_folder(folder: Path, kind: str) -> Path:
    """The files of a tokenizer in a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL, strict=True)) | KINDS[kind][1]
    (folder / "sentencepiece.bpe.model").write_bytes(model(kind))
    (folder / "vocab.json").write_text(json.dumps(vocabulary(model(kind))), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
