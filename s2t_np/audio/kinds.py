"""Formats that only FFmpeg reads, by their first bytes or a file's suffix, and what to tell the user without it."""

import re

FFMPEG_SUFFIXES = frozenset(  # suffixes of sound, and of video with sound
    (
        ".m4a .m4b .m4r .m4p .mp4 .m4v .f4v .f4a .mov .qt .3gp .3gpp .3g2 .3ga .ismv .psp .aac .adts .latm .loas .ac3 "
        ".eac3 .ac4 .dts .dtshd .mlp .thd .wma .wmv .asf .mkv .mka .mk3d .webm .weba .flv .swf .avi .divx .amv .mpg "
        ".mpeg .mpe .m2p .vob .m2ts .mts .m2t .tod .mxf .gxf .lxf .dv .nut .wtv .ogv .ogm .ogx .spx .amr .awb .ape .wv "
        ".tta .tak .mpc .shn .ofr .oma .aa3 .aa .aax .ra .ram .rm .rmvb .dsf .dff .dss .ds2 .gsm .g722 .sbc .aptx .lc3 "
        ".aptxhd .c2 .tco .rco .qcp .vqf .bonk .smk .bik .cpk .adx .ast .brstm .bcstm .vag .aud .apm .rso .sox .mmf "
        ".dfpwm .spdif .dvd"
    ).split()
)
BRANDS = {b"M4A ": "MPEG-4 audio (AAC or ALAC in M4A)", b"M4B ": "an MPEG-4 audio book", b"qt  ": "QuickTime (MOV)"}
BRANDS |= {b"3gp": "3GPP"}
SOUND = (  # (where, the bytes that stand there, what they begin)
    (4, b"moov", "QuickTime (MOV)"),
    (4, b"mdat", "QuickTime (MOV)"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF (WMA, WMV)"),
    (0, b"ADIF", "AAC"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (0, b"#!AMR", "AMR"),
    (0, b"FLV\x01", "Flash video"),
    (8, b"AVI LIST", "AVI"),
    (0, b"\0\0\1\xba", "MPEG video"),
    (0, b"\0\0\1\xb3", "MPEG video"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"TTA1", "True Audio"),
    (0, b"tBaK", "TAK"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b".RMF", "RealMedia"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
)
OTHER = (  # nothing to hear in it
    (0, b"MThd", "MIDI: notes, not sound"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\3\4", "a zip archive"),
    (0, b"\x1f\x8b", "compressed with gzip"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself (git lfs pull fetches it)"),
)


def describe_format(head: bytes) -> str | None:
    """Return what kind of sound or video the first bytes of a file (16 are enough) begin, if only FFmpeg reads it.

    "MPEG-4 audio ...", "Matroska or WebM", ...; None for the formats that libsndfile reads and for what is unknown.
    """
    if head[4:8] == b"ftyp":
        return next((words for brand, words in BRANDS.items() if head[8:].startswith(brand)), "MPEG-4 (MP4)")
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "an MPEG transport stream"
    return _found(SOUND, head)


def described(head: bytes, name: str) -> str | None:
    """The words for an error about a file that begins with `head`; None if it is of no kind known here."""
    if kind := describe_format(head):
        import shlex

        file = shlex.quote(name) if re.match(r"[^\0\n]*\.\w+$", name) else "FILE"
        return f"is {kind}, which needs PyAV (pip install av); without it, ffmpeg converts it: {conversion(file)}"
    return f"is not a recording: it is {kind}" if (kind := other_kind(head)) else None


def other_kind(head: bytes) -> str | None:
    """The words for a file that holds no sound; None if nothing of the kind is known here."""
    if kind := _found(OTHER, head):
        return kind
    start = head[:512].removeprefix(b"\xef\xbb\xbf").lstrip()[:15].lower()
    return "a web page" if start.startswith((b"<!doctype html", b"<html")) else None


def conversion(file: str) -> str:
    """The command line that transcribes what only ffmpeg reads."""
    return f"ffmpeg -v error -i {file} -f wav - | s2t-np transcribe -"


def _found(table: tuple, head: bytes) -> str | None:
    return next((words for place, magic, words in table if head[place : place + len(magic)] == magic), None)
