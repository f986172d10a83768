"""pytorch_model.bin before torch 1.6: pickles one after another, then the raw storages.

    pickle      the magic number 0x1950a86a20f9469cfc6c
    pickle      the protocol, 1001
    pickle      {"little_endian": True, ...}
    pickle      the state dict; storages are persistent ids ('storage', type, key, location, count, None)
    pickle      the keys of the storages, in the order in which they follow
    storages    each an int64 count and that many numbers, little-endian, without any alignment

The layout is that of torch/serialization.py (`_legacy_save`). Storages lie wherever the one before ended: those at
addresses that do not divide by the size of their numbers are copied once more.
"""

from .file_bytes import FileBytes, Malformed, shown
from .pickle_ops import interpret
from .torch_objects import Interpreter, Locate, Storage

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MAGIC_PICKLE = b"\x80\x02\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"."


def describe(data: FileBytes, interpreter: Interpreter) -> tuple[object, Locate]:
    """Return what the main pickle of a stream describes, and the function that finds a storage. Raises Malformed."""
    made, storages, at = interpreter(data, check_preamble(data), 6)
    keys, at = plain_pickle(data, at)
    places = locate_storages(data, at, check_keys(keys, storages), storages)
    return made, lambda storage: places[storage.key]


def plain_pickle(data: FileBytes, at: int) -> tuple[object, int]:
    """A pickle of plain values: it may name nothing and refer to nothing."""
    return interpret(data, at, {}, _no_storage)


def _no_storage(identity):
    raise Malformed("has a storage outside its state dict")


def check_preamble(data: FileBytes) -> int:
    """The three pickles before the state dict; the position after them."""
    if (head := data[: len(MAGIC_PICKLE)].tobytes()) != MAGIC_PICKLE:
        raise Malformed(f"begins with {shown(head)}, expected torch's magic number")
    protocol, at = plain_pickle(data, len(MAGIC_PICKLE))
    if protocol != PROTOCOL:
        raise Malformed(f"has stream protocol {shown(protocol)}, expected {PROTOCOL}")
    system, at = plain_pickle(data, at)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise Malformed("was not saved on a little-endian machine", "save it again on one")
    return at


def check_keys(keys, storages: dict[str, Storage]) -> list[str]:
    """The list of storages holds each one that the state dict uses, once, and no other."""
    if type(keys) is not list or any(type(key) is not str for key in keys):
        raise Malformed("has no list of storage keys after its state dict")
    if len(set(keys)) != len(keys) or set(keys) != storages.keys():
        raise Malformed(f"lists {len(keys)} storages, expected each of the {len(storages)} in its state dict once")
    return keys


def locate_storages(data: FileBytes, at: int, keys: list[str], storages: dict[str, Storage]) -> dict[str, int]:
    """The byte at which each storage's numbers begin. They must all be there, and nothing after them."""
    places = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(data[at : at + 8].tobytes(), "little", signed=True)
        if at + 8 > len(data) or count != storage.count:
            raise Malformed(f"has {count} numbers in storage {shown(key)}, its pickle says {storage.count}")
        places[key] = at + 8
        at += 8 + count * storage.element.stored.itemsize
        if at > len(data):
            raise Malformed(f"ends inside storage {shown(key)}: {at} bytes are needed, {len(data)} are there")
    if at != len(data):
        raise Malformed(f"has {len(data) - at} bytes after its last storage, expected none")
    return places
