"""A clip that begins late: what comes before it is passed over, by a seek where the codec allows one.

Its samples are the same as in the whole recording. So the mixer and the resampling filter begin where they are in the
state that they have anyway: at a border of the mixer's windows, and early enough for the filter. What was passed over
comes as zeros that take no memory, so that every count starts at the beginning.

libsndfile seeks where every sample, or block of them, stands alone. The rest is decoded from the beginning, and only
conversion, mixing and resampling are spared: MP3 keeps bits of a frame in those before it, Opus predicts, and
libsndfile's seek in Vorbis is wrong near the last page. ffmpeg_seeking.py says where FFmpeg's decoders may begin.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from .mixing import WINDOW
from .resampling import ratio, resample, warm_up

EXACT = frozenset("PCM_S8 PCM_U8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE ULAW ALAW".split())  # FLAC is PCM here


def to_pass_over(start: float, rate: float, model_rate: float) -> int:
    """The number of frames at `rate` Hz that need not be heard for a clip that begins at `start` seconds."""
    return max(0, int(start * rate) - 2 - warm_up(rate, model_rate)) // WINDOW * WINDOW


def silence(frames: int, rate: float, model_rate: float) -> np.ndarray:
    """As many zeros as resample makes of `frames` frames: (n,) float32 without any memory."""
    up, down = (1, 1) if rate == model_rate else ratio(rate, model_rate)
    return np.broadcast_to(np.float32(0), (-(-frames * up // down),))


def resampled_from(position: int, blocks: Iterable[np.ndarray], rate: float, model_rate: float) -> Iterator[np.ndarray]:
    """As resample, of a signal whose first `position` samples at `rate` Hz are not in `blocks`: zeros stand for them.

    The samples right after them are not the signal's: warm_up says how many. Nothing comes where there are no blocks.
    """
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return
    lead = 0 if rate == model_rate else -position % ratio(rate, model_rate)[1]  # so that the filter stays in phase
    if position:
        yield silence(position + lead, rate, model_rate)
    yield from resample(without_first(chain([first], blocks), lead), rate, model_rate)


def without_first(blocks: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The same blocks (n, ...), less the first `count` frames of all."""
    for block in blocks:
        if len(block) > count:
            yield block[count:] if count else block
        count = max(0, count - len(block))
