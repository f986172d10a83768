"""A padded batch taken apart: its utterances by the mask, its rows of token ids."""

import warnings
from typing import NamedTuple

import numpy as np

from ..config import GenerationConfig
from ..errors import InputWarning, OptionError
from .batch import as_array, rows_of


class Utterance(NamedTuple):
    """One row of a batch: its own frames (T, M), and the length it was padded to where that is to show."""

    features: np.ndarray
    padded_length: int | None


def split(input_features, attention_mask, padded_as_upstream: bool) -> list[Utterance]:
    """A batch (B, T, M), or a list of B arrays (T, M), with a mask (B, T) -> its utterances. Raises OptionError."""
    rows = arrays(input_features)
    if not rows or any(row.ndim != 2 or row.dtype.kind not in "fiu" for row in rows):
        found = ", ".join(str(row.shape) for row in rows[:3]) or repr(input_features)
        raise OptionError(f"input_features hold {found:.80}, expected (frames, bins) for each utterance of a batch")
    masks = full_masks(rows) if attention_mask is None else arrays(attention_mask)
    if (shapes := [mask.shape for mask in masks]) != (expected := [(len(row),) for row in rows]):
        raise OptionError(f"attention_mask holds rows of {shapes!s:.60}, expected {expected!s:.60}: one a frame")
    longest = max(map(len, rows))
    runs = [run_of_ones(mask, i) for i, mask in enumerate(masks)]
    if padded_as_upstream and any(run.start > 0 for run in runs):
        raise OptionError("padded_as_upstream with padding on the left: upstream masks the wrong end there")
    return [Utterance(row[run], longest if padded_as_upstream else None) for row, run in zip(rows, runs, strict=True)]


def full_masks(rows: list[np.ndarray]) -> list[np.ndarray]:
    """A mask (T,) of ones for each row (T, M), with an InputWarning where a row seems to end in padding."""
    if len(rows) > 1 and any(len(row) and not row[-1].any() for row in rows):
        told = "pass attention_mask: without it the padding of the shorter rows counts as sound"
        warnings.warn(told, InputWarning, stacklevel=4)
    return [np.ones(len(row)) for row in rows]


def arrays(batch) -> list[np.ndarray]:
    """The rows of an array, of a tensor, or of a list of either; none for what is neither."""
    return [as_array(row, "a row of the batch") for row in rows_of(batch)]


def run_of_ones(mask: np.ndarray, row: int) -> slice:
    """Return the place of the ones in a mask (T,). Raises OptionError unless they are one run."""
    ones = np.flatnonzero(mask)
    if len(ones) == 0 or ones[-1] - ones[0] + 1 != len(ones):
        raise OptionError(f"attention_mask row {row} has {len(ones)} ones, expected one run of at least one")
    return slice(int(ones[0]), int(ones[-1]) + 1)


def id_rows(ids, name: str, count: int) -> np.ndarray:
    """Token ids (B, U) as int64. Raises OptionError."""
    try:
        rows = np.asarray(ids)
    except Exception:  # a ragged list, or a tensor that cannot be had as an array
        raise OptionError(f"{name} have rows of different lengths; pad them, labels with -100") from None
    if rows.ndim != 2 or len(rows) != count or rows.shape[1] == 0 or rows.dtype.kind not in "iu":
        raise OptionError(f"{name} have shape {rows.shape} and type {rows.dtype}, expected integers ({count}, length)")
    return rows.astype(np.int64)


def prompt_rows(decoder_input_ids, count: int, config: GenerationConfig) -> list[list[int]]:
    """The beginning of each of B rows: the start token, which upstream adds where it is missing, and the prefix."""
    start = [config.decoder_start_token_id]
    if decoder_input_ids is None:
        return [start] * count
    rows = id_rows(decoder_input_ids, "decoder_input_ids", count).tolist()
    return [row if row[:1] == start else start + row for row in rows]
