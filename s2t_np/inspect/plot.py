"""A picture of what was heard: the waveform, the log-mel features, the segments, and the words on the attention.

Needs matplotlib (`pip install matplotlib`), imported when a picture is drawn. Time runs to the right in all panels,
in seconds; the panels are

    waveform    with the segments as bands and the words above
    log-mel     what the model reads, one column for every 10 ms
    alignment   for each word, from top to bottom, where the decoder looked; the bar is the word as it was found
"""

from collections.abc import Iterable

import numpy as np

from ..errors import OptionError
from ..longform.segment import Segment
from ..longform.word_times import word_attention, words_of

LONGEST = 120.0  # seconds in one picture: beyond that nothing can be read in it
COLUMNS = 4000  # columns of the waveform: several for each pixel
NARROWEST, WIDEST = 8.0, 60.0  # inches
INCHES_PER_SECOND, INCHES_PER_WORD = 1.0, 0.22
RESOLUTION = 100  # dots per inch


def figure_class():
    """matplotlib's Figure. Raises OptionError where it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise OptionError("plots need matplotlib, which is not installed: pip install matplotlib") from None
    return Figure


def attention_of(model, samples: np.ndarray, segment: Segment) -> np.ndarray:
    """The attention of the decoder over time for each word of a segment: samples (N,) of the whole recording -> (W, T)."""
    rate = model.feature_config.sampling_rate
    features = model.features_of_samples(samples[round(segment.start * rate) : round(segment.end * rate)])
    groups = [group for _, group in words_of(model.tokenizer, segment.tokens)]
    tokens = [model.config.decoder_start_token_id, *segment.tokens]
    return word_attention(model, model.encode(features), tokens, groups, len(features))


def envelope(samples: np.ndarray, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest of the samples (N,) of each of at most `columns` equal stretches: two of (C,)."""
    starts = np.unique(np.linspace(0, len(samples), columns, endpoint=False).astype(int))
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def draw_waveform(axes, samples: np.ndarray, segments: list[Segment], rate: int) -> None:
    """Samples (N,), a band for each segment, and the words above it."""
    low, high = envelope(samples)
    axes.fill_between(np.linspace(0, len(samples) / rate, len(low)), low, high, color="0.3", linewidth=0)
    for segment in segments:
        axes.axvspan(segment.start, segment.end, color=f"C{segment.id % 10}", alpha=0.2)
        for word in segment.words or ():
            place = ((word.start + word.end) / 2, 1.02)
            axes.annotate(word.text, place, xycoords=axes.get_xaxis_transform(), ha="center", parse_math=False)
    axes.set_ylabel("waveform")


def draw_features(axes, features: np.ndarray, seconds: float) -> None:
    """Features (T, M) with the low bands below."""
    axes.imshow(features.T, aspect="auto", origin="lower", extent=(0, seconds, 0, features.shape[1]), cmap="magma")
    axes.set_ylabel("mel band")


def draw_alignment(axes, segments: list[Segment], attentions: list[np.ndarray]) -> None:
    """The attention of each word, (W, T) a segment, on a line of its own, and a bar where the word was found."""
    labels: list[str] = []
    for segment, attention in zip(segments, attentions, strict=True):
        first, end, words = len(labels), len(labels) + len(attention), segment.words or ()
        extent = (segment.start, segment.end, end - 0.5, first - 0.5)
        axes.imshow(attention, aspect="auto", extent=extent, cmap="Greys", interpolation="nearest")
        starts, ends = [word.start for word in words], [word.end for word in words]
        axes.hlines(range(first, end), starts, ends, color=f"C{segment.id % 10}", linewidth=4, alpha=0.7)
        labels += [f"{word.text}  {word.probability:.2f}" for word in words]
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.set_ylabel("attention by word")


def panels(seconds: float, words: int):
    """An empty figure for a recording and its words, and its three axes."""
    heights = (1.5, 2.0, 0.5 + INCHES_PER_WORD * words)
    width = min(max(NARROWEST, INCHES_PER_SECOND * seconds), WIDEST)
    figure = figure_class()(figsize=(width, sum(heights) + 1), dpi=RESOLUTION, layout="constrained")
    return figure, figure.subplots(3, sharex=True, height_ratios=heights)


def picture(model, samples: np.ndarray, segments: Iterable[Segment]):
    """Draw a recording, samples (N,) at the model's rate, and its segments with words: a matplotlib Figure.

    Raises OptionError where matplotlib is missing, and for a recording longer than two minutes.
    """
    rate, segments = model.feature_config.sampling_rate, list(segments)
    seconds = len(samples) / rate
    if seconds > LONGEST:
        raise OptionError(f"{seconds:.0f} s of sound do not fit a picture, expected at most {LONGEST:.0f} s")
    attentions = [attention_of(model, samples, segment) for segment in segments]
    figure, (wave, mel, attention) = panels(seconds, sum(map(len, attentions)))
    draw_waveform(wave, samples, segments, rate)
    draw_features(mel, model.features_of_samples(samples), seconds)
    draw_alignment(attention, segments, attentions)
    attention.set_xlim(0, seconds)
    attention.set_xlabel("seconds")
    return figure


def picture_formats() -> list[str]:
    """The formats that a picture can be saved in, as suffixes without the dot. Raises OptionError where matplotlib is missing."""
    return sorted(figure_class()().canvas.get_supported_filetypes())
