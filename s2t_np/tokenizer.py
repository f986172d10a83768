"""Ids <-> text: a vocabulary (piece -> id) and the SentencePiece model that cuts text into those pieces.

    vocab.json                piece -> id, the numbering the network was trained with (fairseq's dict.txt)
    sentencepiece.bpe.model   how text becomes pieces and pieces become text
    tokenizer_config.json     the special pieces, the case, the languages; special_tokens_map.json in older folders

    "five six" -> sentencepiece -> ["▁five", "▁six"] -> vocab.json -> [5, 6] -> + EOS -> [5, 6, 2], and back.

The meaning is that of transformers' Speech2TextTokenizer. The two vocabularies are held to each other when they are
loaded (`check_agreement`): a pair from different models would turn every transcript into garbage without any error.
"""

import itertools
import re
from pathlib import Path

import numpy as np

from .config import TokenizerConfig, read_bounded, read_json
from .errors import ModelError, OptionError
from .settings.hub_places import download_again

LANGUAGES = {"mustc": ("pt", "fr", "ru", "nl", "ro", "it", "es", "de")}  # by `lang_codes`; the first is the default
LANGUAGE_PIECE = re.compile(r"<lang:[^<>]+>")
FILLER_PIECE = re.compile(r"madeupword\d{4,}")  # fairseq rounds the size of a dictionary up with these
CHARACTERS_PER_PIECE = 4  # on average, in the subword vocabularies of the released models
MAX_MODEL_BYTES = 64 << 20  # real ones have 0.25 to 5 MB


class Tokenizer:
    """A vocabulary and its SentencePiece model, checked against each other. Nothing changes after construction.

    `vocab` maps each piece to its id, 0 to len - 1. `bos_token_id`, `pad_token_id`, `eos_token_id`, `unk_token_id` are
    ids; `languages` maps a language to the id of its piece, empty for a model with one target language. `granularity`
    tells how many tokens stand for one piece of a subword vocabulary: more than 1 where a piece is a character.
    """

    def __init__(
        self,
        vocab: dict[str, int],
        model: bytes,
        config: TokenizerConfig | None = None,
        folder: Path = Path(),
    ):
        """`model`: the bytes of sentencepiece.bpe.model. `folder` is for messages only. Raises ModelError."""
        self.config = config or TokenizerConfig()
        self.vocab = vocab
        self.id_to_piece = pieces_by_id(vocab, folder / "vocab.json")
        self.model_source = folder / "sentencepiece.bpe.model"
        self.processor, model_pieces = load_processor(model, self.model_source)
        c = self.config
        named = {"bos": c.bos_token, "pad": c.pad_token, "eos": c.eos_token, "unk": c.unk_token}
        ids = {kind: special_id(vocab, kind, piece, folder) for kind, piece in named.items()}
        self.bos_token_id, self.pad_token_id, self.eos_token_id, self.unk_token_id = ids.values()
        self.languages = language_ids(vocab, c, folder)
        self.special_ids = frozenset(ids.values()) | frozenset(self.languages.values())
        self.granularity = granularity(self.id_to_piece[i] for i in range(len(vocab)) if i not in self.special_ids)
        self.special_pattern = any_of(self.id_to_piece[i] for i in self.special_ids)
        if self.id_to_piece != model_pieces:  # in every released pair they are equal, ids included
            check_agreement(self.id_to_piece, model_pieces, set(named.values()) | controls(self.processor), folder)

    @classmethod
    def from_folder(cls, folder: Path) -> "Tokenizer":
        """Read the tokenizer's files of a checkpoint folder. Raises ModelError."""
        config = TokenizerConfig.from_dict(read_settings(folder), str(folder / "tokenizer_config.json"))
        model = read_bounded(folder / "sentencepiece.bpe.model", MAX_MODEL_BYTES, "a SentencePiece model")
        return cls(read_json(folder / "vocab.json"), model, config, folder)

    @classmethod
    def from_parts(cls, vocab: dict[str, int], sentencepiece: Path, config: TokenizerConfig) -> "Tokenizer":
        """From a vocabulary {piece: id} and the SentencePiece model in a file. Raises ModelError."""
        model = read_bounded(sentencepiece, MAX_MODEL_BYTES, "a SentencePiece model")
        return cls(vocab, model, config, sentencepiece.parent)

    def __len__(self) -> int:
        return len(self.id_to_piece)

    def encode(self, text: str, tgt_lang: str | None = None) -> list[int]:
        """Text -> ids (U,): the language's piece where the model has languages, the pieces of the text, EOS.

        Special pieces that stand in the text literally ("</s>") become their ids, as upstream has it; what the
        vocabulary cannot spell becomes <unk>. Raises OptionError.
        """
        ids = [self.vocab.get(piece, self.unk_token_id) for piece in self.tokenize(text)]
        return [*self.prefix(tgt_lang), *ids, self.eos_token_id]

    def tokenize(self, text: str) -> list[str]:
        """Text -> its pieces, special ones only where they stand in the text literally. Raises OptionError."""
        parts = self.special_pattern.split(checked_text(text))  # the odd ones are special
        return list(itertools.chain.from_iterable([p] if i % 2 else self.cut(p) for i, p in enumerate(parts)))

    def prefix(self, tgt_lang: str | None = None) -> list[int]:
        """The ids that labels begin with: one language piece (the config's if None), or nothing. Raises OptionError."""
        if tgt_lang is None and not self.languages:
            return []
        default = self.config.tgt_lang or next(iter(self.languages), None)
        return [self.language_id(default if tgt_lang is None else tgt_lang)]

    def language_id(self, lang: str) -> int:
        """The id of a target language's piece, `forced_bos_token_id` of a generation. Raises OptionError."""
        if not isinstance(lang, str) or lang not in self.languages:
            known = ", ".join(self.languages) or "no target languages: it writes one language only"
            raise OptionError(f"target language {lang!r:.40} is not known; this model has {known}")
        return self.languages[lang]

    @property
    def any_language(self) -> str:
        """The words for a user who has not said which of several languages the model is to write."""
        return f"this model writes {', '.join(self.languages)}; without a language (--lang, lang=) it may pick any"

    def pieces(self, ids) -> list[str]:
        """Ids (U,) -> their pieces. Raises OptionError for an id that is not in the vocabulary."""
        return [self.id_to_piece[i] for i in self.checked_ids(ids)]

    def decode(self, ids, skip_special_tokens: bool = True, clean_up: bool | None = None) -> str:
        """Ids (U,) -> text. Special pieces are left out, or stand in the text with a space after each.

        clean_up: close the space before punctuation; None does as the config says. Raises OptionError for an id that is
        not in the vocabulary.
        """
        skipped = self.special_ids if skip_special_tokens else ()
        text = self.string([self.id_to_piece[i] for i in self.checked_ids(ids) if i not in skipped])
        clean_up = self.config.clean_up_tokenization_spaces if clean_up is None else clean_up
        return clean_up_spaces(text) if clean_up else text

    def string(self, pieces: list[str]) -> str:
        """Pieces -> text, special ones with a space after each."""
        special, text, run = {self.id_to_piece[i] for i in self.special_ids}, "", []
        for piece in pieces:
            if piece in special:
                text += f"{self.join(run)}{piece} "
                run = []
            else:
                run.append(piece)
        return (text + self.join(run)).strip()

    def added_texts(self) -> list[str]:
        """The text that each id adds to what came before it: " five" for the piece "▁five"; (V,)."""
        texts = [piece.replace("▁", " ") for piece in self.id_to_piece]
        if self.config.do_upper_case:
            return [text if i in self.special_ids else text.upper() for i, text in enumerate(texts)]
        return texts

    def batch_decode(self, sequences, skip_special_tokens: bool = True, clean_up: bool | None = None) -> list[str]:
        """`decode` for each of several sequences of ids. Raises OptionError."""
        try:
            sequences = list(sequences)
        except TypeError:
            raise OptionError(f"sequences are {sequences!r:.40}, expected a list of lists of token ids") from None
        return [self.decode(ids, skip_special_tokens, clean_up) for ids in sequences]

    def cut(self, text: str) -> list[str]:
        """Text without special pieces -> its pieces, by the SentencePiece model. Raises ModelError."""
        try:
            return self.processor.encode(text, out_type=str)
        except (RuntimeError, UnicodeDecodeError) as error:  # damage that shows only when a text meets it
            raise damaged(self.model_source) from error

    def join(self, pieces: list[str]) -> str:
        """Ordinary pieces -> text, by the SentencePiece model, in the case the config asks for. Raises ModelError."""
        try:
            text = self.processor.decode(pieces) if pieces else ""
        except (RuntimeError, UnicodeDecodeError) as error:
            raise damaged(self.model_source) from error
        return text.upper() if self.config.do_upper_case else text

    def checked_ids(self, ids) -> list[int]:
        """A list of ids (or an array, or one id) as Python integers within the vocabulary. Raises OptionError."""
        try:
            array = np.atleast_1d(np.asarray(ids))
        except (ValueError, TypeError):  # a ragged list
            raise OptionError(f"token ids are {ids!r:.60}, expected one list of integers") from None
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise OptionError(f"token ids have shape {array.shape} and type {array.dtype}, expected a list of integers")
        outside = array[(array < 0) | (array >= len(self))] if array.size else ()
        if len(outside):
            raise OptionError(f"token id {outside[0]} is not in the vocabulary, expected 0 to {len(self) - 1}")
        return array.tolist()


def read_settings(folder: Path) -> dict:
    """tokenizer_config.json, over it the special_tokens_map.json of folders from before `added_tokens_decoder`.

    Either may be absent; the order of precedence is upstream's. Raises ModelError.
    """
    config, legacy = folder / "tokenizer_config.json", folder / "special_tokens_map.json"
    settings = read_json(config) if config.exists() else {}
    if "added_tokens_decoder" not in settings and legacy.exists():
        settings = settings | read_json(legacy)
    return settings


def pieces_by_id(vocab: dict, source: Path) -> list[str]:
    """The pieces in the order of their ids, which must be 0, 1, 2, ..., each once. Raises ModelError."""
    for piece, i in vocab.items():
        if type(i) is not int:
            raise ModelError(f"{source}: the id of piece {piece!r:.40} is {i!r:.40}, expected a whole number")
    pieces = sorted(vocab, key=vocab.__getitem__)
    for expected, piece in enumerate(pieces):
        if vocab[piece] != expected:
            found = f"id {vocab[piece]} (piece {piece!r:.40}) where {expected} is due"
            raise ModelError(f"{source}: {found}; expected each id from 0 to {len(pieces) - 1} once")
    return pieces


def load_processor(model: bytes, source: Path):
    """SentencePiece's processor for a serialised model, and its pieces in order. Raises ModelError."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
        return processor, processor.id_to_piece(list(range(len(processor))))
    except (RuntimeError, UnicodeDecodeError) as error:
        raise damaged(source) from error


def granularity(pieces) -> int:
    """CHARACTERS_PER_PIECE for a vocabulary of single characters, 1 for one of words and their parts."""
    return CHARACTERS_PER_PIECE if all(len(piece) == 1 for piece in pieces) else 1


def damaged(source: Path) -> ModelError:
    """The error for a SentencePiece model that does not work."""
    return ModelError(f"{source}: damaged, or not a SentencePiece model; {download_again(source)}")


def controls(processor) -> set[str]:
    """The pieces that are the SentencePiece model's own signs (<s>, </s>, ...) and never text."""
    ids = range(len(processor))
    return {processor.id_to_piece(i) for i in ids if processor.is_control(i) or processor.is_unknown(i)}


def special_id(vocab: dict[str, int], kind: str, piece: str, folder: Path) -> int:
    """The id of a special piece. Raises ModelError if it has none."""
    if not piece or piece not in vocab:
        raise ModelError(
            f"{folder / 'vocab.json'}: has no piece {piece!r:.40}, which is the {kind}_token of the config"
        )
    return vocab[piece]


def language_ids(vocab: dict[str, int], config: TokenizerConfig, folder: Path) -> dict[str, int]:
    """Language -> id of its piece <lang:XX>, default first; empty where the config has no `lang_codes`."""
    if config.languages is not None:
        return {language: vocab[f"<lang:{language}>"] for language in config.languages}
    if config.lang_codes is None:
        return {}
    source = folder / "tokenizer_config.json"
    if config.lang_codes not in LANGUAGES:
        raise ModelError(
            f"{source}: lang_codes is {config.lang_codes!r:.40}, expected {' or '.join(LANGUAGES)} or null"
        )
    languages = LANGUAGES[config.lang_codes]
    if config.tgt_lang not in (None, *languages):
        raise ModelError(f"{source}: tgt_lang is {config.tgt_lang!r:.40}, expected one of {', '.join(languages)}")
    for language in languages:
        if f"<lang:{language}>" not in vocab:
            raise ModelError(f"{folder / 'vocab.json'}: has no piece <lang:{language}>, which lang_codes asks for")
    return {language: vocab[f"<lang:{language}>"] for language in languages}


def check_agreement(vocab_pieces: list[str], model_pieces: list[str], special: set[str], folder: Path) -> None:
    """Refuse a vocabulary that does not belong to its SentencePiece model, naming the first piece that differs.

    fairseq writes its dictionary from the SentencePiece model, in the model's order, after its own four special pieces
    (gen_vocab in examples/speech_to_text/data_utils.py), and vocab.json is that dictionary. So the ordinary pieces of
    both must be the same list. What may differ: the special pieces and their numbers (a model with SentencePiece's own
    numbering has <unk> 0 and no <pad>, which shifts all ids), the language pieces <lang:XX> (looked up by name in
    vocab.json, never cut from text), and fairseq's filler pieces at the end of a rounded-up dictionary.
    """

    def ordinary(pieces):
        return [p for p in pieces if p not in special and not LANGUAGE_PIECE.fullmatch(p)]

    ours = [p for p in ordinary(vocab_pieces) if not FILLER_PIECE.fullmatch(p)]
    for piece, expected in itertools.zip_longest(ours, ordinary(model_pieces)):
        if piece != expected:
            here = "ends" if piece is None else f"has {piece!r:.40} (id {vocab_pieces.index(piece)})"
            there = "ends" if expected is None else f"has {expected!r:.40} (its number {model_pieces.index(expected)})"
            raise ModelError(
                f"{folder}: vocab.json and sentencepiece.bpe.model are of different models: where the first {here}, "
                f"the second {there}; take both from the same checkpoint"
            )


def any_of(pieces) -> re.Pattern:
    """A pattern that finds any of these pieces in a text, the longest first, and keeps it when it splits."""
    return re.compile("(" + "|".join(map(re.escape, sorted(pieces, key=len, reverse=True))) + ")")


def checked_text(text: str) -> str:
    """Text that can be written as UTF-8. Raises OptionError."""
    if not isinstance(text, str):
        raise OptionError(f"text is {text!r:.40}, expected a string")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise OptionError(f"text has a lone surrogate at position {error.start}, expected valid Unicode") from None
    return text


def clean_up_spaces(text: str) -> str:
    """Close the space before punctuation and English endings: `clean_up_tokenization_spaces` of older folders."""
    for mark in (".", "?", "!", ","):
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for ending in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {ending}", ending)
    return text
