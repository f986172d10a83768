"""`Speech2TextTokenizer`: text to ids and back, one or many; the pieces are cut and joined in s2t_np/tokenizer.py."""

import dataclasses
from pathlib import Path

import numpy as np

from ..config import TokenizerConfig, check_fields, write_json
from ..errors import OptionError
from ..tokenizer import Tokenizer
from .batch import Fields, Lengths, check_return_tensors, stack
from .pretrained import Pretrained, check_names

SETTINGS = tuple(field.name for field in dataclasses.fields(TokenizerConfig))


def special_piece(kind: str) -> property:
    """The attribute `{kind}_token`."""
    return property(lambda self: getattr(self.tokenizer.config, f"{kind}_token"), doc=f"The {kind} piece.")


def special_id(kind: str) -> property:
    """The attribute `{kind}_token_id`."""
    return property(lambda self: getattr(self.tokenizer, f"{kind}_token_id"), doc=f"The id of the {kind} piece.")


class Speech2TextTokenizer(Pretrained):
    """A `Tokenizer` under upstream's names. `do_upper_case` and `tgt_lang` may be set."""

    model_input_names = ("input_ids", "attention_mask")
    padding_side = "right"
    bos_token, bos_token_id = special_piece("bos"), special_id("bos")
    eos_token, eos_token_id = special_piece("eos"), special_id("eos")
    unk_token, unk_token_id = special_piece("unk"), special_id("unk")
    pad_token, pad_token_id = special_piece("pad"), special_id("pad")

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    @classmethod
    def from_folder(cls, folder: Path, **overrides) -> "Speech2TextTokenizer":
        """From vocab.json, sentencepiece.bpe.model, tokenizer_config.json. Raises ModelError, OptionError."""
        check_names(overrides, SETTINGS, "tokenizer")
        loaded = cls(Tokenizer.from_folder(folder))
        return cls(loaded.changed(**overrides)) if overrides else loaded

    def changed(self, **settings) -> Tokenizer:
        """The same vocabulary under other settings. Raises OptionError for one that means nothing."""
        t = self.tokenizer
        if settings.get("tgt_lang") is not None:
            t.language_id(settings["tgt_lang"])
        config = dataclasses.replace(t.config, **settings)
        check_fields(config, "tokenizer", OptionError)
        return Tokenizer(t.vocab, t.processor.serialized_model_proto(), config)

    def write_files(self, folder: Path) -> None:
        """Write the three files that `from_folder` reads."""
        t = self.tokenizer
        write_json(folder / "vocab.json", t.vocab)
        (folder / "sentencepiece.bpe.model").write_bytes(t.processor.serialized_model_proto())
        rest = {"tokenizer_class": type(self).__name__}
        write_json(folder / "tokenizer_config.json", dataclasses.asdict(t.config) | rest)

    def __call__(
        self,
        text: str | list[str],
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool = False,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool = True,
    ) -> Fields:
        """One text or several -> `input_ids`, `attention_mask`: lists, or with `return_tensors="np"` int64 (B, U).

        Raises OptionError.
        """
        lengths = Lengths(padding, max_length, truncation, pad_to_multiple_of)
        lengths.check()
        check_return_tensors(return_tensors)
        if not isinstance(text, str | list | tuple):
            raise OptionError(f"text is {text!r:.40}, expected a string or a list of strings")
        texts = [text] if isinstance(text, str) else text
        rows = [np.array(self.encode(x, add_special_tokens, truncation, max_length), np.int64) for x in texts]
        batch = {"input_ids": lengths.pad(rows, self.pad_token_id)}
        if return_attention_mask:
            batch["attention_mask"] = lengths.pad([np.ones_like(row) for row in rows], 0)
        if return_tensors:
            return Fields({name: stack(value) for name, value in batch.items()})
        lists = {name: [row.tolist() for row in value] for name, value in batch.items()}
        return Fields({name: value[0] for name, value in lists.items()} if isinstance(text, str) else lists)

    def encode(
        self, text: str, add_special_tokens: bool = True, truncation: bool = False, max_length: int | None = None
    ) -> list[int]:
        """Text -> ids (U,): the language's piece, if the model has languages, the pieces of the text, EOS.

        With `truncation` there are at most `max_length`, and it is the text that gives way. Raises OptionError.
        """
        Lengths(truncation=truncation, max_length=max_length).check()
        ids, first = self.tokenizer.encode(text), len(self.prefix_tokens)
        before, after = (ids[:first], ids[-1:]) if add_special_tokens else ([], [])
        room = max(max_length - len(before + after), 0) if truncation else None
        return before + ids[first:-1][:room] + after

    def decode(self, token_ids, skip_special_tokens: bool = False) -> str | list[str]:
        """Ids (U,) -> text; several sequences of ids -> a list of texts. Raises OptionError for an unknown id."""
        several = np.ndim(token_ids[0]) > 0 if np.iterable(token_ids) and len(token_ids) else False
        room = self.tokenizer
        return (room.batch_decode if several else room.decode)(token_ids, skip_special_tokens)

    def batch_decode(self, sequences, skip_special_tokens: bool = False) -> list[str]:
        """Several sequences of ids, such as the rows that `generate` returns -> their texts. Raises OptionError."""
        texts = self.decode(sequences, skip_special_tokens)
        return [texts] if isinstance(texts, str) else texts

    def convert_ids_to_tokens(self, ids, skip_special_tokens: bool = False) -> str | list[str]:
        """One id -> its piece, several -> theirs. Raises OptionError for an id outside the vocabulary."""
        pieces = self.tokenizer.pieces(ids)
        if np.ndim(ids) == 0:
            return pieces[0]
        special = self.all_special_tokens if skip_special_tokens else ()
        return [piece for piece in pieces if piece not in special]

    def convert_tokens_to_ids(self, tokens: str | list[str]) -> int | list[int]:
        """One piece -> its id, several -> theirs; a piece that the vocabulary lacks is <unk>."""
        if isinstance(tokens, str):
            return self.tokenizer.vocab.get(tokens, self.unk_token_id)
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def get_vocab(self) -> dict[str, int]:
        """Piece -> id, a copy."""
        return dict(self.tokenizer.vocab)

    def __len__(self) -> int:
        return len(self.tokenizer)

    @property
    def vocab_size(self) -> int:
        """V, the number of pieces."""
        return len(self.tokenizer)

    @property
    def do_upper_case(self) -> bool:
        """Whether decoded text is upper-cased, as the published evaluation needs it."""
        return self.tokenizer.config.do_upper_case

    @do_upper_case.setter
    def do_upper_case(self, value: bool) -> None:
        self.tokenizer = self.changed(do_upper_case=value)

    @property
    def tgt_lang(self) -> str | None:
        """The target language, None for a model that has only one."""
        return self.tokenizer.config.tgt_lang or next(iter(self.tokenizer.languages), None)

    @tgt_lang.setter
    def tgt_lang(self, value: str) -> None:
        self.tokenizer = self.changed(tgt_lang=value)

    @property
    def lang_code_to_id(self) -> dict[str, int]:
        """Target language -> id of its piece, the `forced_bos_token_id` of a generation."""
        return dict(self.tokenizer.languages)

    @property
    def prefix_tokens(self) -> list[int]:
        """The ids that labels begin with: the language's piece, or none."""
        return self.tokenizer.prefix()

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of <s>, </s>, <unk>, <pad>, then the languages'."""
        t = self.tokenizer
        return [t.bos_token_id, t.eos_token_id, t.unk_token_id, t.pad_token_id, *t.languages.values()]

    @property
    def all_special_tokens(self) -> list[str]:
        """Their pieces."""
        return self.tokenizer.pieces(self.all_special_ids)
