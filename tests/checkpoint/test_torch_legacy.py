"""Reading pytorch_model.bin as torch wrote it before 1.6: a stream of pickles, then raw storages."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from s2t_np.checkpoint import torch_files
from s2t_np.errors import ModelError

from ..support.checkpoints import (
    MAGIC,
    ORDERED_DICT,
    Entry,
    View,
    assert_refused,
    assert_refused_or_read,
    call,
    corruptions,
    dictionary,
    example,
    name_of,
    number,
    numbers,
    program,
    saved,
    text,
    tup,
    view_of,
    zip_archive,
)
from ..support.checkpoints import torch_legacy as stream

SIX = np.arange(6, dtype=np.float32)
X = view_of(SIX, "0")
KEY = b"](" + text("0") + b"e"


def altered(views: dict[str, View] | None = None, **parts: bytes) -> bytes:
    """The stream of one tensor `x` of six float32, with some parts replaced."""
    return stream({"x": SIX}, views, **parts)


def bad(**lies) -> bytes:
    return altered({"x": replace(X, **lies)})


def storage(*parts: bytes) -> bytes:
    """A stream whose storage has this persistent id."""
    tail = (number(0), numbers([6]), numbers([1]), b"\x89", ORDERED_DICT)
    made = call("torch._utils", "_rebuild_tensor_v2", tup(*parts) + b"Q", *tail)
    return altered(object=program(dictionary({"x": made})))


FLOAT = name_of("torch", "FloatStorage")
PARTS = (text("storage"), FLOAT, text("0"), text("cpu"), number(6))
TWO = {"x": X, "y": replace(X, kind="LongStorage", count=3, size=(3,))}
VIEW = tup(text("1"), number(0), number(6))
REFUSED = {
    "empty file": (b"", "is empty"),
    "magic number cut": (altered()[:9], "magic number"),
    "another magic number": (altered(magic=program(number(MAGIC + 1))), "magic number"),
    "pickle without torch": (program(dictionary({"x": number(1)})), "magic number"),
    "zip archive": (zip_archive([Entry("m/data.pkl", b"")]), "breaks off"),
    "another protocol": (altered(protocol=program(number(1002))), "protocol 1002, expected 1001"),
    "protocol that is a string": (altered(protocol=program(text("1001"))), "protocol '1001'"),
    "big-endian": (altered(system=program(dictionary({"little_endian": b"\x89"}))), "little-endian"),
    "no byte order": (altered(system=program(b"}")), "little-endian"),
    "system that is a list": (altered(system=program(b"]")), "little-endian"),
    "system that calls": (altered(system=program(call("os", "system", text("ls")))), "'os.system'", "not executed"),
    "system with a storage": (altered(system=program(X.storage(True))), "torch.FloatStorage"),
    "system with a persistent id": (altered(system=program(number(1) + b"Q")), "outside its state dict"),
    "object that calls": (altered(object=program(call("os", "system", text("ls")))), "'os.system'", "not executed"),
    "object that breaks off": (altered(object=b"\x80\x02}", keys=b"", storages=b""), "breaks off"),
    "object that is a list": (altered(object=program(b"]")), "holds a list"),
    "object that is a tensor": (altered(object=program(X.tensor(True))), "holds a Tensor"),
    "object of protocol 4": (altered(object=b"\x80\x04}."), "protocol 4"),
    "endless object": (altered(object=b"\x80\x02" + b"N" * 101_000), "100000 steps"),
    "string of 4 GB": (altered(object=b"\x80\x02X\xff\xff\xff\xff"), "string of 4294967295"),
    "fairseq": (
        altered(object=program(dictionary({"args": name_of("argparse", "Namespace"), "model": b"}"}))),
        "fairseq checkpoint",
    ),
    "fairseq with cfg": (
        altered(object=program(dictionary({"cfg": b"}", "model": b"}"})), keys=program(b"]"), storages=b""),
        "fairseq checkpoint",
    ),
    "persistent id of five parts": (storage(*PARTS), "of 6 parts"),
    "persistent id of seven parts": (storage(*PARTS, b"N", b"N"), "of 6 parts"),
    "view of a storage": (storage(*PARTS, VIEW), "before 0.4"),
    "storage described in two ways": (altered(TWO), "in two ways"),
    "view past its storage": (bad(size=(7,)), "reaches element 7"),
    "negative stride": (bad(stride=(-1,)), "strides (-1,)"),
    "storage of 2^62 elements": (bad(count=2**62), "6 numbers", "says 4611686018427387904"),
    "keys that are a dict": (altered(keys=program(b"}")), "no list of storage keys"),
    "keys that are numbers": (altered(keys=program(b"](" + number(0) + b"e")), "no list of storage keys"),
    "keys that call": (altered(keys=program(call("os", "system", text("ls")))), "not executed"),
    "no keys": (altered(keys=program(b"]")), "lists 0 storages"),
    "another key": (altered(keys=program(b"](" + text("1") + b"e")), "lists 1 storages"),
    "a key too many": (altered(keys=program(b"](" + text("0") + text("1") + b"e")), "lists 2 storages"),
    "a key twice": (altered(keys=program(b"](" + text("0") * 2 + b"e")), "lists 2 storages"),
    "no storages": (altered(storages=b""), "says 6"),
    "count cut": (altered(storages=b"\6\0\0\0"), "says 6"),
    "count of another storage": (altered(storages=struct.pack("<q", 5) + SIX.tobytes()), "5 numbers", "says 6"),
    "negative count": (altered(storages=struct.pack("<q", -6) + SIX.tobytes()), "-6 numbers"),
    "count of 2^62": (altered(storages=struct.pack("<q", 2**62) + SIX.tobytes()), "says 6"),
    "storage cut": (altered(storages=struct.pack("<q", 6) + SIX.tobytes()[:-1]), "ends inside storage '0'"),
    "huge storage that both agree on": (
        altered({"x": replace(X, count=2**40)}, storages=struct.pack("<q", 2**40) + SIX.tobytes()),
        "ends inside storage '0'",
    ),
    "bytes behind the last storage": (altered() + b"\0", "1 bytes after"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_malformed_file_is_refused(tmp_path, kind):
    content, *words = REFUSED[kind]
    assert_refused(torch_files.read, saved(tmp_path, "pytorch_model.bin", content), *words)


def test_truncated_anywhere_is_refused(tmp_path):
    content = stream(example())
    for size in range(len(content)):
        with pytest.raises(ModelError):
            torch_files.read(saved(tmp_path, "m", content[:size]))


def test_any_damaged_byte_is_refused_or_read(tmp_path):
    bad_files = corruptions(stream(example()), 500)
    outcomes = [assert_refused_or_read(torch_files.read, saved(tmp_path, "m", bad)) for bad in bad_files]
    assert 0 < sum(outcomes) < 400


@pytest.mark.parametrize("shift", range(4))
def test_numbers_are_read_as_they_are_at_any_address(tmp_path, shift):
    first = {"shift": np.arange(shift + 1, dtype=np.uint8)}
    read = torch_files.read(saved(tmp_path, "m", stream(first | example())))
    assert list(read) == ["shift", *example()]
    for name, expected in example().items():
        np.testing.assert_array_equal(read[name], expected, strict=True)
        assert read[name].flags.aligned and not read[name].flags.writeable


def test_tied_and_transposed_tensors_share_their_storage(tmp_path):
    views = {"x": X, "tied": X, "transposed": replace(X, size=(3, 2), stride=(1, 3))}
    read = torch_files.read(saved(tmp_path, "m", altered(views)))
    np.testing.assert_array_equal(read["transposed"], SIX.reshape(2, 3).T, strict=True)
    assert np.shares_memory(read["x"], read["tied"]) and np.shares_memory(read["x"], read["transposed"])


def test_storages_may_come_in_any_order(tmp_path):
    tensors = {"x": SIX, "y": np.arange(3)}
    order = b"](" + text("1") + text("0") + b"e"
    storages = struct.pack("<q", 3) + np.arange(3).tobytes() + struct.pack("<q", 6) + SIX.tobytes()
    content = stream(tensors, keys=program(order), storages=storages)
    read = torch_files.read(saved(tmp_path, "m", content))
    for name, expected in tensors.items():
        np.testing.assert_array_equal(read[name], expected, strict=True)


def test_a_state_dict_without_tensors(tmp_path):
    assert torch_files.read(saved(tmp_path, "m", stream({}))) == {}
