"""numpy's own files, .npy and .npz: read whole, or refused with one kind of error.

The header of an .npy file is text that Python's parser reads, and an .npz is a zip archive: a damaged file can raise
whatever numpy, the parser, zipfile and zlib have.
"""

import struct
import tokenize
import zipfile
import zlib

import numpy as np

DAMAGED = (
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,  # a shape that no memory holds
    SyntaxError,
    RuntimeError,  # RecursionError and NotImplementedError, an encrypted archive
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_numpy(file) -> np.ndarray | dict[str, np.ndarray]:
    """The array of an .npy file, or {name: array} of an .npz; `file` is a path or open.

    Pickled objects are refused. Raises ValueError, with the reason in one line, for a damaged file, and OSError for one
    that cannot be opened or read.
    """
    try:
        with np.errstate(all="ignore"):  # a shape beyond all numbers is refused without numpy's warning
            found = np.load(file, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else dict(found)
    except DAMAGED as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ValueError(f"{reason:.200}") from error
