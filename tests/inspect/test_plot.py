"""Pictures: what stands in which panel, read back from matplotlib's own objects and from the file."""

import struct
import sys
from itertools import pairwise

import numpy as np
import pytest

import s2t_np
from s2t_np import audio
from s2t_np.cli import main
from s2t_np.errors import OptionError
from s2t_np.inspect import plot
from s2t_np.longform.options import StreamOptions
from tests.support.paths import DIGITS

RATE = 16000
FIVE, TWO = (DIGITS.parent.parent / "recordings" / f"{n}.flac" for n in ("five-five", "two-nine-three-four-zero"))
WORDS = "two nine three four zero".split()


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib", reason="needs matplotlib: pip install matplotlib")


def drawn(model, samples, **options):
    """The segments of samples (N,), and the three axes of their picture."""
    segments = list(model.stream(samples, RATE, StreamOptions(word_timestamps=True, **options)))
    return segments, plot.picture(model, samples, segments).axes


def png_size(path):
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    return struct.unpack(">II", data[16:24])


def test_the_panels_show_what_was_heard(model, matplotlib):
    samples = audio.read(TWO, RATE)
    (segment,), (wave, mel, attention) = drawn(model, samples)
    assert [label.get_text() for label in wave.texts] == WORDS
    np.testing.assert_array_equal(mel.images[0].get_array(), model.features_of_samples(samples).T)
    weights = np.asarray(attention.images[0].get_array())
    assert weights.shape[0] == len(WORDS)
    assert weights.sum(axis=1) == pytest.approx(1, abs=0.05)
    assert [label.get_text().split()[0] for label in attention.get_yticklabels()] == WORDS
    (bars,) = attention.collections
    found = [(line[0][0], line[1][0], line[0][1]) for line in bars.get_segments()]
    assert found == [(word.start, word.end, i) for i, word in enumerate(segment.words)]
    assert wave.get_xlim() == mel.get_xlim() == attention.get_xlim() == (0, len(samples) / RATE)


def test_segments_follow_one_another_downward(model, matplotlib):
    gap = 1e-4 * np.random.default_rng(0).standard_normal(2 * RATE)
    samples = np.concatenate([gap, audio.read(TWO, RATE), gap, audio.read(FIVE, RATE), gap]).astype(np.float32)
    segments, (wave, _, attention) = drawn(model, samples, max_whole_duration=0.0)
    assert len(segments) >= 2
    assert len(attention.images) == len(wave.patches) == len(segments)
    extents = [image.get_extent() for image in attention.images]
    assert [tuple(extent[:2]) for extent in extents] == [(s.start, s.end) for s in segments]
    assert all(above[2] == below[3] for above, below in pairwise(extents))


def test_a_minute_is_drawn_in_rows_of_twenty_seconds(model, matplotlib):
    """Every word stands in one row, the one in which it begins; no row is wider than a screen."""
    gap = 1e-4 * np.random.default_rng(0).standard_normal(RATE)
    samples = np.concatenate([gap, audio.read(TWO, RATE), gap] * 14)[: 50 * RATE].astype(np.float32)
    segments = list(model.stream(samples, RATE, StreamOptions(word_timestamps=True)))
    figure = plot.picture(model, samples, segments)
    assert len(figure.axes) == 9
    assert figure.get_size_inches()[0] == 20
    waves, alignments = figure.axes[::3], figure.axes[2::3]
    assert [axes.get_xlim() for axes in waves] == [(0, 20), (20, 40), (40, 60)]
    words = [word for segment in segments for word in segment.words]
    for axes, row, first in zip(waves, alignments, (0, 20, 40), strict=True):
        expected = [word.text for word in words if first <= word.start < first + 20]
        assert [label.get_text() for label in axes.texts] == expected and len(expected) >= 10
        assert [label.get_text().split()[0] for label in row.get_yticklabels()] == expected


def test_silence_is_drawn_too(model, matplotlib):
    segments, (wave, mel, attention) = drawn(model, np.zeros(RATE, np.float32))
    assert segments == []
    assert not wave.texts
    assert not attention.images
    assert len(mel.images) == 1


@pytest.mark.parametrize("length", [1, 2, 399, 400, 12345])
def test_the_envelope_keeps_every_peak(length):
    samples = np.random.default_rng(length).standard_normal(length)
    low, high = plot.envelope(samples, 400)
    assert len(low) == len(high) == min(length, 400)
    assert (low.min(), high.max()) == (samples.min(), samples.max())
    assert (low <= high).all()


def test_the_command_writes_a_picture(tmp_path, capsys, matplotlib):
    whole, part = tmp_path / "whole.png", tmp_path / "part.svg"
    assert main(["plot", "--model", "digits", str(TWO), "-o", str(whole)]) == 0
    width, height = png_size(whole)
    assert width == 800  # the narrowest there is
    assert 500 < height < 800
    assert main(["plot", "--model", "digits", str(TWO), "-o", str(part), "--start", "0.5", "--duration", "1"]) == 0
    assert "<svg" in part.read_text()[:1000]
    assert f"{part}: 1.00 s of {TWO}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more, says",
    [
        (["-o", "x.doc"], ".png"),
        (["-o", "x"], ".png"),
        (["-o", "x.png", "--start", "2.5"], "2.40 s"),
        (["-o", "x.png", "--start", "-1"], "2.40 s"),
        (["-o", "x.png", "--start", "nan"], "2.40 s"),
        (["-o", "x.png", "--duration", "0"], "more than 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(more, says, tmp_path, monkeypatch, capsys, matplotlib):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", "--model", "digits", str(TWO), *more]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_long_recording_does_not_fit(model, matplotlib):
    with pytest.raises(OptionError, match="at most 120 s"):
        plot.picture(model, np.zeros(121 * RATE, np.float32), [])


def test_without_matplotlib_it_is_said_before_the_model_is_loaded(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plot", "--model", "no such model", str(TWO), "-o", "x.png"]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
