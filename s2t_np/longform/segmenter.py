"""Cut a recording into segments: at its pauses, and through speech only where it has no pause.

The input is `excess`, the output of the voice activity detector (vad.py), one number per frame. Frames above the
threshold form islands of speech; islands with less than `min_silence_duration` between them form a segment. A segment
that grows beyond `max_speech_duration` is cut at its widest pause. If it has none, its end and the beginning of the
next are put at quiet places so that the two overlap, and their transcripts are merged by the words that both have.

Every decision depends only on the frames up to a certain one, so the size of the blocks does not matter.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..errors import AudioError
from .pace import Pace
from .vad import Detector, VadOptions
from .vad_ops import NUMPY_VAD, VadOps

SEARCH = 1.0  # seconds before the limit of a segment, in which a quiet moment to cut at is searched for


class Piece(NamedTuple):
    """The sound of one segment: the samples that the model hears, and the times of the speech in them."""

    samples: np.ndarray  # (N,) float32, speech and a little of the pauses around it
    offset: float  # seconds at which `samples` begin
    start: float  # seconds at which the speech begins
    end: float  # and ends
    overlaps: bool  # it begins inside the piece before it, since no pause was found to cut at
    continues: bool  # the next piece begins inside this one
    is_open: bool = False  # its end is only where the sound ends so far


def pieces(
    blocks: Iterable[np.ndarray], rate: int, options: VadOptions, ops: VadOps = NUMPY_VAD, pace: Pace | None = None
) -> Iterator[Piece]:
    """Blocks of samples (N,) float32 at `rate` Hz -> the pieces that hold speech, each as soon as it is complete.

    Only the open segment is remembered between blocks. With `pace`, it comes as an open piece whenever that is due. An
    AudioError that ends the blocks is raised after the pieces before it.
    """
    detector = Detector(rate, options, ops)
    segmenter = Segmenter(options, detector.seconds)
    tape = Tape(detector.hop, (detector.window - detector.hop) // 2, rate)
    failure = None
    try:
        for block in blocks:
            tape.append(block)
            for span in segmenter.push(detector.push(block)):
                yield tape.piece(span)
            tape.forget(segmenter.needed)
            if pace and (span := segmenter.open_span()):
                yield from pace.paced(tape.piece(span)._replace(is_open=True))
    except AudioError as error:
        failure = error
    for span in segmenter.push(detector.finish()) + segmenter.finish():
        yield tape.piece(span)
    if failure:
        raise failure


class Tape:
    """The samples that may still be needed, addressed by frame number."""

    def __init__(self, hop: int, lead: int, rate: int):
        """A frame stands for the `hop` samples in the middle of its window; those of frame 0 begin at sample `lead`."""
        self.hop, self.lead, self.rate = hop, lead, rate
        self.first, self.samples = 0, np.empty(0, np.float32)

    def append(self, block: np.ndarray) -> None:
        """Add the next samples (n,)."""
        self.samples = np.concatenate((self.samples, block))

    def at(self, frame: int) -> int:
        """The sample at which a frame begins; frame 0 reaches back to the beginning."""
        return frame * self.hop + self.lead if frame > 0 else 0

    def forget(self, frame: int) -> None:
        """Drop all samples before this frame."""
        drop = self.at(frame) - self.first
        self.first, self.samples = self.first + drop, self.samples[drop:]

    def piece(self, span: "Span") -> Piece:
        """The samples of a span, copied."""
        begin, end = self.at(span.start - span.before), self.at(span.end + span.after)
        samples = self.samples[begin - self.first : end - self.first].copy()
        times = (sample / self.rate for sample in (begin, self.at(span.start), self.at(span.end)))
        return Piece(samples, *times, span.overlaps, span.continues)


class Span(NamedTuple):
    """A segment in frames: its speech, the pauses around it that may be heard with it, and how it was cut off."""

    start: int
    end: int
    before: int  # frames of pause before it, at most `speech_pad`
    after: int  # and after it
    overlaps: bool  # it begins inside the segment before it
    continues: bool  # the next segment begins inside this one


class Segmenter:
    """Turns blocks of excess into spans."""

    def __init__(self, options: VadOptions, seconds: float):
        """`seconds`: the duration of a frame."""

        def frames(duration: float) -> int:
            return round(duration / seconds)

        self.threshold, self.pad = options.vad_threshold, frames(options.speech_pad)
        self.min_speech, self.min_silence = frames(options.min_speech_duration), frames(options.min_silence_duration)
        self.most, self.min_pause = frames(options.max_speech_duration), frames(options.min_cut_pause)
        self.overlap, self.search = frames(options.cut_overlap), frames(SEARCH)
        self.first, self.excess = 0, np.empty(0)  # the excess that is remembered, from frame `first` on
        self.islands: list[list[int]] = []  # [start, end) within the open segment; the last one may still grow
        self.speaking = False  # True while the last island grows
        self.last_end = 0  # end of the previous segment
        self.overlaps = False  # True if the open segment begins inside the previous one

    def push(self, excess: np.ndarray) -> list[Span]:
        """The next frames (n,) dB -> the segments that they complete."""
        now = self.first + len(self.excess)
        self.excess = np.concatenate((self.excess, excess))
        changes = np.flatnonzero(np.diff(excess > self.threshold, prepend=self.speaking)) + now
        done: list[Span] = []
        for frame in changes.tolist():
            done += self.advance(frame)
            self.turn(frame)
        done += self.advance(now + len(excess))
        self.forget()
        return done

    def finish(self) -> list[Span]:
        """The last segment, if one is still open."""
        return self.close(self.islands, self.first + len(self.excess)) if self.islands else []

    def open_span(self) -> Span | None:
        """The segment that is still open, as far as it goes; None if there is no speech in it yet."""
        if not self.islands or sum(b - a for a, b in self.islands) < self.min_speech:
            return None
        start, end = self.islands[0][0], self.first + len(self.excess)
        before = 0 if self.overlaps else min(self.pad, start - self.last_end)
        return Span(start, end, before, 0, self.overlaps, False)

    @property
    def needed(self) -> int:
        """The first frame that a later span may need."""
        return max(0, (self.islands[0][0] if self.islands else self.first + len(self.excess)) - self.pad)

    def forget(self) -> None:
        """Drop the frames that no later decision depends on."""
        drop = max(0, self.needed - self.first)
        self.first, self.excess = self.first + drop, self.excess[drop:]

    def turn(self, frame: int) -> None:
        """Note that speech begins at this frame, or has ended before it."""
        self.speaking = not self.speaking
        if self.speaking:
            self.islands.append([frame, frame])

    def advance(self, frame: int) -> list[Span]:
        """The segments that are complete by this frame, if speech neither begins nor ends before it."""
        if not self.islands:
            return []
        if self.speaking:
            self.islands[-1][1] = frame
        done = []
        while self.islands[-1][1] - self.islands[0][0] > self.most:
            done += self.split(self.islands[0][0] + self.most)
        if not self.speaking and frame - self.islands[-1][1] >= self.min_silence:
            done += self.close(self.islands, frame)
            self.islands = []
        return done

    def close(self, islands: list[list[int]], silent_until: int, continues: bool = False) -> list[Span]:
        """A segment of these islands, or none if they are no more than a click."""
        start, end = islands[0][0], islands[-1][1]
        before = 0 if self.overlaps else min(self.pad, start - self.last_end)
        span = Span(start, end, before, min(self.pad, silent_until - end), self.overlaps, continues)
        self.last_end, self.overlaps = end, continues
        return [span] if sum(b - a for a, b in islands) >= self.min_speech else []

    def split(self, limit: int) -> list[Span]:
        """Cut the open segment before `limit`: at its widest pause (the last of equal ones), or through speech."""
        gaps = [(after[0] - before[1], i) for i, (before, after) in enumerate(pairwise(self.islands), 1)]
        pause, i = max(gaps, default=(0, 0))
        if pause < self.min_pause:
            return self.split_speech(limit)
        done, self.islands = self.islands[:i], self.islands[i:]
        return self.close(done, self.islands[0][0])

    def split_speech(self, limit: int) -> list[Span]:
        """Cut through speech before `limit`: the next segment begins about `cut_overlap` before this one ends."""
        end, again = self.quietest(limit), self.quietest(limit - self.overlap)
        done = [[a, min(b, end)] for a, b in self.islands if a < end]
        self.islands = [[max(a, again), b] for a, b in self.islands if b > again]
        return self.close(done, end, continues=True)

    def quietest(self, limit: int) -> int:
        """The frame with the least excess among those shortly before `limit`."""
        start = limit - self.search - self.first
        return limit - self.search + int(np.argmin(self.excess[start : limit - self.first]))
