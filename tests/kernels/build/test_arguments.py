"""What kernels are handed: every value as an int64, and no array that they would misread."""

import struct
from typing import NamedTuple

import numpy as np
import pytest
from s2t_np_kernels.build.arguments import (
    Address1,
    ArgumentError,
    Doubles,
    Floats,
    OutFloats,
    PointerTo,
    Single,
    Words,
    address_of,
    leaves,
    table,
    word_of,
)
from s2t_np_kernels.build.entry import Entry, entries


class Group(NamedTuple):
    x: Floats
    place: Address1


class Call(NamedTuple):
    count: int
    group: Group
    scale: Single
    exact: float
    rows: table(3)
    words: Words
    doubles: Doubles
    y: OutFloats


def test_leaves_are_all_single_values_in_order():
    floats, out = PointerTo("float32"), PointerTo("float32", written=True)
    words, rows = PointerTo("int64"), PointerTo("int64", 3)
    assert list(leaves(Call)) == [int, floats, int, int, "float32", float, rows, words, PointerTo("float64"), out]


def test_values_become_words():
    assert word_of(np.int32(-7), int) == -7
    for marker in (float, "float32"):
        assert word_of(np.float32(0.5), marker) == struct.unpack("q", struct.pack("d", 0.5))[0]
    x = np.arange(6, dtype=np.float32)
    assert word_of(x, PointerTo("float32")) == x.ctypes.data
    assert word_of(x[:0], PointerTo("float32")) == x[:0].ctypes.data


def test_a_memory_map_is_as_good_as_an_array(tmp_path):
    """joblib hands models to its workers so."""
    np.arange(4, dtype=np.float32).tofile(tmp_path / "x")
    for mode in ("r", "r+", "c"):
        x = np.memmap(tmp_path / "x", np.float32, mode)
        assert address_of(x, PointerTo("float32")) == x.ctypes.data


UNALIGNED = np.zeros(17, np.uint8)[1:].view(np.float32)
READ_ONLY = np.zeros(4, np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    "value, kind, said",
    (
        ([1.0], PointerTo("float32"), "found list"),
        (np.zeros(4), PointerTo("float32"), "found float64 of shape"),
        (np.zeros(4, ">f4"), PointerTo("float32"), "found >f4"),
        (np.zeros(8, np.float32)[::2], PointerTo("float32"), "contiguous"),
        (UNALIGNED, PointerTo("float32"), "aligned"),
        (READ_ONLY, PointerTo("float32", written=True), "read-only"),
        (np.zeros((2, 4), np.int64), PointerTo("int64", 3), "expected 3 columns"),
        (np.zeros(3, np.int64), PointerTo("int64", 3), "expected 3 columns"),
    ),
)
def test_other_arrays_are_refused(value, kind, said):
    with pytest.raises(ArgumentError, match=said):
        address_of(value, kind)


@pytest.fixture
def kernel():
    yield Entry("tests.nowhere", "kernel", Group)
    del entries["tests.nowhere.kernel"]


def test_an_entry_names_itself_when_arguments_do_not_fit(kernel):
    kernel.at(1)
    with pytest.raises(ArgumentError, match="kernel: expected a contiguous"):
        kernel.bind(np.zeros(3), (0, 1))
    with pytest.raises(ArgumentError, match="kernel: expected 3 values, found 4"):
        kernel.bind(np.zeros(3, np.float32), (0, 1, 2))
    with pytest.raises(ArgumentError, match="kernel: "):
        kernel.bind(np.zeros(3, np.float32), (0, "1"))
    with pytest.raises(ArgumentError, match="kernel: "):
        kernel.bind(np.zeros(3, np.float32), (0, 1.5))


def test_other_python_threads_wait_for_a_brief_kernel_only(kernel):
    keeps_the_interpreter = 4  # FUNCFLAG_PYTHONAPI
    assert not kernel.kind._flags_ & keeps_the_interpreter
    assert Entry("tests.nowhere", "kernel", Group, brief=True).kind._flags_ & keeps_the_interpreter
