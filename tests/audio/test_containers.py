"""Headers that lie about how much sound there is, or of what kind: the sound that is there, or one AudioError."""

import io
import struct
import tracemalloc

import numpy as np
import pytest

from s2t_np.audio import containers, decoding
from s2t_np.audio.containers import mpeg
from s2t_np.errors import AudioError
from tests.support.sounds import chunk, encode, patched, pcm16, read, riff, signal, wave_format

pytest.importorskip("soundfile")

X = signal(5001)
SOUND = pcm16(X)  # 10,002 bytes
FMT, DATA = chunk(b"fmt ", wave_format()), chunk(b"data", SOUND)
WAV = riff(FMT, DATA)
LIST = chunk(b"LIST", b"INFOISFT\x0e\0\0\0Lavf58.29.100\0")
ID3 = b"ID3\4\0\0\0\0\0\x14" + bytes(20)


def data(length):
    return chunk(b"data", SOUND, length)


def extensible(guid=b"\1\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71", bits=16):
    return chunk(b"fmt ", wave_format(tag=0xFFFE, extra=struct.pack("<HHI", 22, bits, 4) + guid))


def rf64(length, claimed=0xFFFFFFFF):
    ds64 = chunk(b"ds64", struct.pack("<QQQI", length + 60, length, length // 2, 0))
    return riff(ds64, FMT, data(claimed), magic=b"RF64", length=0xFFFFFFFF)


def big_endian():
    body = np.frombuffer(SOUND, "<i2").astype(">i2").tobytes()
    return riff(
        chunk(b"fmt ", wave_format(order=">"), order=">"), chunk(b"data", body, 0, ">"), magic=b"RIFX", order=">"
    )


WHOLE = {  # every one of these holds all of X
    "plain": WAV,
    "RIFF size 0": riff(FMT, DATA, length=0),
    "RIFF size 4 GB": riff(FMT, DATA, length=0xFFFFFFFF),
    "RIFF size too small": riff(FMT, DATA, length=30),
    "data size 0, as when a program was killed": riff(FMT, data(0), length=0),
    "data size 0 and a list before it": riff(FMT, LIST, data(0)),
    "data size 1": riff(FMT, data(1)),
    "data size 4 GB, as ffmpeg leaves it": riff(FMT, LIST, data(0xFFFFFFFF), length=0xFFFFFFFF),
    "data size 2 GB, as sox leaves it": riff(FMT, data(0x7FFFF000), length=0x7FFFF024),
    "data size 2 GB and a bit": riff(FMT, data(0x80000000)),
    "data before fmt": riff(DATA, FMT),
    "a list behind": riff(FMT, DATA, LIST),
    "two fmt": riff(FMT, FMT, DATA),
    "two data": riff(FMT, DATA, chunk(b"data", SOUND[:100])),
    "odd chunk, padded": riff(FMT, chunk(b"junk", b"abc"), DATA),
    "odd chunk, not padded": riff(FMT, chunk(b"junk", b"abc", pad=False), DATA),
    "large junk": riff(chunk(b"JUNK", bytes(3_000_000)), FMT, DATA),
    "fact of 0": riff(FMT, chunk(b"fact", struct.pack("<I", 0)), DATA),
    "fact of 5": riff(FMT, chunk(b"fact", struct.pack("<I", 5)), DATA),
    "fact of 4 G": riff(FMT, chunk(b"fact", struct.pack("<I", 2**32 - 1)), DATA),
    "fmt of 18 bytes": riff(chunk(b"fmt ", wave_format(extra=b"\0\0")), DATA),
    "fmt of 17 bytes": riff(chunk(b"fmt ", wave_format(extra=b"\0")), DATA),
    "extensible": riff(extensible(), DATA),
    "align 0": riff(chunk(b"fmt ", wave_format(align=0)), DATA),
    "align 1": riff(chunk(b"fmt ", wave_format(align=1)), DATA),
    "align 65535": riff(chunk(b"fmt ", wave_format(align=65535)), DATA),
    "byte rate 0": riff(chunk(b"fmt ", wave_format(byte_rate=0)), DATA),
    "byte rate 4 G": riff(chunk(b"fmt ", wave_format(byte_rate=2**32 - 1)), DATA),
    "12 bits in 16": riff(chunk(b"fmt ", wave_format(bits=12, align=2)), DATA),
    "garbage behind": WAV + b"\xab\xcd" * 500,
    "zeros behind": WAV + bytes(3000),
    "ID3 before": ID3 + WAV,
    "ID3 with a footer before": b"ID3\4\0\x10\0\0\0\x14" + bytes(30) + WAV,
    "RIFX": big_endian(),
    "RF64": rf64(len(SOUND)),
    "RF64 of size 0": rf64(0),
    "RF64 of size -1": rf64(2**64 - 1 - 60),
    "RF64 of 2 GB": rf64(2**31),
    "RF64 by name only": riff(FMT, DATA, magic=b"RF64"),
}
REFUSED = {
    "no data": riff(FMT),
    "no fmt": riff(DATA),
    "only RIFF": b"RIFF",
    "only RIFF WAVE": riff(),
    "form AVI": riff(FMT, DATA, form=b"AVI "),
    "data of no bytes": riff(FMT, chunk(b"data", b"")),
    "fmt of 0 bytes": riff(chunk(b"fmt ", b""), DATA),
    "fmt of 10 bytes": riff(chunk(b"fmt ", wave_format()[:10]), DATA),
    "fmt size 2 GB": riff(chunk(b"fmt ", wave_format(), 2**31), DATA),
    "fmt size 4 GB": riff(chunk(b"fmt ", wave_format(), 2**32 - 1), DATA),
    "list size 4 GB": riff(chunk(b"LIST", b"abcd", 2**32 - 1), FMT, DATA),
    "0 channels": riff(chunk(b"fmt ", wave_format(channels=0)), DATA),
    "1025 channels": riff(chunk(b"fmt ", wave_format(channels=1025)), DATA),
    "65535 channels": riff(chunk(b"fmt ", wave_format(channels=65535)), DATA),
    "rate 0": riff(chunk(b"fmt ", wave_format(0)), DATA),
    "rate 1": riff(chunk(b"fmt ", wave_format(1)), DATA),
    "rate 2 G": riff(chunk(b"fmt ", wave_format(2**31)), DATA),
    "rate 4 G": riff(chunk(b"fmt ", wave_format(2**32 - 1)), DATA),
    "0 bits": riff(chunk(b"fmt ", wave_format(bits=0)), DATA),
    "33 bits": riff(chunk(b"fmt ", wave_format(bits=33)), DATA),
    "65535 bits": riff(chunk(b"fmt ", wave_format(bits=65535)), DATA),
    "float of 16 bits": riff(chunk(b"fmt ", wave_format(tag=3)), DATA),
    "tag 0": riff(chunk(b"fmt ", wave_format(tag=0)), DATA),
    "tag AAC": riff(chunk(b"fmt ", wave_format(tag=0xFF)), DATA),
    "tag MP3 over PCM": riff(chunk(b"fmt ", wave_format(tag=0x55)), DATA),
    "tag 65535": riff(chunk(b"fmt ", wave_format(tag=0xFFFF)), DATA),
    "extensible of nothing known": riff(extensible(guid=bytes(16)), DATA),
    "extensible, too short": riff(chunk(b"fmt ", wave_format(tag=0xFFFE)), DATA),
    "RIFX by name only": riff(FMT, DATA, magic=b"RIFX"),
    "garbage before": b"\0\0" + WAV,
    "fLaC and no more": b"fLaC",
    "fLaC and zeros": b"fLaC" + bytes(100),
    "OggS and zeros": b"OggS" + bytes(100),
    "OggS and no more": b"OggS",
    "caff and zeros": b"caff" + bytes(100),
    ".snd and zeros": b".snd" + bytes(100),
    "FORM and zeros": b"FORM" + bytes(100),
    "ID3 and no more": ID3,
    "ID3 of 256 MB": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + WAV,
}


@pytest.mark.parametrize("name", WHOLE)
def test_lies_that_lose_nothing(name):
    y, said = read(WHOLE[name])
    assert len(y) == len(X)
    assert np.abs(y - X).max() < 2**-14
    assert said == ""


@pytest.mark.parametrize("name", REFUSED)
def test_lies_that_leave_no_sound(name, capfd):
    with pytest.raises(AudioError, match=r"^the file object: (is|its header|the samp)") as caught:
        read(REFUSED[name])
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_lies_that_are_believed_in_part():
    y, said = read(riff(FMT, data(100)))
    assert len(y) == 50 and "holds 9902 bytes after the sound that belong to nothing" in said
    assert len(read(riff(chunk(b"fmt ", wave_format(channels=3)), DATA))[0]) == 1667
    assert len(read(riff(chunk(b"fmt ", wave_format(32000)), DATA))[0]) == 2501
    y, said = read(WAV[:-3000])
    assert len(y) == 3501 and "is cut short: its header promises 10002 bytes of sound, 7002 are there" in said


# ---- other containers


def flac(total):
    """X as FLAC; its header claims `total` samples."""
    good = encode(X, container="FLAC")
    fields = int.from_bytes(good[18:26], "big") >> 36 << 36 | total
    return good[:18] + fields.to_bytes(8, "big") + good[26:]


@pytest.mark.parametrize(
    ("total", "said"), [(0, ""), (1, ""), (5000, ""), (5002, "cut short"), (2**36 - 1, "cut short")]
)
@pytest.mark.parametrize("tag", [b"", ID3])
def test_flac_of_any_length(total, said, tag):
    y, words = read(tag + flac(total))
    assert len(y) == len(X) and np.abs(y - X).max() < 2**-14
    assert said in words and bool(said) == bool(words)


@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize(("container", "endian"), [("AU", "BIG"), ("AU", "LITTLE")])
def test_au_of_any_length(size, container, endian):
    good = encode(X, container=container, endian=endian, subtype="PCM_16")
    y, said = read(patched(good, 8, ">I" if endian == "BIG" else "<I", size))
    assert len(y) == len(X) and np.abs(y - X).max() < 2**-14 and said == ""


@pytest.mark.parametrize("size", [-1, 0, 2**31 - 1, 2**62])
def test_caf_of_any_length(size):
    good = encode(X, container="CAF", subtype="PCM_16")
    y, said = read(patched(good, good.index(b"data") + 4, ">q", size))
    assert len(y) == len(X) and np.abs(y - X).max() < 2**-14 and said == ""


@pytest.mark.parametrize("frames", [0, 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**32 - 1])
def test_aiff_of_any_length(frames, size):
    good = encode(X, container="AIFF", subtype="PCM_16")
    lying = patched(patched(good, good.index(b"COMM") + 10, ">I", frames), good.index(b"SSND") + 4, ">I", size)
    y, _ = read(lying)
    assert len(y) == len(X) and np.abs(y - X).max() < 2**-14


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_is_read_to_the_end(subtype):
    one, two = (encode(signal(n, rate), rate, "OGG", subtype) for n, rate in ((8000, 16000), (24000, 48000)))
    for files, length in (((one, two), 16000), ((two, one), 16000), ((one, one, one), 24000)):
        y, said = read(b"".join(files))
        assert abs(len(y) - length) <= 3 and said == ""
    long = encode(signal(200_000), 16000, "OGG", subtype)
    y, said = read(one + long[: len(long) // 2])
    assert 60_000 < len(y) < 150_000 and "pages of the Ogg stream are missing" in said
    y, said = read(one + b"OggS\0\2" + bytes(500))
    assert len(y) == 8000 and said != ""


LOUD_THEN_QUIET = np.concatenate([signal(8000), 0.001 * signal(60000)])


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (24000, 2), (44100, 1), (44100, 2), (8000, 1)])
def test_mp3_of_variable_rate_without_a_count(rate, channels):
    x = np.repeat(LOUD_THEN_QUIET[:, None], channels, axis=1)
    good = encode(x, rate, "MP3", bitrate_mode="VARIABLE", compression_level=0.3)
    length = mpeg.header_of(good[:4]).length
    y, said = read(good, rate)
    whole = len(y)
    assert whole == len(x) and said == ""
    for lying in (good[length:], good[length:] * 2, good * 2, good[length + 7 :], ID3 + bytes(99) + good[length:]):
        y, said = read(lying, rate)
        assert len(y) >= (2 if len(lying) > 1.5 * len(good) else 1) * whole - 3000 and said == ""
    tag = good.index(b"Xing")
    for count in (0, 1, 5):
        assert len(read(patched(good, tag + 8, ">I", count), rate)[0]) >= whole
    y, said = read(patched(good, tag + 8, ">I", 2**32 - 1), rate)
    assert len(y) >= whole and "cut short" in said
    for size in (0, 1, 2**32 - 1):
        assert len(read(patched(good, tag + 12, ">I", size), rate)[0]) == whole


def test_mp3_of_constant_rate_with_padded_frames():
    good = encode(signal(60_000), 44100, "MP3", bitrate_mode="CONSTANT", compression_level=0.7)
    lengths, place = set(), 0
    while header := mpeg.header_of(good[place : place + 4]):
        lengths.add(header.length)
        place += header.length
    assert place == len(good) and len(lengths) == 2  # at 44.1 kHz some frames are one byte longer
    y, said = read(good, 44100)
    assert len(y) == 60_000 and said == ""
    frame = mpeg.xing_frame(bytes([0xFF, 0xFA, *good[2:4]]), 21, b"promise")
    assert frame[1] == 0xFB and frame[21:28] == b"promise"  # without the check sum that a first frame may have
    assert len(frame) == mpeg.header_of(frame[:4]).length


def test_streams_side_by_side_are_no_chain():
    page = struct.pack("<4sBBqIIIB", b"OggS", 0, 2, 0, 1, 0, 0, 1) + b"\x01a"
    other = page[:5] + b"\0" + page[6:]
    for pages, expected in (([page, page, other], [0]), ([page, other, page, page, other, other], [0, 58])):
        source = containers.Source(io.BytesIO(b"".join(pages)), "pages")
        assert [part.start for part in containers.parts(source)] == expected


def test_mp3_within_wav():
    mp3 = encode(LOUD_THEN_QUIET, container="MP3", bitrate_mode="VARIABLE", compression_level=0.3)
    mp3 = mp3[mpeg.header_of(mp3[:4]).length :]
    form = wave_format(tag=0x55, bits=0, align=1, extra=struct.pack("<HHIHHH", 12, 1, 2, 417, 1, 1393))
    y, said = read(riff(chunk(b"fmt ", form), chunk(b"fact", bytes(4)), chunk(b"data", mp3)))
    np.testing.assert_array_equal(y, read(mp3)[0])
    assert len(y) >= len(LOUD_THEN_QUIET) and said == ""


@pytest.mark.parametrize("lying", [flac(2**36 - 1), riff(FMT, data(2**32 - 1)), rf64(2**62), rf64(2**64 - 61)])
def test_memory_follows_the_sound_not_the_header(lying):
    read(WAV)
    tracemalloc.start()
    read(lying)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


WRAPPED = {  # container: where its length stands after this name, how it is written, how many of its bytes are no sound
    "WAV": (b"data", 4, "<I", 0),
    "AIFF": (b"SSND", 4, ">I", 8),
    "AU": (b".snd", 8, ">I", 0),
    "CAF": (b"data", 4, ">q", 4),
    "W64": (b"data", 16, "<q", -24),
    "RF64": (b"ds64", 16, "<q", 0),
}


@pytest.mark.parametrize("container", WRAPPED)
@pytest.mark.parametrize("excess", [200_000, (1 << 32) + 200_000])
def test_more_than_four_gigabytes_are_heard_whole(container, excess, tmp_path):
    """A length of 32 bits says only the remainder: the file is larger than it says by multiples of 2**32."""
    name, offset, layout, besides = WRAPPED[container]
    total = (1 << 32) + excess
    head = encode(np.zeros(1000), container=container, subtype="PCM_16")
    place = head.index(name) + offset
    claimed = total - besides if besides < 0 else total + besides
    head = patched(head, place, layout, claimed % 2**32 if layout.endswith("I") else claimed)
    path = tmp_path / "long"
    with open(path, "wb") as file:  # sparse: nothing of it is on the disk
        file.write(head[: len(head) - 2000])
        file.truncate(len(head) - 2000 + total)
    with open(path, "rb") as file:
        (part,) = containers.parts(containers.Source(file, "long"))
        assert part.note is None
        assert decoding.LocalSound(part).stream.frames == total // 2


def test_a_wrapped_length_before_another_chunk(tmp_path):
    path, total = tmp_path / "long.wav", (1 << 32) + 5000
    with open(path, "wb") as file:
        file.write(riff(FMT, chunk(b"data", b"", 5000)))
        file.truncate(44 + total)
        file.seek(44 + total)
        file.write(LIST)
    with open(path, "rb") as file:
        (part,) = containers.parts(containers.Source(file, "long.wav"))
        assert part.note is None and decoding.LocalSound(part).stream.frames == total // 2


def test_more_than_four_gigabytes_keep_their_length(tmp_path):
    import soundfile

    path = tmp_path / "long.wav"
    with open(path, "wb") as file:  # sparse: nothing of it is on the disk
        file.write(riff(FMT, chunk(b"data", b"", 0xFFFFFFFF), length=0xFFFFFFFF))
        file.truncate(5 << 30)
    with open(path, "rb") as file:
        (part,) = containers.parts(containers.Source(file, "long.wav"))
        with soundfile.SoundFile(part) as sound:
            assert sound.frames == ((5 << 30) - 44) // 2
