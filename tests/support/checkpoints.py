"""Checkpoint files written byte by byte: right ones, and with one field changed, wrong ones of every kind.

Everything follows the formats' own descriptions (safetensors' README, PKWARE's APPNOTE, Python's pickletools, and what
torch.save writes). It imports neither torch nor the readers it is there to judge; what a refusal must be like is here
as well, since all formats share it.
"""

import json
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from s2t_np.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
SAFETENSORS_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "uint8": "U8",
    "bool": "BOOL",
}
STORAGE_NAMES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


def example() -> dict[str, np.ndarray]:
    """A small state dict with several types, an empty tensor and a scalar."""
    numbers = np.random.default_rng(1)
    return {
        "fc.weight": numbers.standard_normal((2, 3)).astype(np.float32),
        "fc.bias": numbers.standard_normal(3).astype(np.float16),
        "none": np.zeros((0, 4), np.float32),
        "num_batches_tracked": np.array(7),
    }


def saved(folder: Path, name: str, content: bytes) -> Path:
    """Write a file anew."""
    path = folder / name
    path.write_bytes(content)
    return path


def assert_refused(read: Callable, path: Path, *words: str) -> None:
    """`read` ends in a ModelError that names the file and says the words, in 2 seconds and 24 MB at most."""
    begun = time.process_time()
    with pytest.raises(ModelError) as refusal:
        read(path)
    assert time.process_time() - begun < 2
    assert peak_memory(read, path) < 24 << 20
    message = str(refusal.value)
    assert str(path) in message and "\n" not in message and len(message) < 1000 + len(str(path))
    assert not [word for word in words if word not in message], message


def peak_memory(read: Callable, path: Path) -> int:
    """Bytes allocated at most, by Python and numpy, on the way to the refusal."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelError):
            read(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def assert_refused_or_read(read: Callable, path: Path) -> bool:
    """Either a ModelError, or arrays whose every byte can be touched. True if they were read."""
    try:
        arrays = read(path)
    except ModelError as error:
        assert str(path) in str(error)
        return False
    for array in arrays.values():
        assert array.nbytes < 1 << 20 and len(array.tobytes()) == array.nbytes
    return True


def corruptions(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies of a file with one byte changed."""
    random = np.random.default_rng(seed)
    for position, change in zip(random.integers(0, len(content), count), random.integers(1, 256, count), strict=True):
        damaged = bytearray(content)
        damaged[position] ^= change
        yield bytes(damaged)


# safetensors


def safetensors_header(tensors: dict[str, np.ndarray]) -> dict:
    """The header of tensors that follow one another."""
    header, begin = {"__metadata__": {"format": "pt"}}, 0
    for name, array in tensors.items():
        end = begin + array.nbytes
        dtype = SAFETENSORS_NAMES[array.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    return header


def safetensors_file(header: dict | bytes, buffer: bytes, length: int | None = None) -> bytes:
    """Length, header, buffer; `length` replaces the true length of the header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + buffer


def safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    return safetensors_file(safetensors_header(tensors), b"".join(array.tobytes() for array in tensors.values()))


# Pickles: each function gives the instructions that push one object


def program(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + struct.pack("<B", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + struct.pack("<B", len(raw)) + raw


def tup(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def numbers(values) -> bytes:
    return tup(*map(number, values))


def name_of(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return name_of(module, name) + tup(*arguments) + b"R"


ORDERED_DICT = call("collections", "OrderedDict")
METADATA = b"}" + text("_metadata") + ORDERED_DICT + b"sb"  # what torch hangs on a state dict


def dictionary(items: dict[str, bytes], empty: bytes = b"}") -> bytes:
    return empty + b"(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


@dataclass(frozen=True)
class View:
    """A tensor as a pickle describes it; every field can be made a lie."""

    kind: str
    key: str
    count: int
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def storage(self, legacy: bool) -> bytes:
        kind = name_of("torch", self.kind)
        parts = [text("storage"), kind, text(self.key), text("cpu"), number(self.count)] + [b"N"] * legacy
        return tup(*parts) + b"Q"

    def tensor(self, legacy: bool = False) -> bytes:
        parts = [self.storage(legacy), number(self.offset), numbers(self.size), numbers(self.stride)]
        return call("torch._utils", "_rebuild_tensor_v2", *parts, b"\x89", ORDERED_DICT)


def view_of(array: np.ndarray, key: str, **lies) -> View:
    """The truth about a contiguous array that has a storage to itself, but for `lies`."""
    stride = tuple(step // array.itemsize for step in array.strides)
    return replace(View(STORAGE_NAMES[array.dtype.name], key, array.size, 0, array.shape, stride), **lies)


def views_of(tensors: dict[str, np.ndarray]) -> dict[str, View]:
    return {name: view_of(array, str(i)) for i, (name, array) in enumerate(tensors.items())}


def state_dict(views: dict[str, View], legacy: bool = False) -> bytes:
    """The pickle of an OrderedDict of tensors with `_metadata`."""
    items = {name: view.tensor(legacy) for name, view in views.items()}
    return program(dictionary(items, ORDERED_DICT), METADATA)


# Zip archives


@dataclass(frozen=True)
class Entry:
    """A zip entry; what is None is told truthfully."""

    name: str
    data: bytes
    method: int = 0
    flags: int = 0x0808  # sizes follow the data, names in UTF-8: as torch writes
    local_name: str | None = None
    local_flags: int | None = None
    local_size: int = 0
    size: int | None = None
    packed: int | None = None
    offset: int | None = None
    disk: int = 0
    extra: bytes = b""

    def local(self, at: int, align: int) -> bytes:
        name = (self.name if self.local_name is None else self.local_name).encode()
        flags = self.flags if self.local_flags is None else self.local_flags
        padding = -(at + 30 + len(name) + 4) % align
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        sizes = (0, self.local_size, self.local_size, len(name), len(extra))
        header = struct.pack("<4s5H3L2H", b"PK\3\4", 0, flags, self.method, 0, 0, *sizes)
        after = struct.pack("<4s3L", b"PK\7\x08", zlib.crc32(self.data), len(self.data), len(self.data))
        return header + name + extra + self.data + after

    def central(self, at: int) -> bytes:
        size = len(self.data) if self.size is None else self.size
        packed = size if self.packed is None else self.packed
        name, offset = self.name.encode(), at if self.offset is None else self.offset
        head = struct.pack("<4s6H", b"PK\1\2", 0, 0, self.flags, self.method, 0, 0)
        sizes = struct.pack("<3L3H", zlib.crc32(self.data), packed, size, len(name), len(self.extra), 0)
        return head + sizes + struct.pack("<2H2L", self.disk, 0, 0, offset) + name + self.extra


def zip_archive(entries: list[Entry], /, zip64: bool = True, comment: bytes = b"", align: int = 64, **lies) -> bytes:
    """The archive; `lies` replace fields of the end records: entries, size, offset, disk, entries64, offset64, ..."""
    body, directory = b"", b""
    for entry in entries:
        directory += entry.central(len(body))
        body += entry.local(len(body), align)
    truth = {"entries": len(entries), "size": len(directory), "offset": len(body), "disk": 0, "comment": len(comment)}
    told = truth | {key: value for key, value in lies.items() if key in truth}
    end = (told["disk"], 0, told["entries"], told["entries"], told["size"], told["offset"], told["comment"])
    middle = zip64_end(len(body) + len(directory), truth, lies) if zip64 else b""
    return body + directory + middle + struct.pack("<4s4H2LH", b"PK\5\6", *end) + comment


def zip64_end(at: int, truth: dict, lies: dict) -> bytes:
    """The zip64 end record, which lies at `at`, and its locator."""
    entries, size, offset = (lies.get(f"{key}64", truth[key]) for key in ("entries", "size", "offset"))
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", lies.get("record64", 44), 45, 45, 0, 0, entries, entries, size, offset
    )
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, lies.get("locator64", at), lies.get("disks64", 1))


def torch_entries(tensors: dict[str, np.ndarray], views: dict[str, View] | None = None) -> dict[str, Entry]:
    """The entries torch.save writes, by their name without the folder."""
    views = views_of(tensors) if views is None else views
    contents = {"data.pkl": state_dict(views), "byteorder": b"little"}
    contents |= {f"data/{i}": array.tobytes() for i, array in enumerate(tensors.values())}
    contents |= {"version": b"3\n"}
    return {name: Entry(f"pytorch_model/{name}", content) for name, content in contents.items()}


def torch_zip(tensors: dict[str, np.ndarray], views: dict[str, View] | None = None, **options) -> bytes:
    return zip_archive(list(torch_entries(tensors, views).values()), **options)


def pickled_zip(*parts: bytes) -> bytes:
    """A torch archive whose pickle consists of these instructions, with storage 0 of six float32."""
    entries = [Entry("m/data.pkl", program(*parts)), Entry("m/data/0", np.arange(6, dtype=np.float32).tobytes())]
    return zip_archive(entries)


# The stream before torch 1.6


def torch_legacy(tensors: dict[str, np.ndarray], views: dict[str, View] | None = None, **lies: bytes) -> bytes:
    """The five pickles and the storages; `lies` replace parts: magic, protocol, system, object, keys, storages."""
    views = views_of(tensors) if views is None else views
    storages = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in tensors.values())
    keys = b"](" + b"".join(text(str(i)) for i in range(len(tensors))) + b"e"
    parts = {
        "magic": program(number(MAGIC)),
        "protocol": program(number(1001)),
        "system": program(dictionary({"protocol_version": number(1001), "little_endian": b"\x88"})),
        "object": state_dict(views, legacy=True),
        "keys": program(keys),
        "storages": storages,
    }
    return b"".join((parts | lies).values())
