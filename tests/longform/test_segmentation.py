"""Real speech whose pauses are known: every boundary where it belongs, no word cut."""

import numpy as np
import pytest

from s2t_np.longform.segmenter import pieces
from s2t_np.longform.vad import VadOptions
from tests.support.paths import needs_shared
from tests.support.speech import RATE, concatenated, level, librispeech

pytestmark = needs_shared


def cut(x, **options):
    return list(pieces((x[i : i + RATE] for i in range(0, len(x), RATE)), RATE, VadOptions(**options)))


def errors(found, truth):
    """How far from each true beginning and end the nearest found one lies: (n, 2) seconds."""
    edges = np.array([(p.start, p.end) for p in found])
    distance = edges[None] - truth[:, None]
    nearest = np.abs(distance).argmin(axis=1)
    return np.take_along_axis(distance, nearest[:, None], axis=1)[:, 0]


@pytest.mark.parametrize("pause", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("noise", [None, -60, -50])
def test_boundaries_are_within_100_ms(pause, noise):
    """Noise at -50 dB of full scale is 15 to 30 dB below the speech."""
    x, truth = concatenated(librispeech(), pause, noise)
    off = np.abs(errors(cut(x, min_silence_duration=min(0.5, pause - 0.05)), truth))
    assert np.median(off) < 0.025
    assert np.mean(off > 0.1) <= (0.01 if noise == -50 else 0)  # of 120: one faint ending may lie below the noise


@pytest.mark.parametrize("noise", [-42, -35])
def test_most_are_even_in_loud_noise(noise):
    x, truth = concatenated(librispeech(), 0.5, noise)
    assert np.mean(np.abs(errors(cut(x, min_silence_duration=0.45), truth)) > 0.1) <= (0.03 if noise == -42 else 0.2)


def test_no_word_is_cut():
    """Whatever lies between two segments, and outside of what the model hears of them, is no louder than a pause."""
    x, _ = concatenated(librispeech(), 0.5)
    found = cut(x)
    db, heard = level(x), np.zeros(len(x), bool)
    for piece in found:
        start = round(piece.offset * RATE)
        heard[start : start + len(piece.samples)] = True
        assert not piece.overlaps
    frames = heard[400 : 400 + 160 * len(db) : 160]
    assert np.percentile(db[frames], 50) - db[~frames].max() > 10
    assert np.mean(db[~frames] > np.percentile(db[frames], 50) - 20) < 0.005


def test_segments_are_what_the_model_was_trained_on():
    x, _ = concatenated(librispeech(), 0.1)  # no pause between utterances ends a segment
    found = cut(x, min_silence_duration=2.0)
    lengths = [len(p.samples) / RATE for p in found]
    assert max(lengths) < 30 and np.mean(lengths) > 10 and not any(p.overlaps for p in found)


def test_every_word_is_in_some_segment():
    x, truth = concatenated(librispeech(), 0.3, -60)
    found = cut(x, min_silence_duration=0.25)
    inside = np.zeros(len(x), bool)
    for piece in found:
        inside[round(piece.offset * RATE) :][: len(piece.samples)] = True
    speech = np.zeros(len(x), bool)
    for start, end in truth:
        part = x[round(start * RATE) : round(end * RATE)]
        db = level(part)
        loud = np.repeat(db > max(db.max() - 25, np.percentile(db, 3) + 8), 160)
        speech[round(start * RATE) + 320 :][: len(loud)] = loud
    assert np.mean(inside[speech]) > 0.9995
