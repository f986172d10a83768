"""The segmenter: at pauses, at the widest pause of what is too long, and through speech with an overlap."""

from itertools import pairwise

import numpy as np
import pytest

from s2t_np.errors import AudioError
from s2t_np.longform.segmenter import Piece, Segmenter, Tape, pieces
from s2t_np.longform.vad import VadOptions
from tests.support.speech import RATE, bundled, concatenated

OPTIONS = VadOptions(speech_pad=0.2)


def spans(speech, frames, size=10**9, options=OPTIONS, quiet=()):
    """The segmenter's answer for speech at these (start, end) frames; `quiet` frames stand out less than others."""
    excess = np.zeros(frames)
    for start, end in speech:
        excess[start:end] = 20
    excess[list(quiet)] = 7
    segmenter = Segmenter(options, 0.01)
    done = [span for i in range(0, frames, size) for span in segmenter.push(excess[i : i + size])]
    return done + segmenter.finish()


def times(found):
    return [(span.start, span.end) for span in found]


def test_a_pause_ends_a_segment():
    found = spans([(100, 200), (249, 300), (350, 400)], 1000)
    assert times(found) == [(100, 300), (350, 400)]
    assert all(span.before == span.after == 20 for span in found)


def test_it_ends_as_soon_as_the_pause_is_long_enough():
    segmenter, excess = Segmenter(OPTIONS, 0.01), np.zeros(400)
    excess[100:200] = 20
    given = [len(segmenter.push(excess[i : i + 1])) for i in range(400)]
    assert np.flatnonzero(given).tolist() == [249]  # 50 frames of pause: 200 to 249


def test_clicks_are_none():
    assert spans([(100, 105), (300, 305)], 1000) == []
    assert times(spans([(100, 105), (140, 145)], 1000)) == [(100, 145)]  # 100 ms together


def test_the_pad_ends_where_the_recording_or_other_speech_does():
    first, last = spans([(5, 200), (250, 395)], 400)
    assert (first.before, first.after, last.before, last.after) == (5, 20, 20, 5)


def test_what_is_too_long_is_cut_at_its_widest_pause():
    found = spans([(0, 900), (920, 1500), (1540, 2000), (2030, 2700), (2720, 3500)], 4000)
    assert times(found) == [(0, 1500), (1540, 3500)]
    assert not any(span.overlaps or span.continues for span in found)
    assert found[0].after == found[1].before == 20


def test_a_pause_just_where_it_is_too_long_is_seen():
    assert times(spans([(0, 2790), (2830, 3000)], 4000)) == [(0, 2790), (2830, 3000)]


def test_without_a_pause_speech_is_cut_with_an_overlap_at_quiet_places():
    one, two = spans([(0, 4000)], 5000, quiet=[2750, 2450])
    assert times([one, two]) == [(0, 2750), (2450, 4000)]
    assert (one.overlaps, one.continues, two.overlaps, two.continues) == (False, True, True, False)
    assert one.after == two.before == 0


def test_pauses_within_words_do_not_count():
    narrow = [(i, i + 95) for i in range(0, 4000, 100)]  # 50 ms each
    assert [span.overlaps for span in spans(narrow, 5000)] == [False, True]


def test_hours_of_speech_without_a_pause():
    found = spans([(0, 360_000)], 360_000, size=1000)
    assert all(span.end - span.start <= 2800 for span in found)
    assert all(150 <= a.end - b.start <= 450 for a, b in pairwise(found))


@pytest.mark.parametrize("size", [1, 13, 500, 2801])
def test_portions_do_not_matter(size):
    rng = np.random.default_rng(1)
    edges = np.cumsum(rng.choice([3, 8, 20, 60, 400, 900], 120))
    speech = edges.reshape(-1, 2)
    assert spans(speech, int(edges[-1]) + 100, size) == spans(speech, int(edges[-1]) + 100)


def test_all_speech_is_in_some_segment():
    rng = np.random.default_rng(2)
    for case in range(20):
        edges = np.cumsum(rng.choice([12, 30, 60, 400, 900], 60)).reshape(-1, 2)
        found = spans(edges, int(edges[-1, 1]) + 100)
        inside = np.zeros(int(edges[-1, 1]) + 100, bool)
        for span in found:
            inside[span.start : span.end] = True
            assert span.end - span.start <= 2800
        assert all(inside[a:b].all() for a, b in edges), case


def test_a_tape_gives_back_what_it_was_given():
    x = np.arange(10_000, dtype=np.float32)
    tape = Tape(160, 120, RATE)
    for i in range(0, 10_000, 999):
        tape.append(x[i : i + 999])
        tape.forget(max(0, (i - 6000) // 160))
    span = Segmenter(OPTIONS, 0.01).close([[45, 55]], 60)[0]
    piece = tape.piece(span)
    np.testing.assert_array_equal(piece.samples, x[25 * 160 + 120 : 60 * 160 + 120])
    assert (piece.offset, piece.start, piece.end) == tuple((f * 160 + 120) / RATE for f in (25, 45, 55))


def test_pieces_come_before_the_error_that_the_sound_ends_in():
    x, truth = concatenated([bundled("five-five")] * 2, 1.0)

    def broken():
        yield x[:20_000]
        yield x[20_000:]
        raise AudioError("the cable")

    found = pieces(broken(), RATE, OPTIONS)
    got = [next(found), next(found)]
    np.testing.assert_allclose([(p.start, p.end) for p in got], truth, atol=0.05)
    with pytest.raises(AudioError, match="the cable"):
        next(found)


def test_a_piece_holds_its_samples():
    x, _ = concatenated([bundled("five-five")] * 3, 1.0)
    for piece in pieces((x[i : i + 777] for i in range(0, len(x), 777)), RATE, OPTIONS):
        start = round(piece.offset * RATE)
        np.testing.assert_array_equal(piece.samples, x[start : start + len(piece.samples)])
        assert isinstance(piece, Piece) and piece.offset <= piece.start - 0.19 < piece.end
