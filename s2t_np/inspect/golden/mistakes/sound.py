"""Mistakes between the samples and the normalised features, and the stages that follow from them."""

from collections.abc import Callable

import numpy as np

from .... import features
from .evidence import Evidence, Guesses


def preemphasis(evidence: Evidence, stage: str) -> Guesses:
    """The first sample of a frame has no predecessor; DC goes before."""
    x, raw = evidence("features.remove_dc"), evidence("features.frames")
    right, samples = features.preemphasize(x), evidence("samples") * features.SAMPLE_SCALE
    yield (
        "the first sample of each frame is left as it is; Kaldi subtracts 0.97 of itself",
        join(x[:, :1], right[:, 1:]),
    )
    yield "the first sample of each frame is set to 0; it is x[0] - 0.97 x[0]", join(0 * x[:, :1], right[:, 1:])
    yield "the DC is removed after pre-emphasis instead of before", features.remove_dc(features.preemphasize(raw))
    yield "pre-emphasis without removing the DC first", features.preemphasize(raw)
    whole = np.append(samples[:1], samples[1:] - features.PREEMPHASIS * samples[:-1])
    yield (
        "pre-emphasis runs over the whole recording, before framing; it starts anew in each frame",
        features.remove_dc(features.frames(whole, raw.shape[1], hop(evidence))),
    )
    for coefficient in (0.95, 0.9, 1.0):
        yield f"pre-emphasis with {coefficient} instead of 0.97", x - coefficient * join(x[:, :1], x[:, :-1])


def hop(evidence: Evidence) -> int:
    """Samples from frame to frame."""
    return features.frame_geometry(evidence.rate)[1]


def join(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Columns side by side."""
    return np.concatenate([left, right], axis=1)


def windows(length: int) -> Guesses:
    """Other windows than Povey's: (length,)."""
    phase = np.arange(length) * (2 * np.pi / (length - 1))
    periodic = np.arange(length) * (2 * np.pi / length)
    yield "a Hann window instead of Povey's, which is Hann's to the power 0.85", 0.5 - 0.5 * np.cos(phase)
    yield "a Hamming window instead of Povey's", 0.54 - 0.46 * np.cos(phase)
    yield (
        "Povey's window made periodic: it divides by the length instead of length - 1",
        ((0.5 - 0.5 * np.cos(periodic)) ** 0.85),
    )
    yield "a periodic Hann window instead of Povey's", 0.5 - 0.5 * np.cos(periodic)
    yield "a periodic Hamming window instead of Povey's", 0.54 - 0.46 * np.cos(periodic)
    yield "no window", np.ones(length)


def window(evidence: Evidence, stage: str) -> Guesses:
    """The table, or the frames it was applied to."""
    x = evidence("features.preemphasize")
    for says, table in windows(x.shape[1]):
        yield says, table if stage == "features.povey_window" else x * table


def spectrum(evidence: Evidence, stage: str) -> Guesses:
    """Power of the windowed frames."""
    fft_length = 2 * evidence.pack.truth[stage].shape[1]
    right = features.power_spectrum(evidence("features.windowed"), fft_length)
    yield "the magnitude instead of its square", np.sqrt(right)


def banks(evidence: Evidence) -> Guesses:
    """Other mel filterbanks: (fft_length // 2, M)."""
    rows, bins = evidence.pack.truth["features.mel_bank"].shape
    frequencies = np.arange(rows) * (evidence.rate / (2 * rows))
    nyquist, low = evidence.rate / 2, features.LOWEST_FREQUENCY
    corners = np.linspace(features.mel(low), features.mel(nyquist), bins + 2)
    hertz = 700.0 * np.expm1(corners / 1127.0)
    yield "triangles that are straight in Hz; Kaldi's are straight in mel", triangles(frequencies, hertz)
    area = 2.0 / (hertz[2:] - hertz[:-2])
    yield "filters divided by their width (Slaney's), straight in Hz", triangles(frequencies, hertz) * area
    yield "filters divided by their width (Slaney's)", features.mel_bank(evidence.rate, bins) * area
    for lowest, highest in ((0.0, nyquist), (low, nyquist - 400.0), (low, 7600.0)):
        edges = np.linspace(features.mel(lowest), features.mel(highest), bins + 2)
        says = f"filters from {lowest:g} to {highest:g} Hz instead of {low:g} to {nyquist:g}"
        yield says, triangles(features.mel(frequencies), edges)


def triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Triangular filters over `points` between neighbouring corners: (points, M)."""
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    x = points[:, None]
    return np.maximum(0.0, np.minimum((x - left) / (centre - left), (right - x) / (right - centre)))


def mel(evidence: Evidence, stage: str) -> Guesses:
    """The table of filters, or what it was applied to."""
    power = evidence("features.power_spectrum")
    for says, bank in banks(evidence):
        yield says, bank if stage == "features.mel_bank" else power @ bank
    if stage == "features.mel":
        yield "filters applied to the magnitude instead of the power", np.sqrt(power) @ evidence("features.mel_bank")


def logarithm(evidence: Evidence, stage: str) -> Guesses:
    """The logarithm and its floor."""
    x, floor = evidence("features.mel"), features.LOG_FLOOR
    with np.errstate(divide="ignore"):
        yield "the floor of 2^-23 before the logarithm is missing", np.log(x)
        yield "log10 instead of the natural logarithm", np.log10(np.maximum(x, floor))
        yield "decibels instead of the natural logarithm", 10 * np.log10(np.maximum(x, floor))
    yield "log2 instead of the natural logarithm", np.log2(np.maximum(x, floor))
    yield "2^-23 is added before the logarithm instead of being its floor", np.log(x + floor)
    yield "log(1 + x) instead of log(x)", np.log1p(x)
    for other in (1e-10, 1e-5, 1.0, 2.0**-52, 1e-6, 1e-9):
        yield f"a floor of {other:.3g} before the logarithm instead of 2^-23", np.log(np.maximum(x, other))


def normalisation(evidence: Evidence, stage: str) -> Guesses:
    """Mean and variance over the utterance."""
    x = evidence("features.log_mel")
    centred, biased = x - x.mean(axis=0), np.maximum(x.var(axis=0), features.VARIANCE_FLOOR)
    with np.errstate(divide="ignore", invalid="ignore"):
        yield (
            "the unbiased variance, over T - 1; it is the biased one, over T",
            centred / np.sqrt(biased * (len(x) / (len(x) - 1))),
        )
        yield "the floor of 1e-10 under the variance is missing", centred / x.std(axis=0)
    yield "the variance instead of the standard deviation", centred / biased
    yield "the mean is subtracted, but the deviation not divided by", centred
    yield "the deviation is divided by, but the mean not subtracted", x / np.sqrt(biased)
    yield "one mean and deviation for all bins; each bin has its own", (x - x.mean()) / x.std()
    rows = x - x.mean(axis=1, keepdims=True)
    yield (
        "normalised within each frame; it is each bin over all frames",
        rows / np.maximum(x.std(axis=1, keepdims=True), 1e-5),
    )
    for epsilon in (1e-5, 1e-8, 1e-7):
        yield f"{epsilon:g} is added to the deviation", centred / (np.sqrt(biased) + epsilon)


def window_of(evidence: Evidence, x: np.ndarray) -> np.ndarray:
    """Frames under the right window."""
    return x * features.povey_window(x.shape[1])


def normalised(evidence: Evidence, x: np.ndarray) -> np.ndarray:
    """Log-mel features as preprocessor_config.json has them normalised."""
    config = evidence.pack.manifest["features"]
    return (
        features.cmvn(x, config["normalize_means"], config["normalize_vars"]) if config["do_ceptral_normalize"] else x
    )


# The computation of each of these stages from the one before it.
CHAIN: tuple[tuple[str, Callable[[Evidence, np.ndarray], np.ndarray]], ...] = (
    ("features.frames", lambda evidence, x: x),
    ("features.remove_dc", lambda evidence, x: features.remove_dc(x)),
    ("features.preemphasize", lambda evidence, x: features.preemphasize(x)),
    ("features.windowed", window_of),
    ("features.power_spectrum", lambda evidence, x: features.power_spectrum(x, 2 * len(evidence("features.mel_bank")))),
    ("features.mel", lambda evidence, x: x @ evidence("features.mel_bank")),
    ("features.log_mel", lambda evidence, x: features.floored_log(x)),
    ("features.cmvn", normalised),
)


def carried_on(evidence: Evidence, x: np.ndarray, made: str, wanted: str) -> np.ndarray:
    """The array of the later stage `wanted` that follows from array x of stage `made`, computed correctly."""
    names = [name for name, _ in CHAIN]
    for _, step in CHAIN[names.index(made) + 1 : names.index(wanted) + 1]:
        x = step(evidence, x)
    return x
