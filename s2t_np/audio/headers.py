"""What a recording's header promises, held against the bytes that are there.

Who writes sound into a pipe cannot go back to fill in the length: ffmpeg leaves 0xFFFFFFFF in a WAV, others leave 0 or
2 GB; FLAC leaves 0; MP3 has none; an Ogg file may be several in a row. libsndfile believes what it reads, and loses the
sound or refuses the file. `parts` looks at the container and says which bytes to decode, as `Part`s: file-like views
that show libsndfile a header that is true. What it does not know it leaves as it is.

Formats: RIFF/WAVE (Microsoft and IBM 1991) and RF64 (EBU Tech 3306), AU (Sun), CAF (Apple), FLAC (RFC 9639), Ogg
(RFC 3533), MPEG audio (ISO 11172-3) with the Xing frame that encoders put first to say how many frames follow, and
ID3v2 (id3.org), which may precede anything.
"""

import struct

from ..errors import AudioError

STREAMED = 0x7F000000  # from here on, a length beyond the end of the file is a program's way to say "unknown"
UNKNOWN = 1 << 62
MOST_CHUNKS = 10_000  # a real file has a dozen
SEARCHED = 1 << 16  # bytes looked through for the next page or frame at a time
MOST_TAIL = 4096  # bytes behind the sound that are not worth a warning: a tag, padding
SHORTEST_FRAME, LONGEST_FRAME = 24, 1441  # bytes of an MPEG layer III frame: 8 kbit/s at 24 kHz, 320 at 32


class Source:
    """A seekable binary file with random access, and with one way to fail: AudioError."""

    def __init__(self, file, name: str):
        self.file, self.name = file, name
        self.size = self._try(lambda: file.seek(0, 2))

    def at(self, position: int, count: int) -> bytes:
        """`count` bytes from `position` on, fewer only where the file ends."""
        count = min(count, self.size - position)
        return self._try(lambda: self._read(position, count)) if count > 0 else b""

    def find(self, pattern: bytes, position: int) -> int:
        """Where `pattern` next stands, or the end of the file."""
        while position < self.size:
            if (found := self.at(position, SEARCHED).find(pattern)) >= 0:
                return position + found
            position += SEARCHED - len(pattern) + 1
        return self.size

    def _read(self, position, count):
        self.file.seek(position)
        data = self.file.read(count)
        while len(data) < count and (more := self.file.read(count - len(data))):  # an unbuffered file gives what it has
            data += more
        return data

    def _try(self, action):
        try:
            return action()
        except Exception as error:  # a caller's own file object may fail in its own way
            raise AudioError(f"{self.name}: cannot be read ({error})") from error


class Part:
    """What libsndfile sees as a file: `head`, then the source from `start` to `end`.

    `note` is what the user should know about it, `frames` how many sample frames its header promises (None: unknown),
    `noisy` the file descriptors to which its decoder is known to write (1 standard output, 2 standard error).
    """

    def __init__(self, source: Source, start: int, end: int | None = None, head: bytes = b"", **about):
        self.source, self.start, self.head, self.position = source, start, head, 0
        self.size = len(head) + max(0, (source.size if end is None else end) - start)
        self.note, self.frames, self.noisy = about.get("note"), about.get("frames"), about.get("noisy", ())
        self.error: BaseException | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = max(0, offset + (0, self.position, self.size)[whence])
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, count: int) -> bytes:
        """Called from C, which cannot pass an exception on: it is kept in `error`, and the file seems to end."""
        count = max(0, min(count, self.size - self.position))
        data = self.head[self.position : self.position + count]
        try:
            data += self.source.at(self.start + self.position + len(data) - len(self.head), count - len(data))
        except BaseException as error:  # Ctrl-C too
            self.error = error
            return b""
        self.position += len(data)
        return data


def parts(source: Source) -> list[Part]:
    """The parts of a recording, in order; one, except for chained Ogg. Raises AudioError if it cannot be read."""
    start = after_id3(source)
    reader = READERS.get(source.at(start, 4), mpeg_parts)
    return reader(source, start)


def after_id3(source: Source) -> int:
    """Where the sound begins: behind an ID3v2 tag, whose length is written in four times seven bits."""
    header = source.at(0, 10)
    if len(header) < 10 or header[:3] != b"ID3" or max(header[6:]) > 0x7F:
        return 0
    length = sum(byte << shift for byte, shift in zip(header[6:], (21, 14, 7, 0), strict=True))
    footer = 10 if header[5] & 0x10 else 0
    return min(10 + length + footer, source.size)


def is_name(four: bytes) -> bool:
    """Whether these bytes can be the name of a chunk: four printable characters."""
    return len(four) == 4 and all(0x20 <= byte < 0x7F for byte in four)


def chunks(source: Source, position: int, layout: str):
    """(name, where its body begins, length as claimed) of each chunk, until no chunk name stands where one should."""
    size = struct.calcsize(layout)
    for _ in range(MOST_CHUNKS):
        header = source.at(position, size)
        if len(header) < size or not is_name(header[:4]):
            return
        name, length = struct.unpack(layout, header)
        yield name, position + size, length
        if length < 0:
            return
        position = next_chunk(source, position + size + length, padded=size == 8 and length % 2)


def next_chunk(source: Source, end: int, padded: bool) -> int:
    """Where the chunk behind a body that ends at `end` begins: RIFF pads odd lengths to even, though not all do."""
    forgotten = padded and not is_name(source.at(end + 1, 4)) and is_name(source.at(end, 4))
    return end + 1 if padded and not forgotten else end


def true_length(source: Source, body: int, claimed: int) -> tuple[int, str | None]:
    """How many bytes from `body` on are sound, given what the header claims, and what to tell the user."""
    there = max(0, source.size - body)
    if claimed <= there:
        return claimed, None
    if claimed >= STREAMED:
        return there, None
    return there, f"is cut short: its header promises {claimed} bytes of sound, {there} are there"


def wave_parts(source: Source, start: int) -> list[Part]:
    """RIFF, RIFX, RF64: a new header in front of the sound, with only the format and the true length."""
    magic = source.at(start, 12)
    order = ">" if magic.startswith(b"RIFX") else "<"
    found: dict[bytes, tuple[int, int]] = {}
    for name, body, length in chunks(source, start + 12, order + "4sI"):
        found.setdefault(name, (body, length))
    if magic[8:] != b"WAVE" or not {b"fmt ", b"data"} <= found.keys():
        return [Part(source, start)]
    body, length, note = wave_data(source, found, order)
    form = source.at(found[b"fmt "][0], min(found[b"fmt "][1], 1024))
    if form[:2] in (b"\x50\0", b"\x55\0"):
        return mpeg_parts(source, body)
    return [Part(source, body, body + length, wave_header(order, form, length), note=note)]


def wave_data(source: Source, found: dict, order: str) -> tuple[int, int, str | None]:
    """Where the sound of a WAVE file begins, its true length, and what to tell the user."""
    body, claimed = found[b"data"]
    if claimed == 0xFFFFFFFF:
        claimed = int.from_bytes(source.at(found[b"ds64"][0] + 8, 8), "little") if b"ds64" in found else UNKNOWN
    behind = body + claimed + claimed % 2
    lost = 0 if any(chunks(source, behind, order + "4sI")) else source.size - behind
    if lost > 0 and claimed < 8:  # never filled in: too little for any sound, and no other chunk follows
        return body, source.size - body, None
    length, note = true_length(source, body, claimed)
    if lost > MOST_TAIL:
        note = f"holds {lost} bytes behind the sound that belong to nothing; they are left out"
    return body, length, note


def wave_header(order: str, form: bytes, length: int) -> bytes:
    """The bytes before the sound: RIFF (or RIFX), and RF64 where 32 bits do not hold the length."""
    chunk = struct.pack(order + "4sI", b"fmt ", len(form)) + form + b"\0" * (len(form) % 2)
    total = 12 + len(chunk) + length
    if total < 1 << 32:
        riff = b"RIFX" if order == ">" else b"RIFF"
        sizes = struct.pack(order + "4sI4s", riff, total, b"WAVE"), struct.pack(order + "4sI", b"data", length)
        return sizes[0] + chunk + sizes[1]
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, total + 36, length, 0, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + ds64 + chunk + b"data\xff\xff\xff\xff"


def flac_parts(source: Source, start: int) -> list[Part]:
    """FLAC: the 36-bit sample count at the end of STREAMINFO's first 18 bytes is set to 0, "unknown"."""
    head = source.at(start, 26)
    if len(head) < 26 or head[4] & 0x7F != 0:  # the first block has to be STREAMINFO
        return [Part(source, start)]
    fields = int.from_bytes(head[18:26], "big")
    frames = fields & (1 << 36) - 1
    return [Part(source, start + 26, None, head[:18] + (fields - frames).to_bytes(8, "big"), frames=frames or None)]


def au_parts(source: Source, start: int) -> list[Part]:
    """AU: a length that is 0 or more than there is becomes 0xFFFFFFFF, "unknown"."""
    head = source.at(start, 12)
    if len(head) < 12:
        return [Part(source, start)]
    order = ">" if head[:4] == b".snd" else "<"
    offset, claimed = struct.unpack(order + "II", head[4:])
    length, note = true_length(source, start + offset, claimed)
    believed = head[8:] if 0 < claimed == length else b"\xff" * 4
    return [Part(source, start + 12, None, head[:8] + believed, note=note)]


def caf_parts(source: Source, start: int) -> list[Part]:
    """CAF: a data length of -1, "unknown", of 0, or of more than there is, becomes the true one."""
    for name, body, claimed in chunks(source, start + 8, ">4sq"):
        if name == b"data" and body - start < SEARCHED:
            length, note = true_length(source, body, claimed if claimed > 0 else UNKNOWN)
            head = source.at(start, body - 8 - start) + struct.pack(">q", length)
            return [Part(source, body, None, head, note=note, noisy=(1,))]  # it holds ALAC, perhaps
    return [Part(source, start, noisy=(1,))]


def aiff_parts(source: Source, start: int) -> list[Part]:
    """AIFF: libsndfile counts for itself; only whether all of the sound is there is worth a note."""
    sound = next((c for c in chunks(source, start + 12, ">4sI") if c[0] == b"SSND"), None)
    return [Part(source, start, note=true_length(source, *sound[1:])[1] if sound else None)]


def ogg_parts(source: Source, start: int) -> list[Part]:
    """Ogg: one part for each stream of a chain; each begins with pages flagged "first" after one that is not."""
    links, position, inside, flags, gap = [], start, True, 0, False
    while position < source.size:
        header = source.at(position, 27 + 255)
        if len(header) < 27 or not header.startswith(b"OggS"):
            position = source.find(b"OggS", position + 1)
            gap = gap or position < source.size
            continue
        flags = header[5]
        if flags & 2 and inside:
            links.append(position)
        inside = not flags & 2
        position += 27 + header[26] + sum(header[27 : 27 + header[26]])
    whole = flags & 4 and position == source.size and not gap
    note = None if whole else "is damaged or cut short: pages of the Ogg stream are missing"
    links = links or [start]
    ends = [*links[1:], source.size]
    return [Part(source, a, b, note=note) for a, b in zip(links, ends, strict=True)]


def mpeg_frame_length(header: bytes) -> int:
    """Bytes in the MPEG layer III frame that begins with these four, or 0 if none does."""
    word = int.from_bytes(header[:4], "big")
    version, layer, rate, pad = word >> 19 & 3, word >> 17 & 3, word >> 10 & 3, word >> 9 & 1
    bits = word >> 12 & 15
    if len(header) < 4 or word >> 21 != 0x7FF or version == 1 or layer != 1 or rate == 3 or bits in (0, 15):
        return 0
    one = version == 3  # MPEG 1; 2 is MPEG 2 with half the rate, 0 is MPEG 2.5 with a quarter
    kbits = (MPEG1_KBITS if one else MPEG2_KBITS)[bits]
    hertz = (44100, 48000, 32000)[rate] >> (0 if one else 1 if version == 2 else 2)
    return (144000 if one else 72000) * kbits // hertz + pad


def mpeg_frames(source: Source, position: int, most: int = UNKNOWN) -> int:
    """How many frames, at most `most`, stand one behind the other from `position` on."""
    count = 0
    while count < most and (length := mpeg_frame_length(source.at(position, 4))):
        position, count = position + length, count + 1
    return count


def mpeg_start(source: Source, start: int) -> int:
    """Where three frames in a row begin, at `start` or a little behind it: a stream may begin in the midst of a frame.

    Behind an ID3 tag, which says that this is MP3, one may look further.
    """
    window = source.at(start, SEARCHED if start else 2 * LONGEST_FRAME)
    for i in (i for i, byte in enumerate(window) if byte == 0xFF):
        if mpeg_frames(source, start + i, 3) == 3:
            return start + i
    return start


def mpeg_parts(source: Source, start: int) -> list[Part]:
    """MP3: make the Xing frame promise enough, or put one in front where there is none; other files as they are.

    libsndfile stops at the promised number, and without one guesses it from the length of the first frame. A promise
    that is enough is left alone, because the decoder also takes from it where the encoder's padding ends.
    """
    start = mpeg_start(source, start)
    first = source.at(start, 4)
    if not mpeg_frame_length(first):
        return [Part(source, start, noisy=(1, 2))]
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    tag = 4 + side[first[1] & 0x18 == 0x18, first[3] >> 6 == 3]  # behind the side information
    head = source.at(start, tag + 12)
    most = struct.pack(">4sII", b"Xing", 1, (source.size - start) // SHORTEST_FRAME + 1)
    if len(head) < tag + 12 or head[tag : tag + 4] not in (b"Xing", b"Info") or not head[tag + 7] & 1:
        return [Part(source, start, None, xing_frame(first, tag, most), noisy=MPEG_NOISE)]
    promised, count = int.from_bytes(head[tag + 8 :], "big"), mpeg_frames(source, start) - 1
    if promised < count:
        return [Part(source, start + tag + 12, None, head[: tag + 8] + most[8:], noisy=MPEG_NOISE)]
    note = f"is damaged or cut short: its header promises {promised} MPEG frames, {count} come in one piece"
    return [Part(source, start, note=note if promised > count + 1 else None, noisy=MPEG_NOISE)]


def xing_frame(first: bytes, tag: int, promise: bytes) -> bytes:
    """A silent frame of the same kind as `first`, at the highest bit rate, that carries the promise at `tag`."""
    header = bytes([first[0], first[1] | 1, 0xE0 | first[2] & 0x0C, first[3]])
    frame = header.ljust(tag, b"\0") + promise
    return frame.ljust(mpeg_frame_length(header), b"\0")


MPEG_NOISE = (2,)
MPEG1_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG2_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
WAVE, AU = dict.fromkeys((b"RIFF", b"RIFX", b"RF64"), wave_parts), dict.fromkeys((b".snd", b"dns."), au_parts)
OTHERS = {b"fLaC": flac_parts, b"caff": caf_parts, b"FORM": aiff_parts, b"OggS": ogg_parts}
READERS = WAVE | AU | OTHERS
