"""A clip of a file that FFmpeg reads: decoding begins shortly before it, where the samples are those of the whole file.

Two things are needed for that. The number of every sample: it follows from the times of the packets, where each holds
the same number of samples and none is missing; they are read from the index, or from the packets, which are not
decoded. And a decoder that has forgotten how it began: PCM, FLAC and ALAC at once, MP3 once its bits of earlier frames
are there. Of AAC and Opus the file decides: AAC may draw noise from a generator that runs on through the file, Opus
predicts from what it has decoded. There the clip is decoded twice, from two places and in two states of the decoder;
only if both give the same bits it does not depend on them. Whatever does not fit is decoded from the beginning.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice
from math import inf
from typing import NamedTuple

import numpy as np

from .checks import usable_rate
from .seeking import to_pass_over
from .selection import Selection

RUN_IN = {"flac": 0.0, "alac": 0.0, "mp3float": 1.0, "mp3": 1.0, "aac": 0.3, "opus": 2.0, "libopus": 2.0}  # seconds
TO_BE_TRIED = ("aac", "opus", "libopus")
SAMPLES = {"aac": 1024}  # those of a packet, where others mean another kind of it (HE-AAC)
LEAST_SAVED = 10.0  # seconds: of less, it is not worth the trouble
FIRST = 8  # frames decoded at the beginning, to know how many samples a packet holds
LATE = 0.04  # seconds by which those may be late: a little more would be filled with silence
AFTER = 0.5  # seconds after a clip that the resampling filter may reach


class Entry(NamedTuple):
    """The place at which decoding begins; times are the file's, in units of its stream."""

    begin: int  # time of the packet that is sought
    first: int  # time of the packet whose samples are the first that count
    at: int  # number of the first of them


class Regular(NamedTuple):
    """Packets that hold the same number of samples each."""

    time: int  # the time of one of them
    at: int  # number of its first sample
    samples: int


def enter(demuxer, selection: Selection, model_rate: int) -> bool:
    """Go to shortly before the clip, if its samples are the same then; if not, the demuxer is to be opened anew."""
    codec = demuxer.stream.codec_context.name
    run_in = 0.0 if codec.startswith("pcm_") else RUN_IN.get(codec)
    if run_in is None or (found := regular(demuxer, codec)) is None:
        return False
    rate = demuxer.stream.codec_context.sample_rate
    passed = to_pass_over(selection.start, usable_rate(rate, model_rate, demuxer.name), model_rate)
    entry = entry_of(demuxer, found, passed, 1 + int(run_in * rate / found.samples))
    if entry is None or (codec in TO_BE_TRIED and not is_independent(demuxer, entry, selection, run_in)):
        return False
    demuxer.enter(entry)
    return True


def regular(demuxer, codec: str) -> Regular | None:
    """The packets at the beginning, as the whole file is decoded; None where they differ in length, or are late."""
    at, frames = 0, []
    for frame in islice(demuxer.decoded(), FIRST):
        at += sum(piece.length for piece in demuxer.gap_before(frame))
        frames.append(Regular(frame.pts, at, frame.samples))
        at += frame.samples
        demuxer.at = at / frame.sample_rate
        late = frame.time - demuxer.begin + frame.samples / frame.sample_rate - demuxer.at
    told = {frame.samples for frame in frames[1:]}
    if len(frames) < FIRST or len(told) > 1 or abs(late) > LATE or demuxer.note:
        return None
    profile = demuxer.stream.codec_context.profile
    if codec in SAMPLES and (told != {SAMPLES[codec]} or profile != "LC"):
        return None
    return frames[-1]


def entry_of(demuxer, known: Regular, passed: int, packets: int) -> Entry | None:
    """The entry for a clip after `passed` frames, `packets` packets before it; None where times are irregular."""
    last = (passed - known.at) // known.samples
    if last < packets:
        return None
    times = indexed_times(demuxer, known.time, last + 1)
    if times is None:
        times = np.fromiter(islice(times_of_packets(demuxer, known.time), last + 1), np.int64)
    step = known.samples / (demuxer.stream.codec_context.sample_rate * float(demuxer.stream.time_base))
    if len(times) <= last or np.abs(times - known.time - step * np.arange(len(times))).max() > 1 or demuxer.note:
        return None
    entry = Entry(int(times[last - packets]), int(times[last]), known.at + last * known.samples)
    return entry if lands_before(demuxer, entry) else None


def indexed_times(demuxer, time: int, count: int) -> np.ndarray | None:
    """The times of `count` packets from the one at `time` on, from the index; None if it has not all of them.

    Of Matroska's index only the packets that were read are known, and places every few seconds.
    """
    if not demuxer.container.format.name.startswith("mov,"):
        return None
    times = np.array([entry.timestamp for entry in getattr(demuxer.stream, "index_entries", ())], np.int64)
    times = times[times >= time][:count]
    return times if len(times) == count and times[0] == time else None


def times_of_packets(demuxer, time: int) -> Iterator[int]:
    """The same from the packets themselves, from the place at which reading is."""
    yield time
    for packet in demuxer.packets():
        if packet.stream_index == demuxer.stream.index and packet.pts is not None and packet.pts > time:
            if packet.is_corrupt:
                return
            yield packet.pts


def lands_before(demuxer, entry: Entry) -> bool:
    """Return whether a seek leads to the packet or one before it."""
    demuxer.seek(entry.begin)
    found = (packet.pts for packet in demuxer.packets() if packet.stream_index == demuxer.stream.index)
    time = next(found, None)
    return time is not None and time <= entry.begin


def is_independent(demuxer, entry: Entry, selection: Selection, run_in: float) -> bool:
    """Return whether the clip has the same samples after another run-in, and from another state of the decoder."""
    length = (demuxer.length if selection.end is None else selection.end) - selection.start
    if not 0 < 3 * (length + AFTER + 2 * run_in) < selection.start:  # decoding all of it would be as fast
        return False
    units = float(demuxer.stream.time_base)
    end = inf if selection.end is None else entry.first + (length + AFTER) / units
    earlier = max(demuxer.stream.start_time or 0, entry.begin - int((run_in + 0.1) / units))
    return digest(demuxer, entry.begin, entry.first, end) == digest(demuxer, earlier, entry.first, end)


def digest(demuxer, begin: int, first: int, end: float) -> bytes | None:
    """A hash of the samples of all packets from `first` to `end`, decoded from `begin` on."""
    demuxer.seek(begin)
    found = hashlib.sha256()
    for packet in demuxer.packets():
        if packet.stream_index != demuxer.stream.index or packet.pts is None:
            continue
        if packet.pts > end:
            break
        try:
            frames = packet.decode()
        except demuxer.av.FFmpegError:
            frames = []
        for frame in frames if packet.pts >= first else ():
            found.update(frame.to_ndarray())
    return found.digest()
