"""A pickle is a program for a small stack machine; this machine runs the few instructions torch writes, and no others.

Python's own `pickle` lets such a program import and call whatever it names. Here a name is only looked up in a table of
harmless stand-ins that the caller provides (`Call` for what may be called); every other name ends the reading. The
instructions are those of protocol 2, explained in the comments of Python's `pickletools`. Sizes are checked before
anything is made, and steps are counted, so a program can neither exhaust memory nor run on for ever.
"""

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from .file_bytes import Malformed, shown

MAX_PROGRAM = 4 << 20  # bytes; the pickles of the released models have 60 kB
MAX_STEPS = 100_000  # the released models take 13,000
MAX_TEXT = 1 << 16  # bytes in one string; the longest name has about 60
MAX_LINE = 256  # bytes in one half of a global's name


class Call(NamedTuple):
    """The stand-in for a function: what is to be done with the tuple of its arguments."""

    function: Callable[[tuple], object]


class Global(NamedTuple):
    """The name of something a program would import."""

    module: str
    name: str


class ForbiddenGlobal(Malformed):
    """A program names something that is not in the table. Nothing was imported or executed."""

    def __init__(self, wanted: Global, in_sight: set[str]):
        self.told = f"its pickle asks for {shown(f'{wanted.module}.{wanted.name}')}, which was not executed"
        remedy = "load it nowhere else unless you trust its author, and look for a model.safetensors"
        super().__init__(f"{self.told}; expected only plain tensors", remedy)
        self.wanted = wanted
        self.in_sight = in_sight  # the strings on the stack: keys of the dictionaries being built


class OrderedDict(dict):
    """The stand-in for collections.OrderedDict: a dict that a program may also hang attributes on (`_metadata`)."""


class Blank:
    """The base of what may stand for an object that is not made; BUILD leaves the attributes in its `state`."""

    state: object = None


def interpret(
    program, at: int, table: Mapping[Global, object], persistent: Callable, max_steps: int = MAX_STEPS
) -> tuple[object, int]:
    """Run the pickle at byte `at` of `program`: what it builds, and the position after it. Raises Malformed.

    `persistent` turns a persistent id (what torch writes in place of a storage) into an object.
    """
    machine = Machine(bytes(program[: at + MAX_PROGRAM]), at, table, persistent)
    return machine.run(max_steps), machine.at


class Machine:
    """Stack, memo and position of one running program. The stack is a list of lists: MARK opens one."""

    def __init__(self, program: bytes, at: int, table: Mapping[Global, object], persistent: Callable):
        self.program = program
        self.at = at
        self.table = table
        self.persistent = persistent
        self.stack: list[list] = [[]]
        self.memo: dict[int, object] = {}

    def run(self, max_steps: int):
        """Take instructions until STOP; what is left on the stack is the result."""
        for _ in range(max_steps):
            code = self.take(1)
            if code == b".":
                return self.result()
            if code not in INSTRUCTIONS:
                raise Malformed(
                    f"its pickle has the opcode {shown(code)} at byte {self.at - 1}, which torch does not write"
                )
            INSTRUCTIONS[code](self)
        raise Malformed(f"its pickle takes more than {max_steps} steps, expected the tensors of one model")

    def result(self):
        value = self.pop()
        if self.stack != [[]]:
            raise Malformed("its pickle ends with more than one object on the stack, expected one")
        return value

    def take(self, count: int) -> bytes:
        """The next `count` bytes of the program."""
        self.at += count
        if self.at > len(self.program):
            raise Malformed(f"its pickle breaks off at byte {len(self.program)} (at most {MAX_PROGRAM} are read)")
        return self.program[self.at - count : self.at]

    def number(self, width: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(width), "little", signed=signed)

    def text(self, width: int) -> str:
        """A string that follows its length, which takes `width` bytes."""
        if (length := self.number(width)) > MAX_TEXT:
            raise Malformed(f"its pickle has a string of {length} bytes, expected at most {MAX_TEXT}")
        return decode(self.take(length))

    def line(self) -> str:
        """Text up to the end of the line, as GLOBAL has it."""
        end = self.program.find(b"\n", self.at, self.at + MAX_LINE)
        if end < 0:
            raise Malformed(f"its pickle names a global of more than {MAX_LINE - 1} bytes, or breaks off there")
        return decode(self.take(end + 1 - self.at)[:-1])

    def push(self, value) -> None:
        self.stack[-1].append(value)

    def pop(self):
        self.top()
        return self.stack[-1].pop()

    def top(self):
        if not self.stack[-1]:
            raise Malformed(f"its pickle takes from an empty stack at byte {self.at}")
        return self.stack[-1][-1]

    def pop_to_mark(self) -> list:
        """Everything above the last MARK."""
        if len(self.stack) == 1:
            raise Malformed(f"its pickle needs a mark that is not there at byte {self.at}")
        return self.stack.pop()

    def pop_several(self, count: int) -> list:
        """The upper `count` objects, the lowest first."""
        return [self.pop() for _ in range(count)][::-1]

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise Malformed(f"its pickle recalls object {index}, which it never stored, at byte {self.at}")
        self.push(self.memo[index])


def decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"its pickle holds the name {shown(raw[:40])}, expected UTF-8 text") from None


def expect(value, kind: type, role: str):
    """The value if it is exactly of that type. Raises Malformed."""
    if type(value) is not kind:
        raise Malformed(f"its pickle has a {type(value).__name__} as {role}, expected a {kind.__name__}")
    return value


def protocol(machine: Machine) -> None:
    """PROTO: which version of the language follows."""
    if (version := machine.number(1)) > 2:
        raise Malformed(f"its pickle has protocol {version}, expected 2", "save it again with torch.save as it is")


def find_global(machine: Machine) -> None:
    """GLOBAL: a name becomes its stand-in. The exact pair must be in the table; nothing is imported."""
    wanted = Global(machine.line(), machine.line())
    if wanted not in machine.table:
        strings = {value for frame in machine.stack for value in frame if type(value) is str}
        raise ForbiddenGlobal(wanted, strings)
    machine.push(machine.table[wanted])


def reduce(machine: Machine) -> None:
    """REDUCE: call a stand-in with a tuple of arguments."""
    called, arguments = machine.pop_several(2)
    expect(arguments, tuple, "arguments")
    machine.push(expect(called, Call, "what to call").function(arguments))


def new_object(machine: Machine) -> None:
    """NEWOBJ: what REDUCE does, for a class whose objects are only described."""
    at = machine.at - 1
    reduce(machine)
    if not isinstance(machine.top(), Blank):
        raise Malformed(f"its pickle has the opcode {shown(bytes([0x81]))} at byte {at}, which torch does not write")


def build(machine: Machine) -> None:
    """BUILD: attributes for an OrderedDict (torch hangs `_metadata` there), which are dropped, or for a Blank."""
    target, attributes = machine.pop_several(2)
    if isinstance(target, Blank):
        target.state = attributes
    else:
        expect(attributes, dict, "attributes")
        expect(target, OrderedDict, "what gets attributes")
    machine.push(target)


def extend(machine: Machine, values: list) -> None:
    """APPEND, APPENDS: lengthen the list on top."""
    expect(machine.top(), list, "what is appended to").extend(values)


def set_items(machine: Machine, flat: list) -> None:
    """SETITEM, SETITEMS: keys and values in turn go into the dict on top."""
    target = machine.top()
    if type(target) not in (dict, OrderedDict) or len(flat) % 2:
        raise Malformed(f"its pickle sets items of a {type(target).__name__}, expected keys and values for a dict")
    for key, value in zip(flat[::2], flat[1::2], strict=True):
        set_item(target, key, value)


def set_item(target: dict, key, value) -> None:
    if type(key) not in (str, int):
        raise Malformed(f"its pickle has a {type(key).__name__} as a key, expected a str or an int")
    if key in target:
        raise Malformed(f"its pickle gives the key {shown(key)} twice, expected once")
    target[key] = value


def ordered_dict(arguments: tuple) -> OrderedDict:
    """OrderedDict(), or OrderedDict([[key, value], ...]) as Python 2 wrote it."""
    made = OrderedDict()
    if len(arguments) > 1:
        raise Malformed(f"its pickle makes an OrderedDict of {len(arguments)} arguments, expected at most one")
    for pair in expect(arguments[0], list, "items") if arguments else ():
        if len(expect(pair, list, "item")) != 2:
            raise Malformed(f"its pickle has an item of {len(pair)} parts, expected key and value")
        set_item(made, *pair)
    return made


ORDERED = Call(ordered_dict)

INSTRUCTIONS: dict[bytes, Callable[[Machine], None]] = {
    b"\x80": protocol,  # PROTO
    b"(": lambda m: m.stack.append([]),  # MARK
    b"N": lambda m: m.push(None),  # NONE
    b"\x88": lambda m: m.push(True),  # NEWTRUE
    b"\x89": lambda m: m.push(False),  # NEWFALSE
    b"K": lambda m: m.push(m.number(1)),  # BININT1
    b"M": lambda m: m.push(m.number(2)),  # BININT2
    b"J": lambda m: m.push(m.number(4, signed=True)),  # BININT
    b"\x8a": lambda m: m.push(m.number(m.number(1), signed=True)),  # LONG1
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),  # BINFLOAT
    b"X": lambda m: m.push(m.text(4)),  # BINUNICODE
    b"T": lambda m: m.push(m.text(4)),  # BINSTRING, a string of Python 2
    b"U": lambda m: m.push(m.text(1)),  # SHORT_BINSTRING
    b")": lambda m: m.push(()),  # EMPTY_TUPLE
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),  # TUPLE
    b"\x85": lambda m: m.push(tuple(m.pop_several(1))),  # TUPLE1
    b"\x86": lambda m: m.push(tuple(m.pop_several(2))),  # TUPLE2
    b"\x87": lambda m: m.push(tuple(m.pop_several(3))),  # TUPLE3
    b"]": lambda m: m.push([]),  # EMPTY_LIST
    b"a": lambda m: extend(m, m.pop_several(1)),  # APPEND
    b"e": lambda m: extend(m, m.pop_to_mark()),  # APPENDS
    b"}": lambda m: m.push({}),  # EMPTY_DICT
    b"s": lambda m: set_items(m, m.pop_several(2)),  # SETITEM
    b"u": lambda m: set_items(m, m.pop_to_mark()),  # SETITEMS
    b"q": lambda m: m.put(m.number(1)),  # BINPUT
    b"r": lambda m: m.put(m.number(4)),  # LONG_BINPUT
    b"h": lambda m: m.get(m.number(1)),  # BINGET
    b"j": lambda m: m.get(m.number(4)),  # LONG_BINGET
    b"c": find_global,  # GLOBAL
    b"Q": lambda m: m.push(m.persistent(m.pop())),  # BINPERSID
    b"R": reduce,  # REDUCE
    b"\x81": new_object,  # NEWOBJ
    b"b": build,  # BUILD
}
