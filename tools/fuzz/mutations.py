"""One damaged copy of some bytes, decided by a random generator: of any bytes, of JSON, of lines of text.

Real damage is flipped bits, a missing end, parts exchanged or doubled. Hostile damage is a number that claims too much,
a key twice, nesting without end. Both kinds are here; a mutant gets one to four of them.
"""

import hashlib
import itertools
import json
import re
import struct
import zlib
from collections.abc import Callable
from random import Random

Mutation = Callable[[Random, bytearray], None]  # in place
WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}  # width in bytes -> letter in struct
WILD_TEXT = ("", "\0", "a" * 5000, "\ud800", "../../etc/passwd", "nan", "1e999", "\u202e", "-1")
WILD_NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**64, 10**400, 1e308, float("nan"), float("inf"), 0.5)
WILD = (*WILD_NUMBERS, *WILD_TEXT, None, True, [], {}, [[]], [1] * 1000, {"a": {"a": {}}})


def place(random: Random, data: bytearray, most: int = 64) -> tuple[int, int]:
    """Begin and end of a stretch of at most `most` bytes. Half of them lie near the beginning, where headers are."""
    reach = min(len(data), 512) if random.random() < 0.5 else len(data)
    begin = random.randrange(reach + 1)
    return begin, min(len(data), begin + random.randint(1, most))


def flip(random: Random, data: bytearray) -> None:
    """Flip one bit."""
    if data:
        data[place(random, data)[0] % len(data)] ^= 1 << random.randrange(8)


def overwrite(random: Random, data: bytearray) -> None:
    """Replace a stretch by random bytes, or by one byte repeated."""
    begin, end = place(random, data)
    fill = random.randbytes(end - begin)
    data[begin:end] = fill if random.random() < 0.5 else fill[:1] * (end - begin)


def insert(random: Random, data: bytearray) -> None:
    """Insert random bytes."""
    begin, _ = place(random, data)
    data[begin:begin] = random.randbytes(random.randint(1, 16))


def remove(random: Random, data: bytearray) -> None:
    """Remove a stretch."""
    begin, end = place(random, data)
    del data[begin:end]


def cut(random: Random, data: bytearray) -> None:
    """Cut the end off."""
    del data[place(random, data)[0] :]


def repeat(random: Random, data: bytearray) -> None:
    """Repeat a stretch somewhere else."""
    begin, end = place(random, data, 4096)
    at, _ = place(random, data)
    data[at:at] = data[begin:end]


def exchange(random: Random, data: bytearray) -> None:
    """Copy a stretch over another one."""
    begin, end = place(random, data, 256)
    at, _ = place(random, data)
    data[at : at + end - begin] = data[begin:end]


def claim(random: Random, data: bytearray) -> None:
    """Write an integer of 1 to 8 bytes that claims too much, too little, or nearly the truth."""
    width = random.choice([n for n in WIDTHS if n <= len(data)] or [0])
    if not width:
        return
    at = min(place(random, data)[0], len(data) - width)
    layout = random.choice("<>") + WIDTHS[width]
    (truth,) = struct.unpack_from(layout, data, at)
    top = 1 << 8 * width
    lie = random.choice((0, 1, top - 1, top // 2, top // 2 - 1, len(data), truth + 1, truth - 1, truth * 2))
    struct.pack_into(layout, data, at, lie % top)


def digits(random: Random, data: bytearray) -> None:
    """Change a decimal number in the text, if there is one."""
    places = [i for i, byte in enumerate(data[:4096]) if 48 <= byte <= 57]
    if places:
        at = random.choice(places)
        data[at : at + 1] = random.choice((b"-1", b"0", b"9", b"1e9", b"9" * 30, b"1.5", b"\xd9\xa1"))


BYTES: tuple[Mutation, ...] = (flip, overwrite, insert, remove, cut, repeat, exchange, claim, claim, digits)


def of_bytes(random: Random, seed: bytes) -> bytes:
    """A damaged copy of a file of any kind."""
    data = bytearray(seed)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        random.choice(BYTES)(random, data)
    return bytes(data)


def of_kernels(random: Random, seed: bytes) -> bytes:
    """A damaged copy of a file of compiled kernels; half of them have a checksum that fits the damage."""
    if random.random() < 0.5:
        return of_bytes(random, seed)
    begin = seed.index(b"\n") + 1
    payload = of_bytes(random, seed[begin + hashlib.sha256().digest_size :])
    return seed[:begin] + hashlib.sha256(payload).digest() + payload


def of_safetensors(random: Random, seed: bytes) -> bytes:
    """A damaged copy of a safetensors file; half of them have a header whose values are damaged and length is right."""
    if random.random() < 0.5:
        return of_bytes(random, seed)
    end = 8 + int.from_bytes(seed[:8], "little")
    header = of_json(random, seed[8:end].rstrip())
    return len(header).to_bytes(8, "little") + header + seed[end:]


def of_ogg(random: Random, seed: bytes) -> bytes:
    """A damaged copy of an Ogg file; in half of them the checksum of every page that can be found fits the damage."""
    data = bytearray(of_bytes(random, seed))
    if random.random() < 0.5:
        return bytes(data)
    begins = [found.start() for found in re.finditer(b"OggS", data)]
    for begin, end in itertools.pairwise([*begins, len(data)]):
        if end - begin >= 27:
            data[begin + 22 : begin + 26] = bytes(4)
            data[begin + 22 : begin + 26] = ogg_checksum(data[begin:end]).to_bytes(4, "little")
    return bytes(data)


MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # a byte with its bits in the other order


def ogg_checksum(page: bytes) -> int:
    """CRC-32 of an Ogg page, polynomial 0x04C11DB7, from 0, nothing reflected (RFC 3533, section 6, field 7).

    zlib's is the same polynomial with every bit order reversed, begun and ended with the complement.
    """
    value = zlib.crc32(page.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)


def of_lines(random: Random, seed: bytes) -> bytes:
    """A damaged copy of a file of lines: of its lines and fields as often as of its bytes."""
    if random.random() < 0.5:
        return of_bytes(random, seed)
    lines = seed.split(b"\n")
    at = random.randrange(len(lines))
    separator = random.choice((b"\t", b",", b" "))
    fields = lines[at].split(separator)
    kind = random.randrange(5)
    if kind == 0:
        lines.insert(random.randrange(len(lines)), lines[at])
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        fields[random.randrange(len(fields))] = wild_bytes(random)
        lines[at] = separator.join(fields)
    elif kind == 3:
        lines[at] = separator.join(random.sample(fields, len(fields)))
    else:
        lines[at] = lines[at] + separator + wild_bytes(random)
    return random.choice((b"\n", b"\n", b"\r\n", b"\r")).join(lines)


HEADERS = (  # that mean something else than they say, or nothing
    *(
        b"host: evil.example",
        b"host: [::1",
        b"host:",
        b"origin: http://[",
        b"origin: null",
        b"origin: http://localhost",
    ),
    *(b"content-length: \xb2", b"content-length: 99999999999999999999", b"content-length: -1", b"expect: 100-continue"),
    *(
        b"content-type: multipart/form-data",
        b"content-type: multipart/form-data; boundary=",
        b"content-type: text/plain",
    ),
    *(
        b"content-type: multipart/form-data; boundary=\xff\xfe",
        b"content-type: multipart/form-data; boundary=" + b"x" * 99,
    ),
    *(b"content-type: application/json", b"content-type: application/x-www-form-urlencoded; charset=utf-16"),
    *(b"authorization: Bearer", b"authorization: Basic \xff", b"sec-websocket-protocol: s2t-np-key.", b"accept: \xff"),
    *(b"transfer-encoding: chunked", b"content-encoding: gzip", b"range: bytes=0-", b"cookie: \xe9=1"),
)
TEXT = re.compile(rb"(text )(\d+)\n({.*?})(?=\n?(?:text|bytes) |$)", re.DOTALL)
FIELD = re.compile(rb'name="[^"\n]*"\r\n\r\n([^\r]*)\r\n')


def of_request(random: Random, seed: bytes) -> bytes:
    """A damaged request: its head, a field of its form, a message of its WebSocket, or any bytes."""
    kind, (head, _, body) = random.random(), seed.partition(b"\n\n")
    if kind < 0.25:
        return of_bytes(random, seed)
    if kind < 0.5:
        lines = head.split(b"\n")
        lines[random.randrange(len(lines) + 1) :][: random.randrange(2)] = []
        lines.insert(random.randint(1, len(lines)), random.choice(HEADERS))
        return (
            of_lines(random, b"\n".join(lines)) + b"\n\n" + body if kind < 0.4 else b"\n".join(lines) + b"\n\n" + body
        )
    if fields := list(FIELD.finditer(body)):
        field = random.choice(fields)
        value = random.choice((wild_bytes(random), of_bytes(random, field[1])))
        return head + b"\n\n" + body[: field.start(1)] + value + body[field.end(1) :]
    if texts := list(TEXT.finditer(body)):
        text = random.choice(texts)
        value = of_json(random, text[3])
        return head + b"\n\n" + body[: text.start()] + b"text %d\n" % len(value) + value + body[text.end() :]
    return of_lines(random, head) + b"\n\n" + body


def wild_bytes(random: Random) -> bytes:
    """A field that no reader expects."""
    return str(random.choice(WILD_NUMBERS + WILD_TEXT)).encode("utf-8", "surrogatepass")


def of_json(random: Random, seed: bytes) -> bytes:
    """A damaged copy of a JSON file, or of JSON lines: of its values as often as of its bytes."""
    if random.random() < 0.3:
        return of_bytes(random, seed)
    lines = seed.decode().splitlines() if seed.count(b"\n{") else [seed.decode()]
    at = random.randrange(len(lines))
    try:
        value = json.loads(lines[at])
    except ValueError:
        return of_bytes(random, seed)
    for _ in range(random.choice((1, 1, 2))):
        value = damaged(random, value)
    lines[at] = doubled(random, json.dumps(value)) if random.random() < 0.1 else json.dumps(value)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def damaged(random: Random, value):
    """The value with one place in it exchanged, removed or renamed."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return random.choice(WILD)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key, copy = random.choice(keys), value.copy()
    kind = random.random()
    if kind < 0.15:
        copy.pop(key)
    elif kind < 0.25 and isinstance(copy, dict):
        copy[random.choice((*WILD_TEXT, key.upper()))] = copy.pop(key)
    else:
        copy[key] = damaged(random, value[key])
    return copy


def doubled(random: Random, text: str) -> str:
    """The text of an object with one more member, of a name that it has already; or nested without end."""
    if random.random() < 0.3:
        return "[" * 100_000 + "]" * 100_000
    name = text[1:].split(":", 1)[0] or '"a"'
    return f"{{{name}: {json.dumps(random.choice(WILD))}, {text[1:]}"
