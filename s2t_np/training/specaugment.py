"""SpecAugment (Park et al. 2019): stretches of bands and of time are hidden, so that no single one may decide.

The two policies are those that fairseq S2T trained with. A mask over bands is f < `bands` bands wide, one over time
t < `frames` frames and never more than the utterance has; what it covers gets the mean of the features. The order of
the draws is fairseq's, too (fairseq/data/audio/feature_transforms/specaugment.py), so that the same numbers give the
same masks. The policies' time warping is zero in both.
"""

from typing import NamedTuple

import numpy as np


class Policy(NamedTuple):
    """The number of masks, and how wide they may be."""

    band_masks: int
    bands: int  # F: a mask over bands is narrower than this
    time_masks: int
    frames: int  # T: a mask over time is shorter than this
    share: float = 1.0  # p: and than this part of the utterance


POLICIES = {
    "none": Policy(0, 1, 0, 1),
    "lb": Policy(1, 27, 1, 100),  # "LibriSpeech basic"
    "ld": Policy(2, 27, 2, 100),  # "LibriSpeech double"
}


def stretch(rng, limit: int, length: int) -> slice:
    """A stretch shorter than `limit` anywhere in `length` places; it may be empty."""
    width = int(rng.integers(0, limit))
    start = int(rng.integers(0, length - width))
    return slice(start, start + width)


def spec_augment(features: np.ndarray, policy: Policy, rng: np.random.Generator) -> np.ndarray:
    """Features (T, M) with some stretches hidden: (T, M), a copy."""
    masked, (frames, bands) = features.copy(), features.shape
    if frames == 0 or bands < policy.bands:
        return masked
    mean = features.mean()
    for _ in range(policy.band_masks):
        masked[:, stretch(rng, policy.bands, bands)] = mean
    longest = min(policy.frames, int(frames * policy.share))
    for _ in range(policy.time_masks if longest >= 1 else 0):
        masked[stretch(rng, longest, frames)] = mean
    return masked
