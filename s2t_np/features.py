"""From sound to features: Kaldi's log mel filterbank, then mean and variance normalisation over the utterance.

One short function per stage, in Kaldi's order: frames, DC removal, pre-emphasis, window, power spectrum, mel bank, log;
`fbank` strings them together, `cmvn` comes last, `features` is both as preprocessor_config.json asks. The formulas are
those of Kaldi's `compute-fbank-feats` as torchaudio (`compliance.kaldi.fbank`) and kaldi-native-fbank compute it with
dither 0 (Povey et al. 2011, "The Kaldi Speech Recognition Toolkit"); S2T was trained on exactly these numbers.

The arithmetic is float64 throughout and only the result is rounded to the precision asked for. In a loud frame whose
lowest filters hold almost nothing, and real speech has such frames, a float32 FFT loses up to 0.007 of a log energy
(kaldi-native-fbank: 0.03), where float64 costs 1 ms more for 10 s of sound. Frames are worked on in blocks, so that
beyond the features themselves the memory does not grow with the recording.
"""

import functools
import warnings
from collections.abc import Callable

import numpy as np

from .config import FeatureConfig
from .errors import AudioError, InputWarning

WINDOW_MS = 25
HOP_MS = 10
LOWEST_RATE = 100  # Hz: below it, 10 ms is less than one sample
SAMPLE_SCALE = np.float64(2**15)  # Kaldi counts in 16-bit integers, where the samples here lie in [-1, 1]
PREEMPHASIS = 0.97
LOWEST_FREQUENCY = 20.0  # Hz, the left foot of the first mel filter; the last one ends at Nyquist
LOG_FLOOR = 1.1920928955078125e-07  # the float32 epsilon
VARIANCE_FLOOR = 1e-10  # fairseq's; without it digital silence would be 0 / 0
BLOCK_FRAMES = 64  # worked on at a time: each array is 200 KB at 16 kHz, and all of them stay in the cache


def frame_geometry(sampling_rate: int) -> tuple[int, int, int]:
    """Window, hop and FFT length in samples at `sampling_rate` (Hz): 400, 160, 512 at 16 kHz. Raises AudioError."""
    if sampling_rate < LOWEST_RATE:
        raise AudioError(f"sampling rate {sampling_rate} Hz: features need at least {LOWEST_RATE} Hz")
    window, hop = sampling_rate * WINDOW_MS // 1000, sampling_rate * HOP_MS // 1000
    return window, hop, 1 << (window - 1).bit_length()


def frames(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Overlapping frames as a view, nothing copied: (N,) -> (T, window), T = 1 + (N - window) // hop or 0.

    Only whole frames count (Kaldi's `snip_edges`): the last few milliseconds may be in none.
    """
    if len(samples) < window:
        return np.empty((0, window), samples.dtype)
    return np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]


def remove_dc(x: np.ndarray) -> np.ndarray:
    """Subtract from each frame its mean: (T, window) -> (T, window)."""
    return x - x.mean(axis=1, keepdims=True)


def preemphasize(x: np.ndarray) -> np.ndarray:
    """Lift the high frequencies, y[n] = x[n] - 0.97 x[n-1], within each frame: (T, window) -> (T, window).

    The first sample has no predecessor in its frame; Kaldi lets it stand for its own.
    """
    return x - PREEMPHASIS * np.concatenate((x[:, :1], x[:, :-1]), axis=1)


@functools.lru_cache(maxsize=16)
def povey_window(length: int) -> np.ndarray:
    """(0.5 - 0.5 cos(2 pi n / (length - 1))) ** 0.85, Kaldi's own window, which reaches zero: (length,)."""
    phase = np.arange(length) * (2 * np.pi / (length - 1))
    return _read_only((0.5 - 0.5 * np.cos(phase)) ** 0.85)


def power_spectrum(x: np.ndarray, fft_length: int) -> np.ndarray:
    """|DFT|^2 of each frame, zero-padded to `fft_length`, Nyquist left out: (T, window) -> (T, fft_length // 2).

    The right foot of the last mel filter stands on the Nyquist frequency, so that its bin never counts.
    """
    spectrum = np.fft.rfft(x, n=fft_length, axis=1)[:, : fft_length // 2]
    return spectrum.real**2 + spectrum.imag**2


def mel(frequency):
    """Hz to mel on Kaldi's scale, 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log(1.0 + np.asarray(frequency) / 700.0)


@functools.lru_cache(maxsize=16)
def mel_bank(sampling_rate: int, num_mel_bins: int) -> np.ndarray:
    """Triangular filters, equally spaced in mel and straight in mel: (fft_length // 2, M), one filter a column.

    Where the FFT is too coarse for that many filters, some contain no bin at all and would always report the log of
    nothing. Kaldi refuses, torchaudio goes on; here it goes on too, with an InputWarning that says how many.
    """
    fft_length = frame_geometry(sampling_rate)[2]
    bins = mel(np.arange(fft_length // 2) * (sampling_rate / fft_length))[:, None]
    corners = np.linspace(mel(LOWEST_FREQUENCY), mel(sampling_rate / 2), num_mel_bins + 2)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    bank = np.maximum(0.0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
    if empty := int(np.sum(~bank.any(axis=0))):
        warnings.warn(
            f"{empty} of {num_mel_bins} mel filters are empty at {sampling_rate} Hz, where the FFT has {fft_length} "
            "points; use fewer num_mel_bins",
            InputWarning,
            stacklevel=2,
        )
    return _read_only(bank)


def floored_log(x: np.ndarray) -> np.ndarray:
    """Natural logarithm, nothing below log(2**-23) = -15.94: any shape."""
    return np.log(np.maximum(x, LOG_FLOOR))


def fbank(samples: np.ndarray, sampling_rate: int, num_mel_bins: int = 80, dtype: type = np.float32) -> np.ndarray:
    """Log mel filterbank energies, before normalisation: (N,) samples in [-1, 1] -> (T, M) in `dtype`.

    Frames of 25 ms every 10 ms; fewer samples than one window give no frame, shape (0, M). Raises AudioError for a
    sampling rate (Hz) below 100.
    """
    window, hop, fft_length = frame_geometry(sampling_rate)
    shape, bank = povey_window(window), mel_bank(sampling_rate, num_mel_bins)
    framed = frames(np.asarray(samples), window, hop)
    out = np.empty((len(framed), num_mel_bins), dtype)
    for start in range(0, len(framed), BLOCK_FRAMES):
        x = framed[start : start + BLOCK_FRAMES] * SAMPLE_SCALE
        x = preemphasize(remove_dc(x)) * shape
        out[start : start + BLOCK_FRAMES] = floored_log(power_spectrum(x, fft_length) @ bank)
    return out


def cmvn(features: np.ndarray, normalize_means: bool = True, normalize_vars: bool = True) -> np.ndarray:
    """Give each mel bin mean 0 and (biased) variance 1 over the utterance: (T, M) -> (T, M), same precision.

    The variance is at least 1e-10, so that a bin that never moves, as in digital silence, becomes 0 rather than NaN:
    summed in float64, the mean of equal float32 numbers is exactly that number.
    """
    if len(features) == 0:
        return features
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    out = centred if normalize_means else features.astype(np.float64)
    if normalize_vars:
        variance = np.einsum("tm,tm->m", centred, centred) / len(centred)  # no array of squares: three times as fast
        out /= np.sqrt(np.maximum(variance, VARIANCE_FLOOR))
    return out.astype(features.dtype)


def cmvn_in_one_pass(features: np.ndarray, normalize_means: bool = True, normalize_vars: bool = True) -> np.ndarray:
    """`cmvn` with fairseq's arithmetic: the variance is E[x^2] - mean^2, in the precision of the features (T, M).

    In float32 two large numbers nearly cancel there: features come out up to 2e-3 away from those of `cmvn`. It is here
    to reproduce fairseq's own numbers (fairseq/data/audio/feature_transforms/utterance_cmvn.py).
    """
    if len(features) == 0:
        return features
    mean = features.mean(axis=0)
    variance = np.square(features).sum(axis=0) / len(features) - np.square(mean)
    out = features - mean if normalize_means else features
    return out / np.sqrt(np.maximum(variance, VARIANCE_FLOOR).astype(features.dtype)) if normalize_vars else out


def normalize_globally(features: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """Features (T, M) minus a training set's mean (M,), over its standard deviation (M,): fairseq's global CMVN."""
    return ((features - np.array(mean)) / np.array(std)).astype(features.dtype)


def normalize(features: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """The normalisation that a checkpoint asks for: (T, M) -> (T, M)."""
    if config.global_mean is not None:
        return normalize_globally(features, config.global_mean, config.global_std)
    if not config.do_ceptral_normalize:
        return features
    by_utterance = cmvn_in_one_pass if config.one_pass_variance else cmvn
    return by_utterance(features, config.normalize_means, config.normalize_vars)


def features(
    samples: np.ndarray, config: FeatureConfig, dtype: type = np.float32, fbank: Callable = fbank
) -> np.ndarray:
    """The encoder's input, as preprocessor_config.json asks: (N,) samples at the model's rate -> (T, M) in `dtype`.

    `fbank` may be a fast twin of the function above. Raises AudioError for a recording shorter than one window.
    """
    rate = config.sampling_rate
    if len(samples) < frame_geometry(rate)[0]:
        raise AudioError(
            f"the recording is {1000 * len(samples) / rate:.3g} ms long ({len(samples)} samples at {rate} Hz), "
            f"expected at least {WINDOW_MS} ms: less cannot be transcribed"
        )
    return normalize(fbank(samples, rate, config.num_mel_bins, dtype), config)


def _read_only(table: np.ndarray) -> np.ndarray:
    """The table, read-only: it is cached, and the next caller must find it unchanged."""
    table.flags.writeable = False
    return table
