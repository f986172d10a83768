"""What the classes hand around: dicts whose entries are attributes, arrays with `.to`, rows brought to one length.

The meaning of padding, max_length, truncation, pad_to_multiple_of and return_tensors is that of transformers 5.x
(`SequenceFeatureExtractor.pad`, `PreTrainedTokenizerBase.pad`).
"""

import warnings
from typing import NamedTuple

import numpy as np

from ..errors import InputWarning, OptionError


class Fields(dict):
    """A dict whose entries are attributes too: `batch.input_features` is `batch["input_features"]`."""

    def __getattr__(self, name: str):
        if name in self:
            return self[name]
        raise AttributeError(f"there is no {name!r} here, only {', '.join(self)}")

    def to(self, device="cpu") -> "Fields":
        """Itself; see `accept_device`."""
        accept_device(device)
        return self


class Array(np.ndarray):
    """A numpy array on which `.to(device)`, found in every program written for torch, does nothing."""

    def to(self, device="cpu") -> "Array":
        """Itself; see `accept_device`."""
        accept_device(device)
        return self


def accept_device(device) -> None:
    """Everything is computed on the CPU. Another device gets an InputWarning, so that the program still runs."""
    if str(device) != "cpu":
        warnings.warn(f'.to("{device}") changes nothing: s2t-np computes on the CPU', InputWarning, stacklevel=3)


def check_return_tensors(return_tensors: str | None) -> None:
    """Raises OptionError for anything but "np" or None."""
    if return_tensors not in (None, "np"):
        raise OptionError(f'return_tensors is {return_tensors!r:.40}, expected "np": arrays here are numpy\'s')


class Lengths(NamedTuple):
    """How rows of different lengths (frames, tokens) become a batch; names and meaning are upstream's."""

    padding: bool | str = False  # True or "longest", "max_length", False or "do_not_pad"
    max_length: int | None = None
    truncation: bool = False
    pad_to_multiple_of: int | None = None

    def check(self) -> None:
        """Raises OptionError for a value that means nothing, or for two that contradict each other."""
        if self.padding not in (True, False, "longest", "max_length", "do_not_pad"):
            known = 'True or "longest", "max_length", False or "do_not_pad"'
            raise OptionError(f"padding is {self.padding!r:.40}, expected {known}")
        for name in ("max_length", "pad_to_multiple_of"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
                raise OptionError(f"{name} is {value!r:.40}, expected a whole number of at least 1")
        if self.max_length is None and (self.truncation or self.padding == "max_length"):
            raise OptionError('truncation and padding="max_length" need a max_length')

    def rounded_up(self, length: int) -> int:
        """The next multiple of `pad_to_multiple_of`."""
        multiple = self.pad_to_multiple_of or 1
        return -(-length // multiple) * multiple

    def pad(self, rows: list[np.ndarray], value: float, side: str = "right") -> list[np.ndarray]:
        """Rows (length, ...) with `value` appended up to the common length; longer ones stay as they are."""
        if self.padding in (False, "do_not_pad"):
            return rows
        target = self.rounded_up(self.max_length if self.padding == "max_length" else max(map(len, rows)))
        return [pad_row(row, max(target - len(row), 0), value, side) for row in rows]


def pad_row(row: np.ndarray, missing: int, value: float, side: str) -> np.ndarray:
    """(length, ...) -> (length + missing, ...)."""
    widths = [(0, missing) if side == "right" else (missing, 0)] + [(0, 0)] * (row.ndim - 1)
    return np.pad(row, widths, constant_values=value)


def stack(rows: list[np.ndarray]) -> Array:
    """B rows of one shape -> (B, ...). Raises OptionError where their lengths differ."""
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise OptionError(
            f"rows of {lengths[0]} to {lengths[-1]} cannot be one array; pass padding=True (and truncation=True with "
            "max_length), or return_tensors=None for a list"
        )
    return np.stack(rows).view(Array)
