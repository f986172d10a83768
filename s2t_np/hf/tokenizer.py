"""`Speech2TextTokenizer`: text to ids and back, one or many; the pieces are cut and joined in s2t_np/tokenizer.py."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from ..config import TokenizerConfig, read_bounded, read_json, write_json
from ..errors import OptionError
from ..settings.fields import check_fields
from ..tokenizer import MAX_MODEL_BYTES, Tokenizer
from .batch import Fields, as_array, as_list, examples, rows_of
from .encode_options import NEUTRAL, EncodeOptions
from .lengths import Lengths, check_side, stack
from .pretrained import Pretrained, check_names
from .special_tokens import SpecialTokens, refuse_pairs
from .tokenizer_settings import TokenizerSettings

SETTINGS = tuple(field.name for field in dataclasses.fields(TokenizerConfig))
FILLERS = {"attention_mask": 0, "special_tokens_mask": 1}  # what these fields are padded with


class Speech2TextTokenizer(TokenizerSettings, SpecialTokens, Pretrained):
    """A `Tokenizer` under upstream's names. Its settings, the fields of `TokenizerConfig`, may be set as attributes."""

    model_input_names = ("input_ids", "attention_mask")
    vocab_files_names = {"vocab_file": "vocab.json", "spm_file": "sentencepiece.bpe.model"}  # noqa: RUF012, upstream's
    is_fast = False

    def __init__(self, vocab_file: str | os.PathLike, spm_file: str | os.PathLike, **settings):
        """From the two files of a vocabulary. Raises ModelError, OptionError."""
        check_names(settings, SETTINGS, "tokenizer")
        config = dataclasses.replace(TokenizerConfig(), **settings)
        check_fields(config, "tokenizer", OptionError)
        model = read_bounded(Path(spm_file), MAX_MODEL_BYTES, "a SentencePiece model")
        self.tokenizer = Tokenizer(read_json(Path(vocab_file)), model, config, Path(vocab_file).parent)

    @classmethod
    def wrapping(cls, tokenizer: Tokenizer) -> "Speech2TextTokenizer":
        """A loaded `Tokenizer` under upstream's names."""
        made = cls.__new__(cls)
        made.tokenizer = tokenizer
        return made

    @classmethod
    def from_folder(cls, folder: Path, **overrides) -> "Speech2TextTokenizer":
        """From vocab.json, sentencepiece.bpe.model, tokenizer_config.json. Raises ModelError, OptionError."""
        check_names(overrides, SETTINGS, "tokenizer")
        loaded = cls.wrapping(Tokenizer.from_folder(folder))
        return cls.wrapping(loaded.changed(**overrides)) if overrides else loaded

    def save_vocabulary(self, save_directory: str | os.PathLike, filename_prefix: str | None = None) -> tuple[str, str]:
        """Write vocab.json and the SentencePiece model to an existing folder; their paths. Raises OSError."""
        folder, start = Path(save_directory), f"{filename_prefix}-" if filename_prefix else ""
        vocab, model = (folder / f"{start}{name}" for name in self.vocab_files_names.values())
        write_json(vocab, self.tokenizer.vocab)
        model.write_bytes(self.tokenizer.processor.serialized_model_proto())
        return str(vocab), str(model)

    def write_files(self, folder: Path) -> list[Path]:
        """Write the three files that `from_folder` reads."""
        settings = folder / "tokenizer_config.json"
        write_json(settings, dataclasses.asdict(self.tokenizer.config) | {"tokenizer_class": type(self).__name__})
        return [settings, *map(Path, self.save_vocabulary(folder))]

    def __call__(
        self, text=None, text_pair=None, text_target=None, text_pair_target=None, add_special_tokens=True, **options
    ) -> Fields:
        """One text or several -> `input_ids`, `attention_mask`: lists, or with `return_tensors="np"` int64 (B, U).

        text_target: the same for labels; together with `text` its ids become `labels`. options: the fields of
        EncodeOptions,
        and max_target_length. Raises OptionError.
        """
        refuse_pairs(text_pair)
        refuse_pairs(text_pair_target)
        if text is None and text_target is None:
            raise OptionError("text is None, expected a string or a list of strings, or text_target=")
        target_length = options.pop("max_target_length", None)
        encoded = None if text is None else self.encoded(text, add_special_tokens, options)
        if text_target is None:
            return encoded
        more = {"max_length": target_length} if target_length is not None else {}
        target = self.encoded(text_target, add_special_tokens, options | more)
        return target if encoded is None else Fields(encoded, labels=target.input_ids)

    def encoded(self, text: str | list[str], add_special_tokens: bool, options: dict) -> Fields:
        """The fields of one text or several. Raises OptionError."""
        text = as_list(text)
        if not isinstance(text, str | list | tuple):
            raise OptionError(f"text is {text!r:.40}, expected a string or a list of strings")
        wanted = EncodeOptions.of(options)
        lengths = wanted.lengths(self.model_max_length)
        rows = [self.ids(x, add_special_tokens, lengths) for x in ([text] if isinstance(text, str) else text)]
        fields = {"input_ids": rows}
        if wanted.return_special_tokens_mask:
            own = len(self.prefix_tokens), 1
            fields["special_tokens_mask"] = [
                [1] * own[0] + [0] * (len(row) - sum(own)) + [1] if add_special_tokens else [0] * len(row)
                for row in rows
            ]
        batch = self.padded(fields, lengths, wanted)
        if wanted.return_length:
            batch["length"] = [len(row) for row in batch.input_ids]
        single = isinstance(text, str) and wanted.return_tensors is None
        return Fields({name: value[0] for name, value in batch.items()}) if single else batch

    def ids(self, text: str, add_special_tokens: bool, lengths: Lengths) -> list[int]:
        """Text -> ids (U,); where they are too many it is the text that gives way. Raises OptionError."""
        ids = self.convert_tokens_to_ids(self.tokenize(text))
        if lengths.truncation:
            kept = max(lengths.max_length - add_special_tokens * self.num_special_tokens_to_add(), 0)
            ids = ids[max(len(ids) - kept, 0) :] if self.truncation_side == "left" else ids[:kept]
        return self.build_inputs_with_special_tokens(ids) if add_special_tokens else ids

    def padded(self, fields: dict, lengths: Lengths, wanted: EncodeOptions) -> Fields:
        """Rows of ids by field, brought to one length: lists, or with `return_tensors` arrays. Raises OptionError."""
        side = check_side(self.padding_side if wanted.padding_side is None else wanted.padding_side)
        if wanted.return_attention_mask is not False and "attention_mask" not in fields:
            fields = fields | {"attention_mask": [[1] * len(row) for row in fields["input_ids"]]}
        fillers = FILLERS | {"input_ids": self.pad_token_id}
        batch = {}
        for name, rows in fields.items():
            rows = [np.array(row, np.int64) if name in fillers else as_array(row, name) for row in rows]
            batch[name] = lengths.pad(rows, fillers[name], side) if name in fillers else rows
        if wanted.return_tensors:
            return Fields({name: stack(rows) for name, rows in batch.items()})
        return Fields({name: [row.tolist() for row in rows] for name, rows in batch.items()})

    def pad(self, encoded_inputs, padding: bool | str = True, max_length: int | None = None, **options) -> Fields:
        """Encoded texts, as a data collator has them, brought to one length.

        encoded_inputs: a dict of rows of ids, of one row, or a list of dicts of one row each; fields other than
        input_ids and its masks stay as they are. options: the fields of EncodeOptions. The result is arrays where
        arrays came in. Raises OptionError.
        """
        fields = examples(encoded_inputs, "input_ids")
        ids = fields["input_ids"]
        first = ids[0] if len(ids) else []
        if options.get("return_tensors") is None and hasattr(first, "__array__"):
            options |= {"return_tensors": "np"}
        one = len(ids) > 0 and np.ndim(first) == 0
        wanted = EncodeOptions.of({"padding": padding, "max_length": max_length, "truncation": False} | options)
        rows = {name: [value] if one else rows_of(value) for name, value in fields.items()}
        if not len(ids):
            return Fields(fields, attention_mask=[])
        batch = self.padded(rows, wanted.lengths(self.model_max_length), wanted)
        return Fields({name: value[0] for name, value in batch.items()}) if one else batch

    def encode(self, text: str, text_pair=None, add_special_tokens: bool = True, **options) -> list[int]:
        """Text -> ids (U,): the language's piece, if the model has languages, the pieces of the text, EOS.

        options: the fields of EncodeOptions. With truncation it is the text that gives way. Raises OptionError.
        """
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options)["input_ids"]

    def tokenize(self, text: str, **options) -> list[str]:
        """Text -> its pieces, without special ones before and after. Raises OptionError."""
        check_names(options, ("add_special_tokens", *NEUTRAL), "tokenize")
        if options.get("add_special_tokens"):
            return self.convert_ids_to_tokens(self.encode(text))
        return self.tokenizer.tokenize(text)

    def decode(
        self, token_ids, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None, **options
    ) -> str | list[str]:
        """Ids (U,) -> text; several sequences of ids -> a list of texts. Raises OptionError for an unknown id.

        clean_up_tokenization_spaces: close the space before punctuation; None does as tokenizer_config.json says.
        """
        check_names(options, ("use_source_tokenizer", "spaces_between_special_tokens"), "decode")
        if hasattr(token_ids, "__array__"):
            token_ids = as_array(token_ids, "token_ids")
        several = np.ndim(token_ids[0]) > 0 if np.iterable(token_ids) and len(token_ids) else False
        decoded = self.tokenizer.batch_decode if several else self.tokenizer.decode
        return decoded(token_ids, skip_special_tokens, clean_up_tokenization_spaces)

    def batch_decode(self, sequences, *args, **options) -> list[str]:
        """Several sequences of ids, such as the rows that `generate` returns -> their texts. Raises OptionError."""
        texts = self.decode(sequences, *args, **options)
        return [texts] if isinstance(texts, str) else texts

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Pieces -> text, special pieces with a space after each."""
        return self.tokenizer.string(tokens)

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

    def add_tokens(self, new_tokens, special_tokens: bool = False) -> int:
        """Raise OptionError: the vocabulary is the network's, which is not trained here."""
        raise OptionError(f"{new_tokens!r:.40} cannot be added: the vocabulary is that of a trained network")

    def __len__(self) -> int:
        return len(self.tokenizer)

    @property
    def vocab_size(self) -> int:
        """V, the number of pieces."""
        return len(self.tokenizer)
