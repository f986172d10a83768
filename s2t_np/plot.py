"""A picture of what was heard: the waveform, the log-mel features, the segments, and the words on the attention.

Needs matplotlib (`pip install "s2t-np[plot]"`), imported when a picture is drawn. Time runs to the right in all panels,
in seconds; the panels are

    waveform    with the segments as bands and the words above
    log-mel     what the model reads, one column for every 10 ms
    alignment   for each word, from top to bottom, where the decoder looked; the bar is the word as it was found
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .alignment import Alignment, alignment
from .errors import OptionError
from .segment import Segment

LONGEST = 120.0  # seconds in one picture: beyond that nothing can be read in it
COLUMNS = 4000  # of the waveform: several for each pixel
NARROWEST, WIDEST = 8.0, 60.0  # inches
INCHES_PER_SECOND, INCHES_PER_WORD = 1.0, 0.22
RESOLUTION = 100  # dots per inch


class Heard(NamedTuple):
    """A segment, and its words on the sound."""

    segment: Segment
    alignment: Alignment | None  # None: it has no words


def figure_class():
    """matplotlib's Figure. Raises OptionError where it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise OptionError('plots need matplotlib, which is not installed: pip install "s2t-np[plot]"') from None
    return Figure


def aligned(model, samples: np.ndarray, segments: Iterable[Segment]) -> list[Heard]:
    """Each segment with the alignment of its best hypothesis: samples (N,) of the whole recording."""
    rate, heard = model.feature_config.sampling_rate, []
    for segment in segments:
        features = model.features_of_samples(samples[round(segment.start * rate) : round(segment.end * rate)])
        found = alignment(model, features, model.encode(features), segment.hypotheses[0], segment.start)
        heard.append(Heard(segment, found))
    return heard


def envelope(samples: np.ndarray, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest of the samples (N,) of each of at most `columns` equal stretches: two of (C,)."""
    starts = np.unique(np.linspace(0, len(samples), columns, endpoint=False).astype(int))
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def draw_waveform(axes, samples: np.ndarray, heard: list[Heard], rate: int) -> None:
    """Samples (N,), a band for each segment, and the words above it."""
    low, high = envelope(samples)
    axes.fill_between(np.linspace(0, len(samples) / rate, len(low)), low, high, color="0.3", linewidth=0)
    for segment, found in heard:
        axes.axvspan(segment.start, segment.end, color=f"C{segment.id % 10}", alpha=0.2)
        for word in found.words if found else ():
            middle = (word.start + word.end) / 2
            axes.annotate(word.text, (middle, 1.02), xycoords=axes.get_xaxis_transform(), ha="center", parse_math=False)
    axes.set_ylabel("waveform")


def draw_features(axes, features: np.ndarray, seconds: float) -> None:
    """Features (T, M) with the low bands below."""
    axes.imshow(features.T, aspect="auto", origin="lower", extent=(0, seconds, 0, features.shape[1]), cmap="magma")
    axes.set_ylabel("mel band")


def draw_alignment(axes, heard: list[Heard], hop: float) -> None:
    """The attention of each word on a line of its own, and a bar where the word was found; `hop` in seconds."""
    labels: list[str] = []
    for segment, found in heard:
        if not found:
            continue
        first, (words, frames) = len(labels), found.attention.shape
        extent = (segment.start, segment.start + frames * hop, first + words - 0.5, first - 0.5)
        axes.imshow(found.attention, aspect="auto", extent=extent, cmap="Greys", interpolation="nearest")
        starts, ends = ([getattr(word, edge) for word in found.words] for edge in ("start", "end"))
        axes.hlines(range(first, first + words), starts, ends, color=f"C{segment.id % 10}", linewidth=4, alpha=0.7)
        labels += [f"{word.text}  {word.probability:.2f}" for word in found.words]
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.set_ylabel("attention by word")


def picture(model, samples: np.ndarray, segments: Iterable[Segment]):
    """Draw a recording, samples (N,) at the model's rate, and its segments: a matplotlib Figure of three panels.

    Raises OptionError where matplotlib is missing, and for a recording longer than two minutes.
    """
    figure_of, rate = figure_class(), model.feature_config.sampling_rate
    seconds = len(samples) / rate
    if seconds > LONGEST:
        raise OptionError(f"{seconds:.0f} s of sound do not fit a picture, expected at most {LONGEST:.0f} s")
    features, heard = model.features_of_samples(samples), aligned(model, samples, segments)
    words = sum(len(found.words) for _, found in heard if found)
    heights = (1.5, 2.0, 0.5 + INCHES_PER_WORD * words)
    width = min(max(NARROWEST, INCHES_PER_SECOND * seconds), WIDEST)
    figure = figure_of(figsize=(width, sum(heights) + 1), dpi=RESOLUTION, layout="constrained")
    wave, mel, attention = figure.subplots(3, sharex=True, height_ratios=heights)
    draw_waveform(wave, samples, heard, rate)
    draw_features(mel, features, seconds)
    draw_alignment(attention, heard, seconds / len(features))
    attention.set_xlim(0, seconds)
    attention.set_xlabel("seconds")
    return figure


def picture_formats() -> dict[str, str]:
    """What a picture can be saved as: suffix without dot -> name. Raises OptionError where matplotlib is missing."""
    return figure_class()().canvas.get_supported_filetypes()
