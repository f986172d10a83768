"""Reading pytorch_model.bin as torch writes it since 1.6: what its pickle says of the tensors, and what it may not say.

The archive itself is attacked in test_stored_zip.py, the pickle as a program in test_pickle_ops.py.
"""

from dataclasses import replace

import numpy as np
import pytest

from s2t_np.checkpoint import read_tensors, torch_files

from ..support.checkpoints import (
    METADATA,
    ORDERED_DICT,
    View,
    assert_refused,
    call,
    dictionary,
    name_of,
    number,
    numbers,
    pickled_zip,
    saved,
    text,
    tup,
    view_of,
)
from ..support.checkpoints import torch_zip as torch_zip_file

SIX = np.arange(6, dtype=np.float32)
X = view_of(SIX, "0")


def bad(**lies) -> bytes:
    """The archive of `x`, described with lies."""
    return torch_zip_file({"x": SIX}, {"x": replace(X, **lies)})


def tensor(*arguments: bytes, function: str = "_rebuild_tensor_v2") -> bytes:
    """An archive whose tensor is made from these arguments."""
    return pickled_zip(dictionary({"x": call("torch._utils", function, *arguments)}))


def attributed(**lies: bytes) -> bytes:
    """An archive whose tensor `x` has Python attributes, described with lies."""
    truth = {
        "function": name_of("torch._utils", "_rebuild_tensor_v2"),
        "kind": name_of("torch", "Tensor"),
        "arguments": tup(X.storage(legacy=False), number(0), numbers([6]), numbers([1]), b"\x89", ORDERED_DICT),
        "state": dictionary({"note": text("hi")}),
    }
    return pickled_zip(dictionary({"x": call("torch._tensor", "_rebuild_from_type_v2", *(truth | lies).values())}))


def storage(*parts: bytes) -> bytes:
    """An archive whose storage has this persistent id."""
    tail = (number(0), numbers([6]), numbers([1]), b"\x89", ORDERED_DICT)
    return tensor(tup(*parts) + b"Q", *tail)


FLOAT, S0 = name_of("torch", "FloatStorage"), X.storage(legacy=False)
TWO = {"x": X, "y": replace(X, kind="LongStorage", count=3, size=(3,))}
BAD_TENSORS = {
    "view past its storage": (bad(size=(7,)), "reaches element 7 of a storage of 6"),
    "offset past its storage": (bad(offset=1), "reaches element 7"),
    "stride past its storage": (bad(size=(2,), stride=(6,)), "reaches element 7"),
    "strides past it together": (bad(size=(2, 3), stride=(3, 2)), "reaches element 8"),
    "empty view behind its storage": (bad(size=(0,), offset=7), "reaches element 7"),
    "negative offset": (bad(offset=-1), "offset -1"),
    "negative size": (bad(size=(-6,)), "size (-6,)"),
    "negative stride": (bad(offset=5, stride=(-1,)), "strides (-1,)"),
    "huge offset": (bad(offset=2**64), "offset 18446744073709551616"),
    "huge size": (bad(size=(2**62, 2**62)), "size (46116860"),
    "huge stride": (bad(size=(2,), stride=(2**63,)), "strides (92233720"),
    "huge stride within 63 bits": (bad(size=(2,), stride=(2**63 - 1,)), "reaches element"),
    "huge expanded view": (bad(size=(2**62,), stride=(0,)), "size (46116860"),
    "strides of another length": (bad(stride=(1, 1)), "strides (1, 1)"),
    "forty dimensions": (bad(size=(1,) * 40, stride=(1,) * 40), "size (1, 1"),
    "storage that says more": (bad(count=7, size=(7,)), "24 bytes", "says 28"),
    "storage that says less": (bad(count=5, size=(5,)), "24 bytes", "says 20"),
    "storage of another type": (bad(kind="DoubleStorage"), "24 bytes", "says 48"),
    "storage of 2^62 elements": (bad(count=2**62), "24 bytes"),
    "storage of -1 elements": (bad(count=-1), "without type, key and count"),
    "storage of 2^70 elements": (bad(count=2**70), "without type, key and count"),
    "storage of a type torch has": (bad(kind="ComplexFloatStorage"), "'torch.ComplexFloatStorage'", "not executed"),
    "storage outside its folder": (bad(key="../../etc/passwd"), "no entry"),
    "storage described in two ways": (torch_zip_file({"x": SIX}, TWO), "in two ways"),
    "persistent id that is a string": (tensor(text("0") + b"Q", *[b"N"] * 5), "persistent id"),
    "persistent id of another kind": (
        storage(text("module"), FLOAT, text("0"), text("cpu"), number(6)),
        "persistent id",
    ),
    "persistent id of four parts": (storage(text("storage"), FLOAT, text("0"), number(6)), "of 5 parts"),
    "persistent id of six parts": (storage(text("storage"), FLOAT, text("0"), text("cpu"), number(6), b"N"), "of 5"),
    "type that is a string": (storage(text("storage"), text("f4"), text("0"), text("cpu"), number(6)), "without type"),
    "type that is a function": (
        storage(text("storage"), name_of("collections", "OrderedDict"), text("0"), text("cpu"), number(6)),
        "without type",
    ),
    "key that is a number": (storage(text("storage"), FLOAT, number(0), text("cpu"), number(6)), "without type"),
    "count that is true": (storage(text("storage"), FLOAT, text("0"), text("cpu"), b"\x88"), "without type"),
    "tensor of no arguments": (tensor(), "0 arguments"),
    "tensor of one argument": (tensor(S0), "1 arguments"),
    "tensor of a string": (tensor(text("0"), *[b"N"] * 5), "a str as the storage"),
    "tensor of five arguments": (tensor(S0, *[b"N"] * 4), "5 arguments, expected 6 or 7"),
    "tensor of eight arguments": (tensor(S0, *[b"N"] * 7), "8 arguments, expected 6 or 7"),
    "old tensor of five arguments": (tensor(S0, *[b"N"] * 4, function="_rebuild_tensor"), "5 arguments, expected 4"),
    "offset that is true": (tensor(S0, b"\x88", numbers([1]), numbers([1]), b"N", b"N"), "offset True"),
    "size that is a list": (tensor(S0, number(0), b"]", tup(), b"N", b"N"), "size []"),
    "size of strings": (tensor(S0, number(0), tup(text("6")), numbers([1]), b"N", b"N"), "size ('6',)"),
    "strides missing": (tensor(S0, number(0), numbers([6]), b"N", b"N", b"N"), "strides None"),
    "size nested 50,000 deep": (
        tensor(S0, number(0), b")" + b"\x85" * 50_000, b")", b"N", b"N"),
        "offset 0 and size (((...),),)",
    ),
    "negated view": (tensor(S0, number(0), tup(), tup(), b"N", b"N", dictionary({"neg": b"\x88"})), "metadata"),
    "parameter of a string": (
        tensor(text("x"), b"\x88", ORDERED_DICT, function="_rebuild_parameter"),
        "a str as the data",
    ),
    "parameter of no arguments": (tensor(function="_rebuild_parameter"), "0 arguments"),
    "tensor of another kind": (tensor(function="_rebuild_sparse_tensor"), "_rebuild_sparse_tensor", "not executed"),
    "list of tensors": (pickled_zip(b"]"), "holds a list"),
    "one tensor": (pickled_zip(X.tensor()), "holds a Tensor"),
    "nothing": (pickled_zip(b"N"), "holds a NoneType"),
    "state dict in a dict": (pickled_zip(dictionary({"weights": b"}"})), "'weights' is a dict", "state_dict()"),
    "state dict twice in a dict": (
        pickled_zip(dictionary({"state_dict": dictionary({"state_dict": b"}"})})),
        "'state_dict' is a dict",
    ),
    "state dict that is a list": (pickled_zip(dictionary({"state_dict": b"]"})), "'state_dict' is a list"),
    "attributes around a dict": (attributed(function=name_of("collections", "OrderedDict")), "attributes by a Call"),
    "attributes around attributes": (
        attributed(function=name_of("torch._tensor", "_rebuild_from_type_v2")),
        "attributes by a Call",
    ),
    "attributes around a string": (attributed(function=text("x")), "attributes by a str"),
    "attributes of another type": (attributed(kind=text("Tensor")), "a str as the type of a tensor"),
    "attributes of a module": (attributed(kind=name_of("torch.nn", "Linear")), "torch.nn.Linear", "not executed"),
    "attributes of no arguments": (attributed(arguments=b"N"), "a NoneType as arguments"),
    "attributes in a value": (attributed(state=name_of("os", "system")), "os.system", "not executed"),
    "number among the tensors": (pickled_zip(dictionary({"x": X.tensor(), "step": number(3)})), "'step' is a int"),
    "storage among the tensors": (pickled_zip(dictionary({"x": S0})), "'x' is a Storage"),
    "tensor under a number": (pickled_zip(b"}" + number(1) + X.tensor() + b"s"), "entry 1 is a Tensor"),
    "fairseq with args": (
        pickled_zip(dictionary({"args": name_of("argparse", "Namespace") + b")\x81", "model": b"}"})),
        "fairseq checkpoint",
        "config.yaml beside it",
    ),
    "fairseq with cfg": (pickled_zip(dictionary({"args": b"N", "cfg": b"}", "model": b"}"})), "fairseq checkpoint"),
    "fairseq that begins otherwise": (pickled_zip(name_of("omegaconf.dictconfig", "DictConfig")), "fairseq checkpoint"),
    "fairseq with more behind": (
        pickled_zip(dictionary({"cfg": b"}", "model": b"}", "extra_state": call("numpy", "dtype")})),
        "fairseq checkpoint",
        "numpy.dtype",
    ),
}


def test_a_state_dict_beside_notes_on_the_training(tmp_path):
    content = pickled_zip(dictionary({"state_dict": dictionary({"x": X.tensor()}), "epoch": number(3)}))
    read = read_tensors(saved(tmp_path, "pytorch_model.bin", content).parent)
    assert list(read) == ["x"] and read["x"].tolist() == [0, 1, 2, 3, 4, 5]


def test_attributes_of_a_tensor_are_dropped(tmp_path):
    read = read_tensors(saved(tmp_path, "pytorch_model.bin", attributed()).parent)
    assert read["x"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", BAD_TENSORS)
def test_malformed_file_is_refused(tmp_path, kind):
    content, *words = BAD_TENSORS[kind]
    assert_refused(torch_files.read, saved(tmp_path, "pytorch_model.bin", content), *words)


def test_archives_without_version_and_byte_order_are_read(tmp_path):
    content = pickled_zip(dictionary({"x": X.tensor()}, ORDERED_DICT), METADATA)
    np.testing.assert_array_equal(torch_files.read(saved(tmp_path, "m", content))["x"], SIX)


def test_views_share_the_memory_of_their_storage(tmp_path):
    views = {
        "whole": X,
        "tied": X,
        "transposed": replace(X, size=(3, 2), stride=(1, 3)),
        "slice": replace(X, offset=4, size=(2,)),
        "last": replace(X, offset=5, size=(), stride=()),
        "every other": replace(X, size=(3,), stride=(2,)),
        "expanded": replace(X, offset=1, size=(2, 3), stride=(0, 1)),
        "one row": replace(X, size=(1, 6), stride=(2**62, 1)),
        "none": replace(X, offset=6, size=(0, 5), stride=(1, 1)),
    }
    read = torch_files.read(saved(tmp_path, "m", torch_zip_file({"x": SIX}, views)))
    expected = [SIX, SIX, SIX.reshape(2, 3).T, SIX[4:], SIX[5], SIX[::2], [[1, 2, 3]] * 2, SIX[None], np.zeros((0, 5))]
    for (name, array), truth in zip(read.items(), expected, strict=True):
        np.testing.assert_array_equal(array, truth, strict=isinstance(truth, np.ndarray) and name != "none")
        assert array.size == 0 or np.shares_memory(array, read["whole"])
        assert not array.flags.writeable


def test_bfloat16_is_widened_once_for_all_views(tmp_path):
    bits = np.array([0x3F80, 0xC000, 0x7F80, 0x0001], np.uint16)  # 1, -2, inf, the least subnormal
    view = View("BFloat16Storage", "0", 4, 0, (4,), (1,))
    views = {"x": view, "y": replace(view, size=(2, 2), stride=(1, 2))}
    read = torch_files.read(saved(tmp_path, "m", torch_zip_file({"x": bits}, views)))
    truth = np.array([1, -2, np.inf, 2.0**-133], np.float32)
    np.testing.assert_array_equal(read["x"], truth, strict=True)
    np.testing.assert_array_equal(read["y"], truth.reshape(2, 2).T, strict=True)
    assert np.shares_memory(read["x"], read["y"]) and not read["x"].flags.writeable


@pytest.mark.parametrize(
    "made",
    [
        call("torch._utils", "_rebuild_parameter", X.tensor(), b"\x88", ORDERED_DICT),
        call("torch._utils", "_rebuild_parameter_with_state", X.tensor(), b"\x88", ORDERED_DICT, b"}"),
        call("torch._utils", "_rebuild_tensor", S0, number(0), numbers([6]), numbers([1])),
        call("torch._utils", "_rebuild_tensor_v2", S0, number(0), numbers([6]), numbers([1]), b"\x89", b"N", b"}"),
    ],
)
def test_every_way_of_writing_a_tensor(tmp_path, made):
    read = torch_files.read(saved(tmp_path, "m", pickled_zip(dictionary({"x": made}))))
    np.testing.assert_array_equal(read["x"], SIX, strict=True)
