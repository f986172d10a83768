"""The containers that the classes hand around: dicts whose entries are attributes, arrays with the methods of tensors.

Programs written for torch call `.to(device)`, `.cuda()`, `.cpu()`, `.detach()`, `.numpy()` on them. Everything here is
computed on the CPU in numpy, so these return what there is, with an InputWarning where more was asked for.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from ..errors import InputWarning, OptionError


def accept_device(device) -> None:
    """Give an InputWarning for a device other than the CPU, so that the program still runs."""
    if str(device) != "cpu":
        warnings.warn(f'.to("{device}") changes nothing: s2t-np computes on the CPU', InputWarning, stacklevel=3)


class OnCPU:
    """The methods that move or convert a torch object; each returns the object itself."""

    def to(self, device="cpu", *args, **kwargs):
        """Return self; another device than "cpu" gets an InputWarning."""
        accept_device(device)
        return self

    def cuda(self, device=None):
        """Return self, with an InputWarning."""
        told = ".cuda() changes nothing: s2t-np computes on the CPU; leave it out, or write .cpu()"
        warnings.warn(told, InputWarning, stacklevel=2)
        return self

    def half(self):
        """Return self, with an InputWarning: half precision is chosen with `from_pretrained(..., dtype="float16")`."""
        told = '.half() changes nothing: from_pretrained(..., dtype="float16") keeps the weights in half precision'
        warnings.warn(told, InputWarning, stacklevel=2)
        return self

    def cpu(self):
        """Return self."""
        return self

    def detach(self):
        """Return self."""
        return self

    def float(self):
        """Return self."""
        return self


class Fields(dict):
    """A dict whose entries are attributes too: `batch.input_features` is `batch["input_features"]`."""

    def to(self, device="cpu", *args, **kwargs) -> "Fields":
        """Return self; another device than "cpu" gets an InputWarning."""
        accept_device(device)
        return self

    def __getattr__(self, name: str):
        if name in self:
            return self[name]
        raise AttributeError(f"there is no {name!r} here, only {', '.join(self)}")

    @property
    def data(self) -> dict:
        """The entries themselves, as upstream's containers have them."""
        return self


class Array(OnCPU, np.ndarray):
    """A numpy array with the methods of a tensor that move nothing."""

    def numpy(self) -> np.ndarray:
        """The same memory as a plain array."""
        return np.asarray(self)


def check_return_tensors(return_tensors) -> None:
    """Raise OptionError for anything but "np" or None."""
    if getattr(return_tensors, "value", return_tensors) not in (None, "np"):
        raise OptionError(f'return_tensors is {return_tensors!r:.40}, expected "np": arrays here are numpy\'s')


def as_array(value, name: str) -> np.ndarray:
    """An array, a tensor, or anything with `__array__`, as an array. Raises OptionError."""
    try:
        return np.asarray(value)
    except Exception as error:  # ragged lists, tensors on a GPU or with gradients: each fails in its own way
        raise OptionError(f"{name}: a {type(value).__name__} cannot be taken as an array ({error!s:.100})") from None


def as_list(batch):
    """A sequence of another type, such as a column of a data set, as a list; anything else as it is."""
    plain = isinstance(batch, list | tuple | str | bytes | bytearray | memoryview)
    return list(batch) if isinstance(batch, Sequence) and not plain else batch


def rows_of(batch) -> list:
    """The rows of a batch: of an array, a tensor, or a sequence; none for what is neither."""
    batch = as_list(batch)
    if not isinstance(batch, np.ndarray | list | tuple) and hasattr(batch, "__array__"):
        batch = as_array(batch, "the batch")
    return list(batch) if isinstance(batch, list | tuple) or np.ndim(batch) > 0 else []


def examples(batch, wanted: str) -> Fields:
    """The input of `pad`, a list of dicts or a dict of lists, as {field: rows}. Raises OptionError."""
    batch = as_list(batch)
    if isinstance(batch, list | tuple) and batch and all(hasattr(example, "keys") for example in batch):
        batch = {key: [example[key] for example in batch] for key in batch[0]}
    if not hasattr(batch, "keys") or wanted not in batch:
        found = ", ".join(map(str, batch)) if hasattr(batch, "keys") else type(batch).__name__
        raise OptionError(f"pad needs {wanted}, a dict of lists or a list of dicts that have it; found {found:.80}")
    fields = {key: as_list(batch[key]) for key in batch}
    if isinstance(fields[wanted], list | tuple | np.ndarray):
        sizes = {key: len(rows) for key, rows in fields.items() if hasattr(rows, "__len__")}
        if len(set(sizes.values())) > 1:
            raise OptionError(f"pad needs as many rows of each field, found {sizes}")
    return Fields(fields)
