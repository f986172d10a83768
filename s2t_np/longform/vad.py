"""Voice activity detection by energy: where a recording may hold speech, given a noise floor that follows the signal.

For every 10 ms the power in five bands is compared with the lowest recent power of the band. This floor falls with the
signal at once and rises slowly: it is a running minimum of `level - rise * time`, the simplest of the "minimum
statistics" noise estimators (R. Martin 2001, "Noise power spectral density estimation based on optimal smoothing and
minimum statistics"). The two bands with the largest excess decide: a voice exceeds coloured noise in some bands only.

    frames -> band powers -> levels (dB) -> minus the floor -> `excess` (dB), one number for each frame

All of it is array arithmetic over the frames of one block; a few numbers are carried over to the next block, so the
result does not depend on how the recording is divided into blocks. Energy cannot tell a voice from other sounds; that
is the task of speech_check.py.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import OptionError
from ..features import frame_geometry
from ..settings.fields import bounded_number, check_fields, is_real
from .vad_ops import NUMPY_VAD, VadOps, running_sums, taper

BAND_EDGES = (100, 400, 800, 1600, 3200, 7000)  # Hz
SHORT, LONG = 3, 9  # frames that a level, and the level the floor follows, are averaged over
FIRST_FLOOR = 100  # frames that the first floor is the minimum of
STANDING_OUT = 2  # bands that decide
SHORTEST_BETWEEN_OVERLAPS = 2  # seconds of a longest segment that lie outside of both overlaps


@dataclass(frozen=True)
class VadOptions:
    """When sound counts as speech, and where speech is cut: seconds and dB. Durations have faster-whisper's names."""

    vad_threshold: float = bounded_number(5.0, "dB above the noise floor at which speech begins")
    floor_rise: float = bounded_number(2.0, "dB per second by which the noise floor rises under growing noise")
    silence_level: float = bounded_number(-75.0, "dB of full scale below which everything is silence", -200)
    min_speech_duration: float = bounded_number(0.1, "seconds of speech that a segment holds; less is a click", 0.03)
    min_silence_duration: float = bounded_number(0.5, "seconds of pause that end a segment", 0.05)
    speech_pad: float = bounded_number(0.2, "seconds of the surrounding pauses that are heard with a segment")
    max_speech_duration: float = bounded_number(28.0, "seconds of a segment; a longer one is cut at its widest pause")
    min_cut_pause: float = bounded_number(0.1, "seconds of the shortest pause to cut at; without one, speech is cut")
    cut_overlap: float = bounded_number(3.0, "seconds of speech that both sides of a cut through it hear")

    def __post_init__(self):
        check_fields(self, "segments", OptionError)
        least = 2 * self.cut_overlap + SHORTEST_BETWEEN_OVERLAPS
        if is_real(self.max_speech_duration) and self.max_speech_duration < least:  # StreamOptions knows a word as well
            raise OptionError(
                f"max_speech_duration is {self.max_speech_duration} s, expected at least "
                f"{SHORTEST_BETWEEN_OVERLAPS} s more than twice the cut_overlap of {self.cut_overlap} s"
            )


class Detector:
    """Turns blocks of samples into blocks of `excess`: the dB by which each frame exceeds the noise floor."""

    def __init__(self, rate: int, options: VadOptions, ops: VadOps = NUMPY_VAD):
        self.options, self.ops = options, ops
        self.window, self.hop, self.fft_length = frame_geometry(rate)
        self.seconds = self.hop / rate  # per frame
        self.taper = taper(self.window)
        self.scale = 2 / (self.fft_length * np.square(self.taper).sum())  # from a sum of |DFT|^2 to a mean square
        edges = np.minimum(np.array(BAND_EDGES) * self.fft_length // rate, self.fft_length // 2)
        self.edges = np.array(sorted(set(edges.tolist())))  # np.unique imports numpy.ma
        self.samples = np.empty(0, np.float32)  # not yet part of a whole frame
        self.powers = np.empty((0, len(self.edges) - 1))  # frames that still wait for their neighbours
        self.low, self.frames = np.inf, 0  # the minimum so far, the number of frames returned

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The next samples (N,) float32 -> the excess of the frames that can now be judged, (n,) float64 dB.

        A frame is judged when the LONG // 2 frames after it are there; the first ones after FIRST_FLOOR frames.
        """
        self.samples = np.concatenate((self.samples, samples))
        powers = self.mean_squares(self.samples)
        self.samples = self.samples[len(powers) * self.hop :]
        if self.frames == 0 and len(self.powers) == 0 and len(powers):
            powers = np.concatenate((np.repeat(powers[:1], LONG // 2, axis=0), powers))
        self.powers = np.concatenate((self.powers, powers))
        enough = LONG if self.frames else LONG - 1 + FIRST_FLOOR
        return self.judge() if len(self.powers) >= enough else np.empty(0)

    def finish(self) -> np.ndarray:
        """The excess of the last frames, after which nothing comes."""
        if len(self.powers) == 0:
            return np.empty(0)
        self.powers = np.concatenate((self.powers, np.repeat(self.powers[-1:], LONG // 2, axis=0)))
        return self.judge()

    def mean_squares(self, samples: np.ndarray) -> np.ndarray:
        """Mean square of each whole frame in each band: (N,) -> (T, B)."""
        powers = self.ops.band_powers(samples, self.taper, self.hop, self.fft_length, self.edges)
        return powers.T.copy() * self.scale

    def judge(self) -> np.ndarray:
        """Levels, floor and excess of all pending frames but the last LONG // 2: -> (n,)."""
        least, side = 10 ** (self.options.silence_level / 10), (LONG - SHORT) // 2
        near, around = running_sums(self.powers[side:-side], SHORT) / SHORT, running_sums(self.powers, LONG) / LONG
        self.powers = self.powers[len(near) :]
        excess = 10 * np.log10(near + least) - self.floor(10 * np.log10(around + least))
        return np.sort(excess, axis=1)[:, -STANDING_OUT:].mean(axis=1)

    def floor(self, level: np.ndarray) -> np.ndarray:
        """The noise floor under the next levels: (n, B) dB -> (n, B) dB."""
        time = (self.frames + np.arange(len(level)))[:, None] * self.seconds
        fallen = level - self.options.floor_rise * time
        ahead = level[:FIRST_FLOOR] if self.frames == 0 else fallen[:1]
        fallen[0] = np.minimum(self.low, ahead.min(axis=0))
        lowest = np.minimum.accumulate(fallen, axis=0)
        self.low, self.frames = lowest[-1], self.frames + len(level)
        return lowest + self.options.floor_rise * time
