"""safetensors: a header that says everything, then the numbers.

    8 bytes      length of the header, little-endian
    header       JSON: {name: {"dtype": "F32", "shape": [3, 2], "data_offsets": [begin, end]}, "__metadata__": {...}}
    the rest     one buffer; the offsets count from its first byte

The rules are those of the format's description (github.com/huggingface/safetensors, README.md, "Format"): the header
has at most 100 MB and begins with "{", keys are unique, and the tensors cover the buffer without a hole or an overlap.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import ModelError
from . import file_bytes
from .file_bytes import Element, FileBytes, Malformed, blame, elements, is_natural, is_shape, open_file, opened, shown
from .unread import Unread

MAX_HEADER = 100_000_000  # bytes, the format's own limit
MAX_VALUES = 1_000_000  # commas in a header; the large model has 3,000
METADATA = "__metadata__"
FIELDS = {"dtype", "shape", "data_offsets"}
DTYPES = {
    name: getattr(file_bytes, name)
    for name in ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
}


class Entry(NamedTuple):
    """One tensor, as the header describes it."""

    name: str
    element: Element
    shape: tuple[int, ...]
    begin: int
    end: int


def read(path: Path) -> dict[str, np.ndarray]:
    """{name: array} of a safetensors file: read-only, bfloat16 widened to float32. Raises ModelError."""
    with blame(path), opened(path) as data:
        entries, buffer = parse(data)
        return {e.name: elements(buffer, e.begin, prod(e.shape), e.element).reshape(e.shape) for e in entries}


def open_tensors(path: Path) -> dict[str, Unread]:
    """The same tensors, which are read when they are asked for. Raises ModelError."""
    with blame(path):
        entries, buffer = parse(open_file(path))
        return {e.name: unread(path, buffer, e) for e in entries}


def unread(path: Path, buffer: FileBytes, e: Entry) -> Unread:
    """One tensor of a file."""

    def read(target: memoryview | None) -> np.ndarray:
        with blame(path):
            return elements(buffer, e.begin, prod(e.shape), e.element, target).reshape(e.shape)

    return Unread(e.shape, np.float32 if e.element.upper_half else e.element.stored, e.end - e.begin, read)


def parse(data: FileBytes) -> tuple[list[Entry], FileBytes]:
    """The tensors that the header describes, checked, and the buffer after it."""
    header, buffer = split(data)
    check_metadata(header.pop(METADATA, {}))
    entries = [parse_entry(name, fields) for name, fields in header.items()]
    check_layout(entries, len(buffer))
    return entries, buffer


def split(data: FileBytes) -> tuple[dict, FileBytes]:
    """The parsed header and the buffer after it, both bounded by the size of the file."""
    if len(data) < 8:
        raise Malformed(f"has {len(data)} bytes, expected at least the 8 of the header's length")
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > MAX_HEADER:
        raise Malformed(f"claims a header of {length} bytes, expected at most {MAX_HEADER}")
    if length > len(data) - 8:
        raise Malformed(f"claims a header of {length} bytes, but only {len(data) - 8} follow: the file is cut short")
    return parse_header(data[8 : 8 + length].tobytes()), data[8 + length :]


def parse_header(raw: bytes) -> dict:
    """The header's JSON object, with nothing in it that a header cannot hold."""
    if raw[:1] != b"{":
        raise Malformed(f"the header begins with {shown(raw[:1])}, expected '{{'")
    if raw.count(b",") > MAX_VALUES:
        raise Malformed(f"the header lists more than {MAX_VALUES} values, expected the tensors of one model")
    hooks = {"parse_float": _no_float, "parse_constant": _no_float, "parse_int": _parse_natural}
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates, **hooks)
    except (ValueError, RecursionError) as error:  # errors of UTF-8 and of JSON are ValueErrors
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Malformed(f"the header is not valid JSON ({reason!s:.200})") from None


def _no_float(literal: str):
    raise Malformed(f"the header holds the number {literal:.40}, expected whole numbers only")


def _parse_natural(literal: str) -> int:
    if literal.startswith("-") or len(literal) > 19:
        raise Malformed(f"the header holds the number {literal:.40}, expected one from 0 to 2^63 - 1")
    return int(literal)


def _no_duplicates(pairs: list[tuple]) -> dict:
    data = {}
    for key, value in pairs:
        if key in data:
            raise Malformed(f"the header gives the key {shown(key)} twice, expected once")
        data[key] = value
    return data


def check_metadata(metadata) -> None:
    """`__metadata__` maps strings to strings; it is not used here."""
    if not isinstance(metadata, dict) or not all(isinstance(part, str) for item in metadata.items() for part in item):
        raise Malformed(f"{METADATA} holds something else than strings, expected an object of strings")
    for text in chain.from_iterable(metadata.items()):
        _printable(text, METADATA)


def parse_entry(name: str, fields) -> Entry:
    """Check one tensor's description by itself."""
    if not isinstance(fields, dict) or fields.keys() != FIELDS:
        raise Malformed(f"tensor {shown(name)} is not described by exactly dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise Malformed(f"tensor {shown(name)} has dtype {shown(dtype)}, expected one of {', '.join(DTYPES)}")
    if not is_shape(shape):
        raise Malformed(
            f"tensor {shown(name)} has shape {shown(shape)}, expected a list of whole numbers that fits memory"
        )
    if type(offsets) is not list or len(offsets) != 2 or not all(map(is_natural, offsets)) or offsets[0] > offsets[1]:
        raise Malformed(
            f"tensor {shown(name)} has data_offsets {shown(offsets)}, expected [begin, end] with begin <= end"
        )
    entry = Entry(_printable(name), DTYPES[dtype], tuple(shape), *offsets)
    if (size := prod(shape) * entry.element.stored.itemsize) != entry.end - entry.begin:
        raise Malformed(
            f"tensor {shown(name)} has {entry.end - entry.begin} bytes, expected {size} for {dtype} {shape}"
        )
    return entry


def _printable(name: str, what: str = "the tensor name") -> str:
    """JSON can spell half of a surrogate pair, which no encoding can print."""
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise Malformed(f"{what} {shown(name)} holds an unpaired surrogate, expected Unicode text")
    return name


def check_layout(entries: list[Entry], size: int) -> None:
    """Together the tensors cover the buffer of `size` bytes: no hole, no overlap, nothing after the last."""
    covered = 0
    for entry in sorted(entries, key=lambda e: (e.begin, e.end)):
        if entry.begin != covered:
            problem = "leaves a hole" if entry.begin > covered else "overlaps the one before it"
            raise Malformed(f"tensor {shown(entry.name)} {problem}: it begins at {entry.begin}, expected {covered}")
        covered = entry.end
    if covered != size:
        raise Malformed(
            f"the tensors take {covered} bytes, but {size} follow the header: the file is cut short or longer"
        )


def write(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] = MappingProxyType({"format": "pt"}),  # transformers wants to see this
) -> None:
    """Write {name: array} so that this module, safetensors and transformers read it. Raises ModelError.

    The order is fixed (wide types first, then by name), so equal tensors make equal files and all numbers are aligned.
    A reader sees the old file or the new one, never a part: the bytes go to a draft in the same folder, which then
    takes the name.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    with blame(path):
        header = encode_header({name: tensors[name] for name in order}, metadata)
    with replacing(Path(path)) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name in order:
            array = tensors[name]
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            file.write(little.reshape(-1).view(np.uint8))


def encode_header(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The header for arrays that will follow one another in this order, padded with spaces to 8 bytes."""
    check_metadata(dict(metadata))
    header, begin = {METADATA: dict(metadata)}, 0
    for name, array in tensors.items():
        end = begin + array.nbytes
        header[_free(name)] = {"dtype": dtype_name(name, array), "shape": array.shape, "data_offsets": [begin, end]}
        begin = end
    raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return raw + b" " * (-len(raw) % 8)


def _free(name: str) -> str:
    if name == METADATA:
        raise Malformed(f"no tensor can have the name {METADATA}", "rename it")
    return _printable(name)


def dtype_name(name: str, array: np.ndarray) -> str:
    """The format's word for an array's type."""
    for word, element in DTYPES.items():
        if element.stored == array.dtype.newbyteorder("<") and not element.upper_half:
            return word
    raise Malformed(f"tensor {shown(name)} is {array.dtype}, which the format has no word for", "convert it to float32")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes `path` when all went well, and vanishes when not. Raises ModelError."""
    draft = path.with_name(f".{path.name}.{os.urandom(16).hex()}")
    try:
        with open(draft, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be written ({error.strerror or error}); check space and permissions"
        ) from None
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):  # it has taken its name, or could not be opened at all
            draft.unlink()
