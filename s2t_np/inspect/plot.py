"""A picture of what was heard: the waveform, the log-mel features, the segments, and the words on the attention.

Needs matplotlib (`pip install matplotlib`), imported when a picture is drawn. Time runs to the right in all panels,
in seconds. A picture has a row for every 20 s, one under the other; the panels of a row are

    waveform    with the segments as bands and the words above
    log-mel     what the model reads, one column for every 10 ms
    alignment   for each word, from top to bottom, where the decoder looked; the bar is the word as it was found
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..errors import OptionError
from ..longform.segment import Segment
from ..longform.word_times import word_attention, words_of

LONGEST = 120.0  # seconds in one picture: beyond that nothing can be read in it
ROW = 20.0  # seconds side by side: at INCHES_PER_SECOND they fit a screen, and words are legible
COLUMNS = 4000  # columns of the waveform in a row: several for each pixel
NARROWEST = 8.0  # inches
INCHES_PER_SECOND, INCHES_PER_WORD = 1.0, 0.22
RESOLUTION = 100  # dots per inch


def figure_class():
    """matplotlib's Figure. Raises OptionError where it is not installed, or finds no place for its cache."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise OptionError("plots need matplotlib, which is not installed: pip install matplotlib") from None
    except OSError:  # neither the home nor a folder for temporary files can be written
        raise OptionError(
            "plots need a folder for matplotlib's cache, and none can be written: let MPLCONFIGDIR name one"
        ) from None
    return Figure


def attention_of(model, samples: np.ndarray, segment: Segment) -> np.ndarray:
    """The decoder's attention over time for each word of a segment: samples (N,) of the recording -> (W, T)."""
    rate = model.feature_config.sampling_rate
    features = model.features_of_samples(samples[round(segment.start * rate) : round(segment.end * rate)])
    groups = [group for _, group in words_of(model.tokenizer, segment.tokens)]
    tokens = [model.config.decoder_start_token_id, *segment.tokens]
    return word_attention(model, model.encode(features), tokens, groups, len(features))


def envelope(samples: np.ndarray, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest of the samples (N,) of each of at most `columns` equal stretches: two of (C,)."""
    starts = np.unique(np.linspace(0, len(samples), columns, endpoint=False).astype(int))
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


class Row(NamedTuple):
    """A stretch of a recording, and its words: those that begin in it."""

    start: float  # seconds
    end: float
    segments: list[Segment]  # with the words of this row alone
    attentions: list[np.ndarray]  # (W, T) for each segment: T frames of the whole segment

    def cut(self, x: np.ndarray, per_second: float) -> np.ndarray:
        """The part of x (N, ...) in this row, of `per_second` entries in a second."""
        return x[round(self.start * per_second) : max(round(self.end * per_second), 1)]


def rows_of(seconds: float, segments: list[Segment], attentions: list[np.ndarray]) -> list[Row]:
    """The rows of a picture: every ROW seconds, and a word in the row in which it begins."""
    rows = []
    for i in range(max(1, math.ceil(seconds / ROW))):
        start, end = i * ROW, min((i + 1) * ROW, seconds)
        own, weights = [], []
        for segment, attention in zip(segments, attentions, strict=True):
            inside = [w for w, word in enumerate(segment.words or ()) if start <= word.start < (i + 1) * ROW]
            if inside or (segment.start < end and segment.end > start):
                own.append(replace(segment, words=tuple(segment.words[w] for w in inside) if segment.words else ()))
                weights.append(attention[inside])
        rows.append(Row(start, end, own, weights))
    return rows


def draw_waveform(axes, samples: np.ndarray, row: Row) -> None:
    """Samples (N,) of a row, a band for each segment, and the words above it."""
    low, high = envelope(samples)
    axes.fill_between(np.linspace(row.start, row.end, len(low)), low, high, color="0.3", linewidth=0)
    for segment in row.segments:
        axes.axvspan(segment.start, segment.end, color=f"C{segment.id % 10}", alpha=0.2)
        for word in segment.words or ():
            place = ((word.start + word.end) / 2, 1.02)
            above = {"xycoords": axes.get_xaxis_transform(), "ha": "left", "rotation": 40, "rotation_mode": "anchor"}
            axes.annotate(word.text, place, **above, parse_math=False, annotation_clip=False)
    axes.set_ylabel("waveform")


def draw_features(axes, features: np.ndarray, row: Row) -> None:
    """Features (T, M) of a row with the low bands below."""
    extent = (row.start, row.end, 0, features.shape[1])
    axes.imshow(features.T, aspect="auto", origin="lower", extent=extent, cmap="magma")
    axes.set_ylabel("mel band")


def draw_alignment(axes, row: Row) -> None:
    """The attention of each word, (W, T) a segment, on a line of its own, and a bar where the word was found."""
    labels: list[str] = []
    for segment, attention in zip(row.segments, row.attentions, strict=True):
        if not len(attention):
            continue
        first, end, words = len(labels), len(labels) + len(attention), segment.words or ()
        extent = (segment.start, segment.end, end - 0.5, first - 0.5)
        axes.imshow(attention, aspect="auto", extent=extent, cmap="Greys", interpolation="nearest")
        starts, ends = [word.start for word in words], [word.end for word in words]
        axes.hlines(range(first, end), starts, ends, color=f"C{segment.id % 10}", linewidth=4, alpha=0.7)
        labels += [f"{word.text}  {word.probability:.2f}" for word in words]
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.set_ylabel("attention by word")


def panels(rows: list[Row]):
    """An empty figure for these rows, and its axes, three for each row."""
    heights = [h for row in rows for h in (1.5, 2.0, 0.5 + INCHES_PER_WORD * sum(map(len, row.attentions)))]
    longest = min(ROW, max(row.end - row.start for row in rows))
    size = (max(NARROWEST, INCHES_PER_SECOND * longest), sum(heights) + len(rows))
    figure = figure_class()(figsize=size, dpi=RESOLUTION, layout="constrained")
    return figure, figure.subplots(len(heights), height_ratios=heights).reshape(len(rows), 3)


def picture(model, samples: np.ndarray, segments: Iterable[Segment]):
    """Draw a recording, samples (N,) at the model's rate, and its segments with words: a matplotlib Figure.

    Raises OptionError where matplotlib is missing, and for a recording longer than two minutes.
    """
    rate, segments = model.feature_config.sampling_rate, list(segments)
    seconds = len(samples) / rate
    if seconds > LONGEST:
        raise OptionError(f"{seconds:.0f} s of sound do not fit a picture, expected at most {LONGEST:.0f} s")
    rows = rows_of(seconds, segments, [attention_of(model, samples, segment) for segment in segments])
    features = model.features_of_samples(samples)
    figure, axes = panels(rows)
    for row, (wave, mel, attention) in zip(rows, axes, strict=True):
        draw_waveform(wave, row.cut(samples, rate), row)
        draw_features(mel, row.cut(features, len(features) / seconds), row)
        draw_alignment(attention, row)
        for panel in (wave, mel, attention):
            panel.set_xlim(row.start, seconds if len(rows) == 1 else row.start + ROW)
        wave.tick_params(labelbottom=False)
        mel.tick_params(labelbottom=False)
        attention.set_xlabel("seconds")
    return figure


def picture_formats() -> list[str]:
    """The formats that a picture can be saved in: suffixes without the dot. Raises OptionError without matplotlib."""
    return sorted(figure_class()().canvas.get_supported_filetypes())
