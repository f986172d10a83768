"""Word times: how tokens become words, which heads are believed, where words end; then real speech."""

import math

import numpy as np
import pytest

import s2t_np
from s2t_np import audio
from s2t_np.longform.word_times import (
    ATTENTION_LEAD,
    align,
    cross_attention,
    group_words,
    monotonicity,
    on_frames,
    relative_loudness,
    text_attention,
    word_frames,
    words_of,
)
from s2t_np.search import Hypothesis
from s2t_np.tokenizer import Tokenizer
from tests.support import small_tokenizers
from tests.support.paths import DIGITS, SHARED, needs_shared

RECORDINGS = DIGITS.parent.parent / "recordings"
RATE = 16000


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


def heard(model, samples, **options):
    """Features, memory and the best hypothesis of samples (N,)."""
    features = model.features_of_samples(samples)
    return features, model.encode(features), model.generate(features, **options)[0]


def recording(name):
    return audio.load(RECORDINGS / name, RATE, None)


@pytest.mark.parametrize(
    "pieces, special, words",
    [
        ([], "", []),
        (["▁a"], "0", [[0]]),
        (["▁a", "b", "▁c"], "000", [[0, 1], [2]]),
        (["a", "b", "▁c"], "000", [[0, 1], [2]]),  # a text that begins without a space
        (["<lang:fr>", "▁a", "b", "</s>"], "1001", [[1, 2]]),
        (["▁a", "<unk>", "b"], "010", [[0, 2]]),
        (["▁", "a", "▁", "▁b"], "0000", [[0, 1], [2], [3]]),
    ],
)
def test_pieces_become_words(pieces, special, words):
    assert group_words(pieces, [s == "1" for s in special]) == words


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char", "upper", "bytes", "multilingual"])
def test_words_are_those_of_the_text(tmp_path, kind):
    tokenizer = Tokenizer.from_folder(small_tokenizers.write_folder(tmp_path, kind))
    for text in small_tokenizers.sentences(5, 20):
        tokens = tokenizer.encode(text)
        words = words_of(tokenizer, tokens)
        assert [word for word, _ in words] == tokenizer.decode(tokens).split()
        used = [i for _, group in words for i in group]
        assert used == sorted(set(used))


def test_monotone_heads_are_believed():
    rows, positions = 4, 12
    diagonal = np.repeat(np.eye(rows), 3, axis=1) / 3
    backward, stuck = diagonal[::-1], np.eye(1, positions).repeat(rows, axis=0)
    uniform = np.full((rows, positions), 1 / positions)
    np.testing.assert_allclose(monotonicity(np.stack([diagonal, backward, stuck, uniform])), [1, 1 / 4, 1 / 4, 1 / 4])
    heads = np.stack([uniform, stuck, diagonal, backward, uniform, diagonal, diagonal, diagonal])
    np.testing.assert_allclose(text_attention(heads.reshape(2, 4, rows, positions)), diagonal)


def test_positions_are_spread_on_the_frames_they_stand_for():
    on = on_frames(np.eye(6)[[2]], frames=24, stride=4)[0]
    assert np.argmax(on) == 2 * 4 + ATTENTION_LEAD
    assert on.sum() == pytest.approx(1)


def test_loudness_is_relative_to_background_and_words():
    features, attention = np.zeros((10, 3)), np.zeros((1, 10))
    features[4:7] = 5
    attention[0, 4:6] = 0.5
    np.testing.assert_allclose(relative_loudness(features - 2, attention), [0, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    assert not relative_loudness(np.zeros((10, 3)), attention).any()  # nothing is louder than anything


def spans(loud, looked_at, frames=40):
    """Words found where loud frames are 1, the others 0, and each word looks at one frame."""
    loudness, attention = np.zeros(frames), np.zeros((len(looked_at), frames))
    for first, end in loud:
        loudness[first:end] = 1
    attention[np.arange(len(looked_at)), looked_at] = 1
    return word_frames(attention, loudness).tolist()


def test_a_word_is_the_loud_part_that_attention_is_in():
    assert spans([(5, 12), (20, 33)], [6, 22]) == [[5, 12], [20, 33]]
    assert spans([(0, 40)], [10]) == [[0, 40]]  # no pause at either end
    assert spans([(5, 8), (9, 20)], [6]) == [[5, 20]]  # a short break does not end a word
    assert spans([(8, 12), (20, 33)], [22]) == [[20, 33]]  # a click that no word looks at


def test_words_without_a_pause_part_at_the_quietest_frame():
    loudness, attention = np.ones(40), np.zeros((2, 40))
    loudness[23], attention[0, 3], attention[1, 26] = 0.7, 1, 1
    assert word_frames(attention, loudness).tolist() == [[0, 23], [24, 40]]


def test_more_words_than_frames_still_come_in_order():
    found = word_frames(np.random.default_rng(0).random((9, 4)), np.zeros(4))
    assert found.shape == (9, 2)
    assert (np.diff(found.ravel()) >= 0).all()
    assert found.min() >= 0
    assert found.max() <= 4


def test_words_of_joined_recordings_lie_within_their_own(model):
    parts = [recording("five-five.flac"), np.zeros(RATE // 2), recording("two-nine-three-four-zero.flac")]
    samples = np.concatenate(parts).astype(np.float32)
    words = align(model, *heard(model, samples))
    assert [word.text for word in words] == "five five two nine three four zero".split()
    first, second, whole = (len(np.concatenate(parts[:n])) / RATE for n in (1, 2, 3))
    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert words[1].end <= first + 0.02
    assert second - 0.02 <= words[2].start
    assert edges[-1] <= whole
    assert all(0.1 < word.end - word.start < 0.8 for word in words)


def test_probability_is_the_geometric_mean_of_the_tokens(model):
    features, memory, hypothesis = heard(model, recording("five-five.flac"))
    words = align(model, features, memory, hypothesis)
    assert [word.probability for word in words] == pytest.approx(np.exp(hypothesis.token_log_probs[:-1]))
    spelled = [model.tokenizer.vocab[piece] for piece in ("▁", "f", "i", "v", "e", "▁five")]
    logs = (-1.0, -2.0, -3.0, -4.0, -5.0, -0.5, -0.1)
    words = align(model, features, memory, Hypothesis((2, *spelled, 2), logs, 0.0, True))
    assert [word.text for word in words] == ["five", "five"]
    assert [word.probability for word in words] == pytest.approx([math.exp(-3), math.exp(-0.5)])


def test_a_prefix_is_certain_and_has_times_too(model):
    features = model.features_of_samples(recording("five-five.flac"))
    hypothesis = model.generate(features, prefix=[model.tokenizer.vocab["▁five"]])[0]
    words = align(model, features, model.encode(features), hypothesis)
    assert [word.text for word in words] == ["five", "five"]
    assert words[0].probability == 1
    assert words[1].probability < 1
    assert words[0].end < words[1].start


def test_a_hypothesis_cut_off_keeps_its_last_word(model):
    features, memory, hypothesis = heard(model, recording("two-nine-three-four-zero.flac"), max_new_tokens=3)
    assert not hypothesis.finished
    assert [word.text for word in align(model, features, memory, hypothesis)] == ["two", "nine", "three"]


def test_no_text_has_no_words(model):
    features = model.features_of_samples(np.zeros(RATE, np.float32))
    assert align(model, features, model.encode(features), Hypothesis((2, 2), (-0.1,), 0.0, True)) == ()


def test_backends_agree(model):
    pytest.importorskip("numba")
    other = s2t_np.load(model.folder, backend="numba")
    features, memory, hypothesis = heard(model, recording("two-nine-three-four-zero.flac"))
    expected = cross_attention(model, memory, hypothesis.tokens)
    np.testing.assert_allclose(cross_attention(other, memory, hypothesis.tokens), expected, atol=2e-4)
    assert align(other, features, memory, hypothesis) == align(model, features, memory, hypothesis)


@needs_shared
@pytest.mark.parametrize(
    "condition, median, tail", [("no pauses", 40, 120), ("pauses", 25, 40), ("noise 10 dB", 40, 120)]
)
def test_the_error_on_real_digits(model, condition, median, tail):
    """Bounds in ms, half as much again or twice what tools/word_times.py measures over more utterances."""
    from tools.timed_words import digits
    from tools.word_times import measure

    errors = measure(model, digits(SHARED / "audio" / "fsdd" / "recordings", condition, 12))
    assert errors.heard >= 6
    size = 1000 * np.abs(errors.seconds)
    assert (np.median(size, axis=0) < median).all()
    assert (np.percentile(size, 90, axis=0) < tail).all()
