"""Decoding by FFmpeg of what libsndfile does not know: m4a, mp4, webm, mkv, mov, wma, aac, amr and the rest.

Needs PyAV (`pip install av`), which brings the libraries along. A file is read packet by packet, so that memory does
not grow with its length; of a video only the sound is decoded. Times are those that a player shows: where a stream
begins late or has a gap, silence stands in for it.

A playlist could make FFmpeg open other files and addresses. Nothing is opened here but the file that was given.
"""

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterator
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import AudioError, IncompleteAudioError
from .arrays import scaled
from .checks import check_samples, usable_rate
from .containers import Part, Source
from .ffmpeg_seeking import LEAST_SAVED, Entry, enter
from .kinds import describe_format
from .mixing import mono
from .seeking import resampled_from, silence, to_pass_over, without_first
from .selection import Selection

OPTIONS = {"protocol_whitelist": "none"}
INSTALL = "pip install av"
HEAD = 4096  # bytes by which a format is known
LIBSNDFILES = ("mp3",)  # FFmpeg's names of formats that libsndfile decodes, if there is anything to decode
CORRUPT_AT_THE_END = ("adx", "aptx", "aptx_hd")  # formats whose last packet FFmpeg calls corrupt in whole files, too
ERROR_AT_THE_END = ("wsaud",)  # formats whose end FFmpeg calls invalid data in whole files, too
LEAST_GAP, MOST_GAP = 0.05, 600.0  # seconds without sound that are filled in; more is a clock that was set
LENGTH_IS_STATED = frozenset("mov matroska asf avi flv caf tta ape wv".split())  # elsewhere FFmpeg estimates it
MOST_MISSING = 0.5  # seconds by which a stated length may be wrong
SILENCE = 1 << 16  # samples of silence at a time


@functools.cache
def has_ffmpeg() -> bool:
    """Return whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


def library(name: str):
    """PyAV. Raises AudioError that says what to install."""
    try:
        import av
    except ImportError as error:
        raise AudioError(f"{name}: reading it needs PyAV, which cannot be imported ({error}): {INSTALL}") from error
    return av


def is_for_ffmpeg(source: Source, selection: Selection) -> bool:
    """Return whether FFmpeg has to read it: a format known to be its own, or another stream than the first."""
    another = selection.stream not in (None, 1)
    return another or (has_ffmpeg() and describe_format(source.at(0, HEAD)) is not None)


def ffmpeg_blocks(source: Source, model_rate: int, selection: Selection) -> Iterator[np.ndarray]:
    """The sound of a file -> blocks (n,) float32 at `model_rate` (Hz).

    Raises AudioError for what FFmpeg cannot read; IncompleteAudioError, after all the sound there is, for what is
    damaged or cut short.
    """
    name = source.name
    with opened_for(source, selection, model_rate) as demuxer:
        samples = 0
        for block in demuxer.mono(model_rate, selection):
            samples += len(block)
            yield block
    if demuxer.part.error:
        raise demuxer.part.error
    if demuxer.note:
        there = f"{samples / model_rate:.2f} s of sound could be read" if samples else "there is no sound in it"
        raise IncompleteAudioError(f"{name}: {demuxer.note}; {there}")


def checked(blocks: Iterator[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """The same blocks (n,), as float32. Raises AudioError for the first sample that is NaN or implausibly large."""
    total = 0
    for block in blocks:
        check_samples(block, total, name)
        total += len(block)
        yield block.astype(np.float32, copy=False)


class NamedPart(Part):
    """A whole file, with a name that has its suffix: some formats have no other mark by which FFmpeg knows them."""

    def __init__(self, source: Source):
        super().__init__(source, 0)
        self.name = f"recording{Path(source.name).suffix}"


def opened(source: Source) -> "Demuxer":
    """A file, opened. Raises AudioError."""
    av, part = library(source.name), NamedPart(source)
    try:
        container = av.open(part, container_options=dict(OPTIONS))
        if container.format.name in LIBSNDFILES:
            container.close()
            raise AudioError(
                f"{source.name}: is not a recording that can be read: there is too little MPEG audio in it"
            )
        return Demuxer(av, container, part)
    except (av.FFmpegError, ValueError, OSError) as error:
        if part.error:
            raise part.error from None
        kind = describe_format(source.at(0, HEAD))
        says = (
            f"is {kind}, but FFmpeg" if kind else "is not a recording that can be read: neither libsndfile nor FFmpeg"
        )
        raise AudioError(f"{source.name}: {says} {trouble(error, source)}") from error


def trouble(error: Exception, source: Source) -> str:
    """Return why a file cannot be opened, after the words "FFmpeg" or "neither libsndfile nor FFmpeg"."""
    head = source.at(0, HEAD)
    if head[4:8] in (b"ftyp", b"mdat") and source.find(b"moov", position=0) == source.size:
        return "finds no index (moov) in it: it is cut short, or its recording was never finished"
    verb = "cannot open" if describe_format(head) else "knows"
    return f"{verb} it ({getattr(error, 'strerror', None) or error})"


@contextlib.contextmanager
def opened_for(source: Source, selection: Selection, model_rate: int) -> Iterator["Demuxer"]:
    """A file, opened, at its beginning, or shortly before a clip where its samples are the same. Raises AudioError."""
    if selection.start >= LEAST_SAVED:
        with opened(source) as demuxer:
            demuxer.choose(selection.stream)
            if enter(demuxer, selection, model_rate):
                yield demuxer
                return
    with opened(source) as demuxer:
        demuxer.choose(selection.stream)
        yield demuxer


class Demuxer:
    """An open file of FFmpeg's, of which one audio stream is decoded."""

    def __init__(self, av, container, part: Part):
        self.av, self.container, self.part, self.name = av, container, part, part.source.name
        self.note: str | None = None  # what the user should know about it
        self.stream = None
        self.at = 0.0  # seconds of sound that were decoded
        self.reach = 0.0  # seconds up to which packets were seen, by the file's clock
        self.entry: Entry | None = None  # where it was entered, if not at its beginning

    def __enter__(self) -> "Demuxer":
        return self

    def __exit__(self, *_) -> None:
        self.container.close()

    def choose(self, number: int | None) -> None:
        """Take the audio stream of that number, counted from 1. Raises AudioError."""
        streams = self.container.streams.audio
        if not streams:
            raise AudioError(f"{self.name}: has no sound: there is no audio stream in it")
        if (number or 1) > len(streams):
            count = f"{len(streams)} audio stream{'s' * (len(streams) > 1)}"
            raise AudioError(f"{self.name}: has {count}, so there is no stream {number}")
        self.stream = streams[(number or 1) - 1]
        if self.stream.codec_context is None:
            raise AudioError(f"{self.name}: is in a codec that FFmpeg does not know, or its header is damaged")

    @property
    def begin(self) -> float:
        """Seconds that the file's clock shows at its beginning."""
        return (self.container.start_time or 0) / self.av.time_base

    @property
    def length(self) -> float:
        """Seconds that the file claims to last; 0 if it does not say."""
        return (self.container.duration or 0) / self.av.time_base

    def seek(self, time: int) -> None:
        """Go on at the last place before the packet at that time, in units of the stream."""
        self.container.seek(time, stream=self.stream)

    def enter(self, entry: Entry) -> None:
        """Go on as if everything before the entry had been decoded."""
        self.seek(entry.begin)
        self.entry, self.at, self.reach = entry, entry.at / self.stream.codec_context.sample_rate, 0.0

    def mono(self, model_rate: int, selection: Selection) -> Iterator[np.ndarray]:
        """The sound, blocks (n,) at `model_rate` (Hz); well before the beginning of a clip come zeros.

        Raises AudioError; sets `note`.
        """
        start = selection.start
        for rate, pieces in groupby(self.pieces(), key=attrgetter("rate")):
            passed = to_pass_over(start, usable_rate(rate, model_rate, self.name), model_rate)
            rest = Rest(pieces, passed, self.entry.at if self.entry and start else 0)
            blocks = checked(mono(without_first(rest, passed - rest.at), self.name, selection.channel), self.name)
            yield from resampled_from(passed, blocks, rate, model_rate)
            if 0 < rest.at <= passed and rest.first is None:
                yield silence(rest.at, rate, model_rate)
            start = 0.0

    def pieces(self) -> Iterator["Piece"]:
        """Frame after frame, silence included; sets `note`."""
        for frame in self.decoded():
            yield from self.gap_before(frame)
            self.at += frame.samples / frame.sample_rate
            yield Piece(frame.sample_rate, frame.samples, functools.partial(samples_of, frame))
        self.note = self.note or self.missing()

    def gap_before(self, frame) -> Iterator["Piece"]:
        """Silence, where a frame is later than what was decoded."""
        late = 0.0 if frame.time is None else frame.time - self.begin - self.at
        if LEAST_GAP < late <= MOST_GAP:
            self.at += late
            yield from silences(round(late * frame.sample_rate), frame)

    def decoded(self) -> Iterator:
        """The frames of the stream. Packets that cannot be decoded are passed over; sets `note`."""
        for packet in self.packets():
            if packet.stream_index != self.stream.index:
                continue
            if self.entry and packet.pts is not None and packet.pts < self.entry.first:
                self.run_in(packet)
                continue
            if packet.is_corrupt and self.container.format.name not in CORRUPT_AT_THE_END:
                self.damaged("a packet is incomplete")
            try:
                yield from packet.decode()
            except self.av.FFmpegError:
                self.damaged("frames cannot be decoded")

    def run_in(self, packet) -> None:
        """Decode a packet before the entry; the first ones lack what is before them."""
        with contextlib.suppress(self.av.FFmpegError):
            packet.decode()

    def packets(self) -> Iterator:
        """The packets of all streams; sets `note` where reading them fails."""
        end = 0  # where the last packet ended, in bytes
        try:
            for packet in self.container.demux():
                end = end if packet.pos is None else packet.pos + packet.size
                if packet.pts is not None:
                    self.reach = max(self.reach, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                yield packet
        except (self.av.FFmpegError, OSError) as error:
            if self.container.format.name not in ERROR_AT_THE_END or end != self.part.source.size:
                self.damaged(str(error.strerror))
        if self.part.shrunk:
            self.damaged("it became shorter while it was read")

    def damaged(self, reason: str) -> None:
        """Note the first damage."""
        self.note = self.note or f"is damaged or cut short about {self.at:.1f} s in ({reason})"

    def missing(self) -> str | None:
        """Return what is missing of the length that the file states, if it states one."""
        head = self.part.source.at(0, 12)
        westwood, bytes_stated = self.container.format.name == "wsaud", int.from_bytes(head[4:8], "little") + 8
        if westwood:
            bytes_stated = int.from_bytes(head[2:6], "little") + len(head)
        if (head[:4] == b"RIFF" or westwood) and bytes_stated > self.part.source.size:
            return f"is cut short: its header promises {bytes_stated} bytes, {self.part.source.size} are there"
        stated, there = self.length, self.reach - self.begin
        if self.container.format.name.split(",")[0] not in LENGTH_IS_STATED or stated - there <= MOST_MISSING:
            return None
        return f"is cut short: its header promises {stated:.2f} s, {max(0.0, there):.2f} s are there"


class Piece(NamedTuple):
    """A few samples of one stream."""

    rate: int  # Hz
    length: int  # frames
    samples: Callable[[], np.ndarray]  # (length, C), converted when it is called


class Rest:
    """The samples of pieces, from the last of them on that begins at or before frame number `passed`."""

    def __init__(self, pieces: Iterator[Piece], passed: int, at: int = 0):
        self.pieces, self.at, self.first = pieces, at, None  # `at`: the number of its first frame
        for piece in pieces:
            if self.at + piece.length > passed:
                self.first = piece
                return
            self.at += piece.length

    def __iter__(self) -> Iterator[np.ndarray]:
        for piece in chain([self.first] if self.first else [], self.pieces):
            yield piece.samples()


def samples_of(frame) -> np.ndarray:
    """The samples of a frame as floats, integers divided by their range: (n, C)."""
    channels = len(frame.layout.channels)
    numbers = of_64_bits(frame, channels) if frame.format.name.startswith("s64") else frame.to_ndarray()
    planar = numbers if frame.format.is_planar else numbers.reshape(-1, channels).T
    return scaled(planar).T


def of_64_bits(frame, channels: int) -> np.ndarray:
    """Integers of 64 bits, the one format of FFmpeg's that PyAV does not convert, divided by their range."""
    count = frame.samples * (1 if frame.format.is_planar else channels)
    return np.stack([np.frombuffer(plane, np.int64)[:count] for plane in frame.planes]) / 2.0**63


def silences(count: int, frame) -> Iterator[Piece]:
    """`count` samples of silence in all, for a gap before a frame."""
    shape = samples_of(frame)
    for begin in range(0, count, SILENCE):
        length = min(SILENCE, count - begin)
        yield Piece(frame.sample_rate, length, functools.partial(np.zeros, (length, shape.shape[1]), shape.dtype))


def rate_and_channels(source: Source, stream: int | None) -> tuple[float, int]:
    """The sampling rate (Hz) and the number of channels of one audio stream. Raises AudioError."""
    with opened(source) as demuxer:
        demuxer.choose(stream)
        return demuxer.stream.rate, demuxer.stream.codec_context.channels
