"""pytorch_model.bin since torch 1.6: a zip archive, entries stored as they are.

    NAME/data.pkl     the pickle of the state dict; storages are persistent ids ('storage', type, key, location, count)
    NAME/data/KEY     the numbers of the storage KEY, little-endian
    NAME/version      version of this layout, a number
    NAME/byteorder    "little" or "big", in newer files

NAME is anything. The layout is that of torch/serialization.py (`_save`) and caffe2/serialize/inline_container.cc.
"""

from .file_bytes import FileBytes, Malformed, shown
from .pickle_ops import MAX_PROGRAM
from .stored_zip import Range, stored_entries
from .torch_objects import Interpreter, Locate, Storage

VERSIONS = range(1, 11)  # what torch reads (kMinSupportedFileFormatVersion to kMax...)
PICKLE = b"/data.pkl"


def describe(data: FileBytes, interpreter: Interpreter) -> tuple[object, Locate]:
    """Return what the pickle of an archive describes, and the function that finds a storage. Raises Malformed."""
    entries = stored_entries(data)
    root = find_root(entries)
    check_version(data, entries, root)
    made = interpret_pickle(data, entries[root + PICKLE], interpreter)
    return made, lambda storage: locate(entries, root, storage)


def find_root(entries: dict[bytes, Range]) -> bytes:
    """NAME: the folder in the archive that holds data.pkl."""
    roots = [name.removesuffix(PICKLE) for name in entries if name.endswith(PICKLE) and name.count(b"/") == 1]
    if len(roots) != 1:
        raise Malformed(f"is an archive with {len(roots)} entries named */data.pkl, expected one, as torch.save writes")
    return roots[0]


def check_version(data: FileBytes, entries: dict[bytes, Range], root: bytes) -> None:
    """The small entries that say how to read the big ones. Files of some exporters leave them out."""
    version = content(data, entries.get(root + b"/version", Range(0, 0))).strip() or b"3"
    if not version.isdigit() or int(version) not in VERSIONS:
        raise Malformed(f"has layout version {shown(version)}, expected {VERSIONS[0]} to {VERSIONS[-1]}")
    order = content(data, entries.get(root + b"/byteorder", Range(0, 0))).strip() or b"little"
    if order != b"little":
        raise Malformed(
            f"has byte order {shown(order)}, expected b'little'", "save it again on a little-endian machine"
        )


def content(data: FileBytes, where: Range) -> bytes:
    """The first bytes of a small entry."""
    return data[where.begin : min(where.end, where.begin + 64)].tobytes()


def interpret_pickle(data: FileBytes, where: Range, interpreter: Interpreter) -> object:
    """Run data.pkl, which must be one pickle and nothing else."""
    if (size := where.end - where.begin) > MAX_PROGRAM:
        raise Malformed(f"has a data.pkl of {size} bytes, expected at most {MAX_PROGRAM}")
    made, _, end = interpreter(data[where.begin : where.end], 0, 5)
    if end != size:
        raise Malformed(f"has a data.pkl of {size} bytes whose pickle ends at byte {end}, expected nothing after it")
    return made


def locate(entries: dict[bytes, Range], root: bytes, storage: Storage) -> int:
    """The byte at which a storage begins, whose entry must have exactly its size."""
    where = entries.get(root + b"/data/" + storage.key.encode())
    if where is None:
        raise Malformed(f"has no entry data/* for the storage {shown(storage.key)} of its pickle")
    if (size := storage.count * storage.element.stored.itemsize) != where.end - where.begin:
        raise Malformed(f"has {where.end - where.begin} bytes in storage {shown(storage.key)}, its pickle says {size}")
    return where.begin
