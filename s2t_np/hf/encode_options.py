"""The options with which a tokenizer is called, under upstream's names."""

from typing import NamedTuple

from ..errors import OptionError
from .batch import check_return_tensors
from .lengths import Lengths
from .pretrained import check_names

# Options of upstream's without a meaning for S2T, and their values that change nothing.
NEUTRAL = {
    "stride": (0,),
    "is_split_into_words": (False,),
    "return_token_type_ids": (None, False),
    "return_overflowing_tokens": (False,),
    "return_offsets_mapping": (False,),
    "split_special_tokens": (None, False),
    "verbose": (True, False),
}


class EncodeOptions(NamedTuple):
    """The options of `__call__`, `encode` and `pad`; names and meaning are upstream's."""

    padding: bool | str = False
    truncation: bool | str | None = None
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    padding_side: str | None = None  # None: the tokenizer's own
    return_tensors: str | None = None
    return_attention_mask: bool | None = None
    return_special_tokens_mask: bool = False
    return_length: bool = False

    @classmethod
    def of(cls, options: dict) -> "EncodeOptions":
        """Raises OptionError for an option that is unknown or not supported."""
        for name in [name for name in options if name in NEUTRAL]:
            if not any(options[name] is value for value in NEUTRAL[name]):
                raise OptionError(f"{name}={options[name]!r:.40} is not supported for S2T")
        rest = {name: value for name, value in options.items() if name not in NEUTRAL}
        check_names(rest, cls._fields, "tokenizer call")
        made = cls(**rest)
        check_return_tensors(made.return_tensors)
        return made

    def lengths(self, model_max_length: float) -> Lengths:
        """Return how rows are cut and padded. Raises OptionError."""
        given = Lengths(self.padding, self.max_length, self.truncation, self.pad_to_multiple_of)
        return given.check_tokens(model_max_length)
