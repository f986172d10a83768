"""Reading and writing safetensors: right files bit by bit, and every way of being wrong refused."""

import json
import os
import struct
import threading

import numpy as np
import pytest

from s2t_np.checkpoint import safetensors
from s2t_np.errors import ModelError

from ..support import checkpoints
from ..support.checkpoints import assert_refused, assert_refused_or_read, corruptions, example, safetensors_file, saved

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def one(**changes) -> dict:
    """The header of one tensor of two float32, with some fields changed; None takes a field out."""
    fields = {key: value for key, value in (F32 | changes).items() if value is not None}
    return {"x": fields}


def two(second: list[int]) -> dict:
    """Two such tensors, the second at other offsets."""
    return {"x": F32, "y": {**F32, "data_offsets": second}}


def raw(header: str | bytes, buffer: bytes = b"\0" * 8) -> bytes:
    return safetensors_file(header.encode() if isinstance(header, str) else header, buffer)


EIGHT = b"\0" * 8
X = json.dumps(F32)
REFUSED = {
    "empty file": (b"", "is empty"),
    "shorter than its length field": (b"\2\0\0\0", "has 4 bytes"),
    "header of 2^62 bytes": (safetensors_file({}, b"", length=2**62), "100000000"),
    "header of 2^64 - 1 bytes": (safetensors_file({}, b"", length=2**64 - 1), "100000000"),
    "header one byte over the limit": (safetensors_file({}, b"", length=100_000_001), "100000000"),
    "header longer than the file": (safetensors_file(one(), EIGHT, length=90_000_000), "cut short"),
    "header of no bytes": (raw(b""), "begins with"),
    "header that is a list": (raw("[]"), "begins with"),
    "header behind a space": (raw(" " + json.dumps(one())), "begins with"),
    "header behind a byte order mark": (raw(b"\xef\xbb\xbf{}", b""), "begins with"),
    "header that is not UTF-8": (raw(b'{"\xff\xfe":' + X.encode() + b"}"), "JSON"),
    "header that is cut": (raw('{"x":{"dtype":'), "JSON"),
    "two objects": (raw("{}{}", b""), "JSON"),
    "zeros behind the header": (raw("{}\0\0", b""), "JSON"),
    "nesting bomb of lists": (raw('{"x":' + "[" * 1_000_000), "nested"),
    "nesting bomb of objects": (raw('{"x":' * 100_000), "nested"),
    "closed nesting bomb": (raw('{"x":' + "[" * 500 + "]" * 500 + "}"), "exactly dtype"),
    "bomb of values": (raw('{"x":[' + "0," * 1_000_001 + "0]}"), "1000000 values"),
    "huge number": (raw('{"x":{"dtype":"F32","shape":[' + "9" * 100_000 + '],"data_offsets":[0,8]}}'), "2^63"),
    "number of 20 digits": (raw(json.dumps(one(shape=[10**19]))), "2^63"),
    "negative zero": (raw('{"x":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', b""), "the number -0"),
    "NaN": (raw('{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'), "NaN"),
    "infinity": (raw('{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,-Infinity]}}'), "-Infinity"),
    "number with a fraction": (raw('{"x":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}'), "2.0"),
    "number with an exponent": (raw('{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8e0]}}'), "8e0"),
    "tensor given twice": (raw(f'{{"x":{X},"x":{X}}}'), "twice", "'x'"),
    "field given twice": (raw('{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), "twice"),
    "metadata given twice": (raw(f'{{"__metadata__":{{}},"__metadata__":{{}},"x":{X}}}'), "twice"),
    "metadata key given twice": (raw(f'{{"__metadata__":{{"a":"b","a":"c"}},"x":{X}}}'), "twice"),
    "metadata that is a string": (safetensors_file({"__metadata__": "pt", **one()}, EIGHT), "__metadata__"),
    "metadata with a number": (safetensors_file({"__metadata__": {"a": 1}, **one()}, EIGHT), "__metadata__"),
    "metadata with an object": (safetensors_file({"__metadata__": {"a": {}}, **one()}, EIGHT), "__metadata__"),
    "tensor that is a list": (safetensors_file({"x": [0, 8]}, EIGHT), "'x'", "exactly dtype"),
    "tensor that is null": (safetensors_file({"x": None}, EIGHT), "'x'", "exactly dtype"),
    "no dtype": (safetensors_file(one(dtype=None), EIGHT), "exactly dtype"),
    "no shape": (safetensors_file(one(shape=None), EIGHT), "exactly dtype"),
    "no offsets": (safetensors_file(one(data_offsets=None), EIGHT), "exactly dtype"),
    "one field more": (safetensors_file(one(strides=[1]), EIGHT), "exactly dtype"),
    "dtype nobody knows": (safetensors_file(one(dtype="F31"), EIGHT), "'F31'", "BF16"),
    "dtype in lower case": (safetensors_file(one(dtype="f32"), EIGHT), "'f32'"),
    "dtype of 8 bits that numpy has not": (safetensors_file(one(dtype="F8_E4M3"), EIGHT), "'F8_E4M3'"),
    "dtype that is a number": (safetensors_file(one(dtype=32), EIGHT), "dtype 32"),
    "dtype that is a list": (safetensors_file(one(dtype=["F32"]), EIGHT), "dtype ['F32']"),
    "shape that is a number": (safetensors_file(one(shape=2), EIGHT), "shape 2"),
    "shape with a string": (safetensors_file(one(shape=["2"]), EIGHT), "shape ['2']"),
    "shape with true": (safetensors_file(one(shape=[True, 2]), EIGHT), "shape [True, 2]"),
    "shape with null": (safetensors_file(one(shape=[None]), EIGHT), "shape [None]"),
    "negative shape": (safetensors_file(one(shape=[-1, -2]), EIGHT), "-1"),
    "shape that overflows 64 bits to 8 bytes": (safetensors_file(one(shape=[2**62, 4, 2]), EIGHT), "fits memory"),
    "shape of no elements that numpy cannot address": (
        safetensors_file(one(shape=[0, 2**62, 2**62], data_offsets=[0, 0]), b""),
        "fits memory",
    ),
    "too many dimensions": (safetensors_file(one(shape=[1] * 40 + [2]), EIGHT), "fits memory"),
    "offsets that are an object": (safetensors_file(one(data_offsets={"0": 8}), EIGHT), "data_offsets"),
    "offsets that are a number": (safetensors_file(one(data_offsets=8), EIGHT), "data_offsets 8"),
    "one offset": (safetensors_file(one(data_offsets=[8]), EIGHT), "data_offsets [8]"),
    "three offsets": (safetensors_file(one(data_offsets=[0, 4, 8]), EIGHT), "data_offsets [0, 4, 8]"),
    "offsets with false": (safetensors_file(one(data_offsets=[False, 8]), EIGHT), "data_offsets"),
    "offsets the wrong way round": (safetensors_file(one(data_offsets=[8, 0]), EIGHT), "begin <= end"),
    "fewer bytes than the shape": (safetensors_file(one(data_offsets=[0, 4]), EIGHT), "4 bytes, expected 8"),
    "more bytes than the shape": (safetensors_file(one(shape=[1]), EIGHT), "8 bytes, expected 4"),
    "bytes for another dtype": (safetensors_file(one(dtype="F16"), EIGHT), "expected 4 for F16"),
    "end behind the file": (safetensors_file(one(shape=[4], data_offsets=[0, 16]), EIGHT), "cut short"),
    "begin behind the file": (safetensors_file(one(data_offsets=[2**40, 2**40 + 8]), EIGHT), "hole"),
    "hole at the start": (safetensors_file(one(data_offsets=[8, 16]), EIGHT * 2), "hole"),
    "hole between two": (safetensors_file(two([16, 24]), EIGHT * 3), "'y'", "hole"),
    "overlap": (safetensors_file(two([4, 12]), EIGHT * 2), "'y'", "overlaps"),
    "two in the same place": (safetensors_file(two([0, 8]), EIGHT), "overlaps"),
    "bytes behind the last tensor": (safetensors_file(one(), EIGHT + b"\0"), "9 follow"),
    "buffer without tensors": (safetensors_file({}, EIGHT), "8 follow"),
    "name with half a surrogate pair": (raw('{"\\ud800":' + X + "}"), "surrogate"),
    "metadata with half a surrogate pair": (raw('{"__metadata__":{"a":"\\ud800"},"x":' + X + "}"), "surrogate"),
    "metadata named by half a surrogate pair": (raw('{"__metadata__":{"\\udfff":"a"},"x":' + X + "}"), "surrogate"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 118000000\n", "git lfs pull"),
    "web page": (b"\n<!DOCTYPE html><html>Not found</html>", "web page"),
    "text": (b"Entry not found", "100000000"),
    "zip archive": (b"PK\3\4" + b"\0" * 40, "header of 67324752 bytes"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_malformed_file_is_refused(tmp_path, kind):
    content, *words = REFUSED[kind]
    assert_refused(safetensors.read, saved(tmp_path, "model.safetensors", content), *words)


def test_the_example_itself_is_read(tmp_path):
    """The malformed files above differ from this one by what makes them malformed."""
    read = safetensors.read(saved(tmp_path, "m", safetensors_file(one(), struct.pack("<2f", 1.5, -2))))
    np.testing.assert_array_equal(read["x"], np.array([1.5, -2], np.float32))


def test_truncated_anywhere_is_refused(tmp_path):
    content = checkpoints.safetensors(example())
    for size in range(len(content)):
        with pytest.raises(ModelError):
            safetensors.read(saved(tmp_path, "m", content[:size]))


def test_any_damaged_byte_is_refused_or_read(tmp_path):
    content = checkpoints.safetensors(example())
    outcomes = [
        assert_refused_or_read(safetensors.read, saved(tmp_path, "m", bad)) for bad in corruptions(content, 500)
    ]
    assert 0 < sum(outcomes) < 400  # a flipped bit of a weight cannot be noticed, one of the header nearly always is


def test_numbers_are_read_as_they_are(tmp_path):
    tensors = example() | {"double": np.array([np.pi, np.nan]), "flags": np.array([True, False])}
    read = safetensors.read(saved(tmp_path, "m", checkpoints.safetensors(tensors)))
    assert read.keys() == tensors.keys()
    for name, expected in tensors.items():
        assert read[name].dtype == expected.dtype and read[name].shape == expected.shape
        assert read[name].tobytes() == expected.tobytes()


def test_arrays_are_read_only_views_of_the_file(tmp_path):
    tensors = {"x": np.arange(6, dtype=np.float32), "h": np.arange(4, dtype=np.float16)}
    header = checkpoints.safetensors_header(tensors)
    padded = json.dumps(header).encode()
    padded += b" " * (-len(padded) % 8)
    buffer = b"".join(a.tobytes() for a in tensors.values())
    for array in safetensors.read(saved(tmp_path, "m", safetensors_file(padded, buffer))).values():
        assert not array.flags.writeable and not array.flags.owndata
        assert array.base is not None


def test_a_number_at_an_odd_address_is_read(tmp_path):
    tensors = {"h": np.arange(3, dtype=np.uint8), "x": np.arange(6, dtype=np.float32)}
    read = safetensors.read(saved(tmp_path, "m", checkpoints.safetensors(tensors)))
    assert read["x"].flags.aligned and not read["x"].flags.writeable
    np.testing.assert_array_equal(read["x"], tensors["x"])


def test_bfloat16_is_widened_exactly(tmp_path):
    bits = np.arange(2**16, dtype=np.uint16)  # every bfloat16 there is
    header = {"x": {"dtype": "BF16", "shape": [256, 256], "data_offsets": [0, 2**17]}}
    read = safetensors.read(saved(tmp_path, "m", safetensors_file(header, bits.tobytes())))["x"]
    assert read.dtype == np.float32 and read.shape == (256, 256) and not read.flags.writeable
    expected = b"".join(b"\0\0" + bits[i : i + 1].tobytes() for i in range(2**16))
    assert read.tobytes() == expected


def test_replacing_the_file_leaves_the_arrays_alone(tmp_path):
    path = tmp_path / "m"
    safetensors.write(path, {"x": np.ones(100_000, np.float32)})
    before = safetensors.read(path)["x"]
    safetensors.write(path, {"x": np.zeros(1, np.float32)})
    assert before.sum() == 100_000 and safetensors.read(path)["x"].shape == (1,)


def test_written_is_read_back_in_a_fixed_order(tmp_path):
    tensors = example() | {"transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    safetensors.write(tmp_path / "a", tensors)
    safetensors.write(tmp_path / "b", dict(reversed(tensors.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    read = safetensors.read(tmp_path / "a")
    assert read.keys() == tensors.keys()
    for name, expected in tensors.items():
        assert read[name].dtype == expected.dtype and read[name].shape == expected.shape
        np.testing.assert_array_equal(read[name], expected)
        assert not read[name].flags.owndata  # aligned, so nothing had to be copied


def test_written_header_is_padded_and_holds_the_metadata(tmp_path):
    safetensors.write(tmp_path / "m", {"x": np.ones(2, np.float16)})
    content = (tmp_path / "m").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0 and len(content) == 8 + length + 4
    assert json.loads(content[8 : 8 + length])["__metadata__"] == {"format": "pt"}


def test_metadata_of_other_things_than_strings_is_not_written(tmp_path):
    for metadata in ({"step": 3}, {3: "step"}):
        with pytest.raises(ModelError, match="__metadata__"):
            safetensors.write(tmp_path / "m", {}, metadata)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"x": np.zeros(2, np.complex64)}, "complex64"),
        ({"x": np.array(["text"])}, "<U4"),
        ({"__metadata__": np.zeros(2)}, "__metadata__"),
        ({"\ud800": np.zeros(2)}, "surrogate"),
    ],
)
def test_what_the_format_cannot_hold_is_not_written(tmp_path, tensors, words):
    with pytest.raises(ModelError, match=words):
        safetensors.write(tmp_path / "m", tensors)
    assert os.listdir(tmp_path) == []


def test_failed_writing_leaves_the_old_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    path = saved(tmp_path, "m", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        safetensors.write(path, {"x": np.zeros(2, np.float32)})
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["m"]


@pytest.mark.parametrize("place", ["missing/model.safetensors", "file/model.safetensors"])
def test_a_place_that_cannot_be_written(tmp_path, place):
    saved(tmp_path, "file", b"")
    with pytest.raises(ModelError, match="cannot be written"):
        safetensors.write(tmp_path / place, {"x": np.zeros(2, np.float32)})


@pytest.mark.parametrize("name", ["folder", "pipe", "link", "missing"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    refused = threading.Event()
    reader = threading.Thread(
        target=lambda: assert_refused(safetensors.read, tmp_path / name) or refused.set(), daemon=True
    )
    reader.start()
    assert refused.wait(timeout=5)


def test_the_longest_header_the_format_allows_is_read(tmp_path):
    header = json.dumps(one()).encode().ljust(100_000_000)
    read = safetensors.read(saved(tmp_path, "m", safetensors_file(header, EIGHT)))
    assert read["x"].shape == (2,)
