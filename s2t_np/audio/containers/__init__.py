"""Which bytes of a file are sound, and of what kind: headers held against the bytes that are there.

libsndfile believes what a header says, and then loses the sound or refuses the file; it also stops after the first of
several recordings joined end to end. `parts` looks at the container and says which bytes to decode, as `Part`s: views
of the file with a header that is true. What it does not know it leaves as it is.

    riff.py    WAV, RIFX, RF64, W64        flac.py    FLAC
    iff.py     AIFF, AU, CAF, NIST         ogg.py     Ogg: Vorbis, Opus, FLAC
    mpeg.py    MP3 and its elders          kinds.py   formats that only FFmpeg reads
"""

from . import flac, iff, mpeg, ogg, riff, tags
from .source import Part, Source

__all__ = ["Part", "Source", "parts"]

MOST_JOINED = 10_000  # recordings in one file
READERS = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64"), riff.wave),
    **dict.fromkeys((b".snd", b"dns."), iff.au),
    **{b"riff": riff.w64, b"FORM": iff.aiff, b"caff": iff.caf, b"fLaC": flac.flac, b"OggS": ogg.ogg, b"NIST": iff.nist},
}
KNOWN_TO_LIBSNDFILE = {  # its decoders of these do not print
    *(b"Crea", b"2BIT", b"PVF1", b" paf", b"fap ", b"\x64\xa3\x01\x00", b"\x00\x01\xa3\x64"),
}


def parts(source: Source) -> list[Part]:
    """The parts of a recording, in order; several where streams or files were joined. Raises AudioError."""
    found, position = [], tags.after_id3(source, 0)
    for _ in range(MOST_JOINED):
        new, end = reader_at(source, position)(source, position)
        found += new
        following = tags.after_tags(source, end)
        if following >= source.size or not begins(source, following):
            break
        position = following
    return found


def reader_at(source: Source, position: int):
    """The function that takes apart what begins at `position`."""
    magic = source.at(position, 4)
    return READERS.get(magic, whole if magic in KNOWN_TO_LIBSNDFILE else mpeg.mpeg)


def whole(source: Source, start: int) -> tuple[list[Part], int]:
    """A file that libsndfile reads as it is."""
    return [Part(source, start)], source.size


def begins(source: Source, position: int) -> bool:
    """Return whether another recording begins at `position`, where the one before ended."""
    head = source.at(position, 12)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return head[8:] == b"WAVE"
    if head[:4] == b"FORM":
        return head[8:] in (b"AIFF", b"AIFC")
    return head[:4] in READERS
