"""Batching of rows of different lengths (frames, tokens): padding, truncation, one array.

The meaning of padding, max_length, truncation and pad_to_multiple_of is that of transformers 5.x
(`SequenceFeatureExtractor.pad`, `PreTrainedTokenizerBase._get_padding_truncation_strategies`).
"""

from typing import NamedTuple

import numpy as np

from ..errors import OptionError
from .batch import Array

PADDINGS = (True, False, "longest", "max_length", "do_not_pad")
TRUNCATIONS = (True, False, None, "longest_first", "only_first", "do_not_truncate")
UNLIMITED = 10**20  # a model_max_length beyond this says that there is none


class Lengths(NamedTuple):
    """The four arguments; names and meaning are upstream's."""

    padding: bool | str = False  # True or "longest", "max_length", False or "do_not_pad"
    max_length: int | None = None
    truncation: bool | str | None = False
    pad_to_multiple_of: int | None = None

    def check(self) -> "Lengths":
        """The arguments with enums and strategies reduced to True, False and strings.

        Raises OptionError for an invalid value, or for two that contradict each other.
        """
        padding, truncation = (getattr(x, "value", x) for x in (self.padding, self.truncation))
        if not any(padding is known or padding == known != 1 for known in PADDINGS):
            raise OptionError(f'padding is {padding!r:.40}, expected True or "longest", "max_length", False')
        if truncation == "only_second" or not any(truncation is known or truncation == known for known in TRUNCATIONS):
            raise OptionError(f"truncation is {truncation!r:.40}, expected True or False")
        for name in ("max_length", "pad_to_multiple_of"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
                raise OptionError(f"{name} is {value!r:.40}, expected a whole number of at least 1")
        cut = truncation not in (False, None, "do_not_truncate")
        return self._replace(padding=False if padding == "do_not_pad" else padding, truncation=cut)

    def check_frames(self) -> "Lengths":
        """`check` for features, which have no length of their own to fall back on. Raises OptionError."""
        checked = self.check()
        if self.max_length is None and (checked.truncation or checked.padding == "max_length"):
            raise OptionError('truncation and padding="max_length" need a max_length')
        return checked

    def check_tokens(self, model_max_length: float) -> "Lengths":
        """`check` for text: without `max_length` the model's counts, if it has one. Raises OptionError."""
        checked = self.check()
        if self.truncation is None and self.max_length is not None and checked.padding is False:
            checked = checked._replace(truncation=True)  # upstream: a length by itself asks for truncation
        if self.max_length is None and model_max_length <= UNLIMITED:
            checked = checked._replace(max_length=int(model_max_length))
        if checked.max_length is None:
            padding = False if checked.padding == "max_length" else checked.padding
            checked = checked._replace(truncation=False, padding=padding)
        elif checked.truncation and checked.padding and checked.max_length % (self.pad_to_multiple_of or 1):
            multiple = f"pad_to_multiple_of {self.pad_to_multiple_of}"
            raise OptionError(f"max_length {checked.max_length} is not a multiple of {multiple}, which both ask for")
        return checked

    def rounded_up(self, length: int) -> int:
        """The next multiple of `pad_to_multiple_of`."""
        multiple = self.pad_to_multiple_of or 1
        return -(-length // multiple) * multiple

    def target(self, rows: list) -> int:
        """The common length that rows are padded to, 0 for none."""
        if not self.padding:
            return 0
        return self.rounded_up(self.max_length if self.padding == "max_length" else max(map(len, rows)))

    def pad(self, rows: list[np.ndarray], value: float, side: str = "right") -> list[np.ndarray]:
        """Rows (length, ...) with `value` added on one side up to the common length; longer ones stay as they are."""
        target = self.target(rows)
        return [pad_row(row, max(target - len(row), 0), value, side) for row in rows]


def pad_row(row: np.ndarray, missing: int, value: float, side: str = "right") -> np.ndarray:
    """(length, ...) -> (length + missing, ...)."""
    widths = [(0, missing) if side == "right" else (missing, 0)] + [(0, 0)] * (row.ndim - 1)
    return np.pad(row, widths, constant_values=value)


def check_side(side: str, name: str = "padding_side") -> str:
    """The side, "right" or "left". Raises OptionError."""
    if side not in ("right", "left"):
        raise OptionError(f'{name} is {side!r:.40}, expected "right" or "left"')
    return side


def stack(rows: list[np.ndarray]) -> Array:
    """B rows of one shape -> (B, ...). Raises OptionError where their lengths differ."""
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise OptionError(
            f"rows of {lengths[0]} to {lengths[-1]} cannot be one array; pass padding=True (and truncation=True with "
            "max_length), or return_tensors=None for a list"
        )
    return np.stack(rows).view(Array)


def stack_ragged(rows: list[np.ndarray]) -> Array:
    """B rows -> (B, ...), or where their lengths differ an array of B objects, as upstream has it for features."""
    if len({len(row) for row in rows}) == 1:
        return stack(rows)
    ragged = np.empty(len(rows), object)
    ragged[:] = rows
    return ragged.view(Array)
