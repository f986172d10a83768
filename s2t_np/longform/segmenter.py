"""Where a recording is cut into segments: at its pauses, and inside speech only where there is none.

Works on `excess`, what the voice-activity detector (vad.py) says of each frame, and on frame numbers. Frames above the
threshold form islands of speech; islands with less than `min_silence_duration` between them form a segment. A segment
that grows beyond `max_speech_duration` is cut at its widest pause; where it has none, its end and the beginning of the
next are put at quiet places so that the two overlap, and whoever transcribes them finds the words that both have.

Every decision depends on the frames up to a certain one and on nothing else, so that it does not matter in which
portions they come.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..errors import AudioError
from .vad import Detector, VadOptions

SEARCH = 1.0  # seconds before a place where speech must be cut, in which a quiet moment is looked for


class Piece(NamedTuple):
    """The sound of one segment: what the model hears, and where in the recording the speech in it lies."""

    samples: np.ndarray  # (N,) float32, speech and a little of the pauses around it
    offset: float  # seconds: where `samples` begin
    start: float  # seconds: where the speech begins and ends
    end: float
    overlaps: bool  # begins inside the piece before it: no pause was found to cut at
    continues: bool  # the next one begins inside of it


def pieces(blocks: Iterable[np.ndarray], rate: int, options: VadOptions) -> Iterator[Piece]:
    """Blocks of samples (N,) float32 at `rate` Hz -> the pieces in which somebody speaks, as soon as each is complete.

    What is remembered between blocks is the open segment and no more. An exception that the blocks end in comes after
    the pieces that lie before it.
    """
    detector = Detector(rate, options)
    cutter, tape = Cutter(options, detector.seconds), Tape(detector.hop, (detector.window - detector.hop) // 2, rate)
    failure = None
    try:
        for block in blocks:
            tape.append(block)
            for span in cutter.push(detector.push(block)):
                yield tape.piece(span)
            tape.forget(cutter.needed)
    except AudioError as error:
        failure = error
    for span in cutter.push(detector.finish()) + cutter.finish():
        yield tape.piece(span)
    if failure:
        raise failure


class Tape:
    """The samples that may still be wanted, addressed by frame number."""

    def __init__(self, hop: int, lead: int, rate: int):
        """A frame stands for `hop` samples; the first frame's begin at sample `lead`, in the middle of its window."""
        self.hop, self.lead, self.rate = hop, lead, rate
        self.first, self.samples = 0, np.empty(0, np.float32)

    def append(self, block: np.ndarray) -> None:
        self.samples = np.concatenate((self.samples, block))

    def at(self, frame: int) -> int:
        """The sample at which a frame begins; the first frame reaches back to the beginning."""
        return frame * self.hop + self.lead if frame > 0 else 0

    def forget(self, frame: int) -> None:
        """Drop what lies before this frame."""
        drop = self.at(frame) - self.first
        self.first, self.samples = self.first + drop, self.samples[drop:]

    def piece(self, span: "Span") -> Piece:
        """The samples of a span, copied."""
        begin, end = self.at(span.start - span.before), self.at(span.end + span.after)
        samples = self.samples[begin - self.first : end - self.first].copy()
        times = (sample / self.rate for sample in (begin, self.at(span.start), self.at(span.end)))
        return Piece(samples, *times, span.overlaps, span.continues)


class Span(NamedTuple):
    """A segment in frames: where speech begins and ends, how far around it one may listen, how it was cut off."""

    start: int
    end: int
    before: int  # frames of pause in front of it, at most `speech_pad`
    after: int
    overlaps: bool  # begins inside the segment before it
    continues: bool  # the next one begins inside of it


class Cutter:
    """Portions of excess in, spans out."""

    def __init__(self, options: VadOptions, seconds: float):
        """`seconds`: of a frame."""

        def frames(duration: float) -> int:
            return round(duration / seconds)

        self.threshold, self.pad = options.vad_threshold, frames(options.speech_pad)
        self.min_speech, self.min_silence = frames(options.min_speech_duration), frames(options.min_silence_duration)
        self.most, self.min_pause = frames(options.max_speech_duration), frames(options.min_cut_pause)
        self.overlap, self.search = frames(options.cut_overlap), frames(SEARCH)
        self.first, self.excess = 0, np.empty(0)  # what is remembered, from which frame on
        self.islands: list[list[int]] = []  # [start, end) within the open segment; the last one may still grow
        self.speaking = False  # whether it does
        self.last_end = 0  # of the segment before
        self.overlaps = False  # whether the open one begins inside of it

    def push(self, excess: np.ndarray) -> list[Span]:
        """The next frames (n,) dB -> the segments that are complete with them."""
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
        """The last segment, if one is open."""
        return self.close(self.islands, self.first + len(self.excess)) if self.islands else []

    @property
    def needed(self) -> int:
        """The first frame that a span still to come may want."""
        return max(0, (self.islands[0][0] if self.islands else self.first + len(self.excess)) - self.pad)

    def forget(self) -> None:
        """Drop what no decision will look at again."""
        drop = max(0, self.needed - self.first)
        self.first, self.excess = self.first + drop, self.excess[drop:]

    def turn(self, frame: int) -> None:
        """Speech begins at this frame, or has ended before it."""
        self.speaking = not self.speaking
        if self.speaking:
            self.islands.append([frame, frame])

    def advance(self, frame: int) -> list[Span]:
        """The segments that are complete by this frame, up to which nothing turns."""
        if not self.islands:
            return []
        if self.speaking:
            self.islands[-1][1] = frame
        done = []
        while self.islands[-1][1] - self.islands[0][0] > self.most:
            done += self.divide(self.islands[0][0] + self.most)
        if not self.speaking and frame - self.islands[-1][1] >= self.min_silence:
            done += self.close(self.islands, frame)
            self.islands = []
        return done

    def close(self, islands: list[list[int]], silent_until: int, continues: bool = False) -> list[Span]:
        """A segment of these islands, or none where they are no more than a click."""
        start, end = islands[0][0], islands[-1][1]
        before = 0 if self.overlaps else min(self.pad, start - self.last_end)
        span = Span(start, end, before, min(self.pad, silent_until - end), self.overlaps, continues)
        self.last_end, self.overlaps = end, continues
        return [span] if sum(b - a for a, b in islands) >= self.min_speech else []

    def divide(self, limit: int) -> list[Span]:
        """Cut the open segment before `limit`: at its widest pause, the last of equal ones, or through speech."""
        gaps = [(after[0] - before[1], i) for i, (before, after) in enumerate(pairwise(self.islands), 1)]
        pause, i = max(gaps, default=(0, 0))
        if pause < self.min_pause:
            return self.divide_speech(limit)
        done, self.islands = self.islands[:i], self.islands[i:]
        return self.close(done, self.islands[0][0])

    def divide_speech(self, limit: int) -> list[Span]:
        """Cut before `limit` where no pause is: the next segment begins about `cut_overlap` before this one ends."""
        end, again = self.quietest(limit), self.quietest(limit - self.overlap)
        done = [[a, min(b, end)] for a, b in self.islands if a < end]
        self.islands = [[max(a, again), b] for a, b in self.islands if b > again]
        return self.close(done, end, continues=True)

    def quietest(self, limit: int) -> int:
        """The frame that stands out least, among those shortly before `limit`."""
        start = limit - self.search - self.first
        return limit - self.search + int(np.argmin(self.excess[start : limit - self.first]))
