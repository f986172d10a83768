"""From one sampling rate to another: a polyphase windowed-sinc interpolator, block by block.

Output sample n lies at input position n * rate / new_rate. Its value is the band-limited signal there: a sum over the
neighbouring input samples, weighed by a sinc cut off below the lower of the two Nyquist frequencies and tapered by a
Kaiser window (J. O. Smith, "Digital Audio Resampling"; Kaiser 1974). With new_rate / rate = up / down in lowest terms
the positions repeat every `down` input samples, so there are only `up` different sets of weights, the phases, and all
outputs of one phase are one matrix product. Measured: nothing above the new Nyquist frequency comes back louder than
-80 dB, except within the transition band of 0.87 to 1.03 times it.

Plain numpy, because importing `scipy.signal` takes longer than resampling a minute of sound.
"""

import functools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

ZERO_CROSSINGS = 32  # of the sinc, on each side: the steepness of the filter and its price
CUTOFF = 0.95  # of the lower Nyquist frequency, in the middle of the transition band
KAISER_BETA = 7.86  # 80 dB of stop band
MOST_PHASES = 1 << 14  # 16000 / 15999 is still exact; 16000 / 999983 is taken as 261 / 16312, 0.05 s an hour off
BLOCK = 1 << 16  # input samples worked on at a time


def ratio(rate: float, new_rate: float) -> tuple[int, int]:
    """(up, down) with up / down = new_rate / rate, or as near as numbers of at most MOST_PHASES come to it."""
    exact = Fraction(new_rate) / Fraction(rate)
    near = exact if exact <= 1 else 1 / exact
    if near.denominator > MOST_PHASES:
        near = near.limit_denominator(MOST_PHASES)
    return (near.numerator, near.denominator) if exact <= 1 else (near.denominator, near.numerator)


@functools.lru_cache(maxsize=8)
def phases(up: int, down: int) -> np.ndarray:
    """The weights of each phase: (up, 2 * reach + 1), each row summing to 1.

    Row i is for the outputs i, i + up, ...; its middle entry weighs the input sample at or just before the output.
    """
    shrink = min(1.0, up / down)
    reach = math.ceil(ZERO_CROSSINGS / shrink)
    fraction = np.arange(up) * down % up / up  # how far each output lies behind that input sample
    distance = np.arange(-reach, reach + 1) - fraction[:, None]
    taper = np.i0(KAISER_BETA * np.sqrt(1 - (distance / (reach + 1)) ** 2))
    weights = np.sinc(CUTOFF * shrink * distance) * taper
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def interpolate(x: np.ndarray, count: int, up: int, down: int) -> np.ndarray:
    """The first `count` outputs for input that has `reach` samples of context on both sides: -> (count,) float32."""
    weights = phases(up, down)
    windows = np.lib.stride_tricks.sliding_window_view(x, weights.shape[1])
    y = np.empty(count, np.float32)
    for i in range(min(up, count)):
        outputs = y[i::up]
        outputs[:] = np.ascontiguousarray(windows[i * down // up :: down][: len(outputs)]) @ weights[i]
    return y


def resample(blocks: Iterable[np.ndarray], rate: float, new_rate: float, at_once: int = BLOCK) -> Iterator[np.ndarray]:
    """float32 blocks at `rate` -> float32 blocks at `new_rate` (Hz), ceil(N * up / down) samples in all.

    What goes in and out is one signal, whatever the blocks; before and after it there is silence. Work begins when
    about `at_once` samples have come: few for sound that is being recorded, many for speed.
    """
    up, down = ratio(rate, new_rate)
    if up == down:
        yield from blocks
        return
    reach = phases(up, down).shape[1] // 2
    step = down * max(1, at_once // down)  # whole periods, so that each step starts with phase 0
    held = np.zeros(reach, np.float32)
    for block in blocks:
        held = np.concatenate((held, block))
        while len(held) >= step + 2 * reach:
            yield interpolate(held, step * up // down, up, down)
            held = held[step:]
    rest = -(-(len(held) - reach) * up // down)
    if rest > 0:
        yield interpolate(np.concatenate((held, np.zeros(reach + down, np.float32))), rest, up, down)
