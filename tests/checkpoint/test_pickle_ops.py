"""The pickle machine: plain values as Python reads them, and hostile programs that end in a refusal.

Hostile programs are the data.pkl of a torch archive, since that is how they arrive.
"""

import pickle
import struct
import sys

import numpy as np
import pytest

from s2t_np.checkpoint import torch_files
from s2t_np.checkpoint.pickle_ops import ORDERED, Global, interpret
from s2t_np.errors import ModelError

from ..support.checkpoints import (
    ORDERED_DICT,
    View,
    assert_refused,
    assert_refused_or_read,
    call,
    dictionary,
    name_of,
    number,
    pickled_zip,
    program,
    saved,
    text,
    tup,
)

X = View("FloatStorage", "0", 6, 0, (6,), (1,))
LIST_IN_ITSELF = b"]q\0h\0a"


def reduce(function: bytes, *arguments: bytes) -> bytes:
    return function + tup(*arguments) + b"R"


NAMES = {  # what a hostile pickle may ask for, in every spelling that could pass for an allowed one
    "os.system": ("os", "system"),
    "posix.system": ("posix", "system"),
    "nt.system": ("nt", "system"),
    "subprocess.Popen": ("subprocess", "Popen"),
    "builtins.eval": ("builtins", "eval"),
    "builtins.getattr": ("builtins", "getattr"),
    "__builtin__.exec of Python 2": ("__builtin__", "exec"),
    "importlib": ("importlib", "import_module"),
    "torch.load": ("torch", "load"),
    "torch.hub": ("torch.hub", "load"),
    "a method of an allowed name": ("collections", "OrderedDict.__init__"),
    "an allowed name elsewhere": ("evil", "OrderedDict"),
    "an allowed name and a blank": ("collections", "OrderedDict "),
    "an allowed name and a return": ("collections\r", "OrderedDict\r"),
    "an allowed name in capitals": ("Collections", "OrderedDict"),
    "a module inside torch._utils": ("torch._utils.os", "system"),
    "no name": ("collections", ""),
    "no module": ("", "OrderedDict"),
    "Greek": ("συλλογές", "OrderedDict"),
    "this project": ("s2t_np.checkpoint.pickle_ops", "OrderedDict"),
    "codecs": ("_codecs", "encode"),
    "copyreg": ("copy_reg", "_reconstructor"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_any_other_name_is_refused_and_not_executed(tmp_path, kind):
    wanted = NAMES[kind]
    content = pickled_zip(dictionary({"x": call(*wanted, text("echo pwned"))}))
    assert_refused(torch_files.read, saved(tmp_path, "m.bin", content), repr(".".join(wanted)), "not executed")


def test_nothing_is_executed_and_nothing_imported(tmp_path):
    witness, module = tmp_path / "witness", "this"
    assert module not in sys.modules
    for names in (("os", "system"), ("posix", "system"), (module, "s")):
        attack = program(reduce(name_of(*names), text(f"touch {witness}")))
        with pytest.raises(ModelError):
            torch_files.read(saved(tmp_path, "m.bin", pickled_zip(attack[2:-1])))
    assert not witness.exists() and module not in sys.modules
    pickle.loads(program(reduce(name_of("os", "system"), text(f"touch {witness}"))))
    assert witness.exists()  # the attack is real: Python's own pickle falls for it


REFUSED = {
    "opcode of protocol 4": (text("os") + text("system") + b"\x93", "opcode b'\\x93'"),
    "INST": (b"(ios\nsystem\n", "opcode b'i'"),
    "OBJ": (b"(" + name_of("collections", "OrderedDict") + b"o", "opcode b'o'"),
    "NEWOBJ": (name_of("collections", "OrderedDict") + b")\x81", "opcode b'\\x81'"),
    "EXT1": (b"\x82\1", "opcode b'\\x82'"),
    "PERSID": (b"P0\n", "opcode b'P'"),
    "opcode nobody has": (b"\xff", "opcode b'\\xff'"),
    "protocol 4": (b"\x80\4", "protocol 4, expected 2"),
    "string that breaks off": (b"X\xff\0\0\0abc", "breaks off"),
    "string of 4 GB": (b"X\xff\xff\xff\xff", "string of 4294967295 bytes"),
    "string of 4 GB, Python 2": (b"T\xff\xff\xff\xff", "string of 4294967295 bytes"),
    "string of 64 kB and one": (b"X\1\0\1\0" + b"a" * 65537, "at most 65536"),
    "string that is not UTF-8": (b"U\2\xff\xfe", "UTF-8"),
    "half a surrogate pair": (b"X\3\0\0\0\xed\xa0\x80", "UTF-8"),
    "integer that breaks off": (b"J\0", "breaks off"),
    "long that breaks off": (b"\x8a\xff\1", "breaks off"),
    "name without an end": (b"ccollections" + b"x" * 300, "more than 255 bytes"),
    "name that breaks off": (b"ccollections\nOrdered", "breaks off"),
    "name that is not UTF-8": (b"c\xff\xff\nx\n", "UTF-8"),
    "recall of nothing": (b"h\5", "recalls object 5"),
    "recall of nothing, far": (b"j\xff\xff\xff\xff", "recalls object 4294967295"),
    "store of nothing": (b"q\0", "empty stack"),
    "store of a mark": (b"(q\0", "empty stack"),
    "tuple without a mark": (b"NNt", "mark"),
    "items without a mark": (b"}NNu", "mark"),
    "list without a mark": (b"]NNe", "mark"),
    "pair of one": (b"N\x86", "empty stack"),
    "pair across a mark": (b"N(N\x86", "empty stack"),
    "append to nothing": (b"Na", "empty stack"),
    "append to a tuple": (b")Na", "a tuple as what is appended to"),
    "append to a dict": (b"}(NNe", "a dict as what is appended to"),
    "items of a list": (b"](" + text("a") + b"Nu", "items of a list"),
    "items of a tensor": (X.tensor() + text("a") + b"Ns", "items of a Tensor"),
    "key without a value": (b"}(" + text("a") + b"u", "items of a dict"),
    "key given twice": (b"}" + (text("a") + b"Ns") * 2, "'a' twice"),
    "key that is none": (b"}NNs", "NoneType as a key"),
    "key that cannot be hashed": (b"}]Ns", "list as a key"),
    "key nested in itself": (b"}" + LIST_IN_ITSELF + b"\x85Ns", "tuple as a key"),
    "call of a string": (text("print") + b")R", "a str as what to call"),
    "call of a storage type": (name_of("torch", "FloatStorage") + b")R", "as what to call"),
    "call of nothing": (b")R", "empty stack"),
    "call with a list": (name_of("collections", "OrderedDict") + b"]R", "a list as arguments"),
    "call with a storage": (name_of("collections", "OrderedDict") + X.storage(False) + b"R", "as arguments"),
    "OrderedDict of two": (call("collections", "OrderedDict", b"]", b"]"), "2 arguments"),
    "OrderedDict of a string": (call("collections", "OrderedDict", text("ab")), "a str as items"),
    "OrderedDict of strings": (call("collections", "OrderedDict", b"]" + text("ab") + b"a"), "a str as item"),
    "OrderedDict of one-tuples": (call("collections", "OrderedDict", b"]]Naa"), "1 parts"),
    "attributes of a dict": (b"}}b", "a dict as what gets attributes"),
    "attributes of a tensor": (X.tensor() + b"}b", "a Tensor as what gets attributes"),
    "attributes of a function": (name_of("collections", "OrderedDict") + b"}b", "as what gets attributes"),
    "attributes that are a tuple": (ORDERED_DICT + b")b", "a tuple as attributes"),
    "nothing left": (b"", "empty stack"),
    "two left": (b"NN", "more than one object"),
    "mark left": (b"N(", "empty stack"),
    "mark left below": (b"N(N", "more than one object"),
    "list in itself": (dictionary({"x": LIST_IN_ITSELF}), "'x' is a list"),
    "dict in itself": (b"}q\0" + text("x") + b"h\0s", "'x' is a dict"),
    "endless program": (b"N" * 101_000, "more than 100000 steps"),
    "memo bomb": (b"N" + b"".join(b"r" + struct.pack("<L", i) for i in range(101_000)), "more than 100000 steps"),
    "mark bomb": (b"(" * 101_000, "more than 100000 steps"),
    "doubling bomb": (b"Nq\0" + b"h\0h\0\x86q\0" * 20_000, "more than one object"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_hostile_program_is_refused(tmp_path, kind):
    instructions, *words = REFUSED[kind]
    assert_refused(torch_files.read, saved(tmp_path, "m.bin", pickled_zip(instructions)), *words)


@pytest.mark.parametrize("before", [b"", b"N", b"(", b"(N", b"}", b"]", b")", ORDERED_DICT + text("a")])
def test_every_byte_as_an_opcode_is_refused_or_read(tmp_path, before):
    for code in range(256):
        for after in (b"", b"\0", b"\n\n", b"\xff" * 9):
            content = pickled_zip(before + bytes([code]) + after)
            assert_refused_or_read(torch_files.read, saved(tmp_path, "m.bin", content))


def test_random_programs_are_refused_or_read(tmp_path):
    pieces = [bytes([code]) for code in b"(NKt)\x85\x86\x87]ae}suqhQRb.\x88\x89"]
    pieces += [b"q\0", b"h\0", b"K\1", text("storage"), text("0"), X.storage(False), X.tensor(), ORDERED_DICT]
    pieces += [name_of("torch", "FloatStorage"), name_of("torch._utils", "_rebuild_tensor_v2")]
    random = np.random.default_rng(5)
    for _ in range(1500):
        chosen = random.integers(0, len(pieces), random.integers(1, 30))
        content = pickled_zip(b"".join(pieces[i] for i in chosen))
        assert_refused_or_read(torch_files.read, saved(tmp_path, "m.bin", content))


PLAIN = [
    None,
    [True, False, 0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**31, 2**63, -(2**80), 2**2000],
    ["", "a", "weight", "größe", "\U0001f3a4", "x" * 60_000],
    [1.5, -0.0, float("inf")],
    [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((((),),),)],
    {"a": [1, [2, [3]]], "b": {"c": {}, 5: []}},
    {str(i): [i] * 3 for i in range(1500)},  # more items than go into one SETITEMS, more objects than one byte counts
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_values_are_those_python_reads(value):
    raw = pickle.dumps(value, 2)
    made, end = interpret(b"before" + raw + b"behind", 6, {}, None)
    assert made == value and repr(made) == repr(value) and end == 6 + len(raw)


def test_shared_objects_stay_shared():
    inner = [1]
    made, _ = interpret(pickle.dumps([inner, inner, (inner,)], 2), 0, {}, None)
    assert made[0] is made[1] is made[2][0]


def test_strings_of_python_2_are_read():
    assert interpret(b"U\3abcT\2\0\0\0de\x86.", 0, {}, None)[0] == ("abc", "de")


def test_ordered_dict_of_python_2_is_read():
    table = {Global("collections", "OrderedDict"): ORDERED}
    items = b"](](" + text("a") + number(1) + b"e](" + text("b") + number(2) + b"ee"
    made, _ = interpret(program(call("collections", "OrderedDict", items)), 0, table, None)
    assert list(made.items()) == [("a", 1), ("b", 2)]


def test_persistent_ids_go_to_the_caller():
    assert interpret(program(number(7) + b"Q"), 0, {}, lambda identity: ("seen", identity))[0] == ("seen", 7)
