"""From one sampling rate to another by scipy's polyphase filter, block by block.

With new_rate / rate = up / down in lowest terms, `up - 1` zeros are put after each sample, a low-pass filter fills them
in, and every `down`-th sample is kept (Crochiere and Rabiner, "Multirate Digital Signal Processing"). The filter is a
sinc cut off below the lower of the two Nyquist frequencies, tapered by a Kaiser window (Kaiser 1974). Measured: nothing
above the new Nyquist frequency comes back louder than -80 dB, except within the transition band of 0.87 to 1.03 times
it.

scipy.signal takes 0.7 s to import, so only a recording at another rate than the model's does it.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import AudioError

ZERO_CROSSINGS = 32  # zeros of the sinc on each side: the steepness of the filter and its price
CUTOFF = 0.95  # a share of the lower Nyquist frequency, in the middle of the transition band
KAISER_BETA = 7.86  # 80 dB of stop band
MOST_PHASES = 1 << 14  # 16000 / 15999 is still exact; 16000 / 999983 is taken as 261 / 16312, 0.05 s an hour off
BLOCK = 1 << 16  # input samples worked on at a time


def ratio(rate: float, new_rate: float) -> tuple[int, int]:
    """(up, down): up / down is new_rate / rate, or near it, with numbers of at most MOST_PHASES. Raises AudioError."""
    if not (rate > 0 and new_rate > 0 and 1 / MOST_PHASES <= new_rate / rate <= MOST_PHASES):
        raise AudioError(f"a recording at {rate} Hz cannot be brought to {new_rate} Hz")
    from fractions import Fraction

    exact = Fraction(new_rate) / Fraction(rate)
    near = exact if exact <= 1 else 1 / exact
    if near.denominator > MOST_PHASES:
        near = near.limit_denominator(MOST_PHASES)
    return (near.numerator, near.denominator) if exact <= 1 else (near.denominator, near.numerator)


@functools.lru_cache(maxsize=8)
def impulse_response(up: int, down: int) -> np.ndarray:
    """The low-pass filter at `up` times the input's rate: (2 * half + 1,) float32, `half` a multiple of `down`.

    Each of its `up` phases sums to 1, so that a constant stays a constant.
    """
    from scipy.signal import firwin

    longer = max(up, down)
    half = -(-ZERO_CROSSINGS * longer // down) * down
    weights = firwin(2 * half + 1, CUTOFF / longer, window=("kaiser", KAISER_BETA))
    for phase in range(up):
        weights[phase::up] /= weights[phase::up].sum()
    return weights.astype(np.float32)


def warm_up(rate: float, new_rate: float) -> int:
    """Input samples before an output sample that it may depend on, and a period of the phases. Raises AudioError."""
    if rate == new_rate:
        return 0
    up, down = ratio(rate, new_rate)
    return reach_of(up, down) + down


def reach_of(up: int, down: int) -> int:
    """Input samples that an output depends on, on each side."""
    return len(impulse_response(up, down)) // 2 // up + 1


def resample(blocks: Iterable[np.ndarray], rate: float, new_rate: float, at_once: int = BLOCK) -> Iterator[np.ndarray]:
    """float32 blocks at `rate` -> float32 blocks at `new_rate` (Hz), ceil(N * up / down) samples in all.

    What goes in and out is one signal, whatever the blocks; before and after it there is silence. Work begins when
    about `at_once` samples have come: few for sound that is being recorded, many for speed. Raises AudioError.
    """
    up, down = (1, 1) if rate == new_rate else ratio(rate, new_rate)
    if up == down:
        yield from blocks
        return
    reach = reach_of(up, down)
    before = -(-reach // down) * down  # whole periods, so that the phases stay in step
    step = down * max(1, at_once // down)
    held = np.zeros(before, np.float32)
    for block in blocks:
        held = np.concatenate((held, block))
        while len(held) >= before + step + reach:
            yield filtered(held[: before + step + reach], before, step * up // down, up, down)
            held = held[step:]
    rest = -(-(len(held) - before) * up // down)
    if rest > 0:
        yield filtered(np.concatenate((held, np.zeros(reach + down, np.float32))), before, rest, up, down)


def filtered(x: np.ndarray, before: int, count: int, up: int, down: int) -> np.ndarray:
    """`count` outputs, the first at the position of input sample `before`, a multiple of `down`: (count,) float32."""
    from scipy.signal import upfirdn

    response = impulse_response(up, down)
    first = (len(response) // 2 + before * up) // down
    return upfirdn(response, x, up, down)[first : first + count]
