"""Rates and samples that cannot be true are refused."""

import math
import numbers
import warnings

import numpy as np

from ..errors import AudioError, InputWarning

LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000  # Hz; a header outside of it is wrong
BROAD = 16_000  # Hz; up to this rate of a model, recordings of half of it (telephones) are common
ABSURD = 2.0**31  # more than any integer format could mean


def usable_rate(rate, model_rate: int, name: str) -> int | float:
    """A sampling rate in Hz as a Python number. Raises AudioError."""
    if rate is None:
        raise AudioError(f"{name}: pass sampling_rate=, the number of samples per second it was recorded with")
    real = isinstance(rate, numbers.Real) and not isinstance(rate, bool | np.bool) and math.isfinite(rate)
    if not real or not (rate == model_rate or LOWEST_RATE <= rate <= HIGHEST_RATE):
        raise AudioError(
            f"{name}: the sampling rate is {rate!r:.40}, expected {LOWEST_RATE} to {HIGHEST_RATE} samples per second"
        )
    if model_rate > BROAD and rate <= model_rate / 2:
        warnings.warn(
            f"{name}: is recorded at {rate:g} Hz, and the model was trained on {model_rate} Hz: nothing above "
            f"{rate / 2:g} Hz is in it, so the text may be worse",
            InputWarning,
            stacklevel=3,
        )
    return int(rate) if rate == int(rate) else float(rate)


def check_samples(x: np.ndarray, offset: int, name: str) -> None:
    """Raise AudioError for the first of the samples (N,) that is NaN or implausibly large."""
    if len(x) == 0 or -ABSURD <= x.min() <= x.max() <= ABSURD:  # false for NaN too
        return
    bad = int(np.flatnonzero(~(np.abs(x) <= ABSURD))[0])
    raise AudioError(f"{name}: sample {offset + bad} is {x[bad]}, expected numbers from -1 to 1")
