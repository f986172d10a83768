"""Recordings of any length: segments in order, with their times, the errors after them; no text from silence."""

import io
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import s2t_np
from s2t_np.config import GenerationConfig, UtteranceConfig
from s2t_np.errors import AudioError, IncompleteAudioError, InputWarning, OptionError
from s2t_np.longform.options import StreamOptions
from s2t_np.longform.stream import stream
from s2t_np.longform.vad_ops import NUMPY_VAD
from s2t_np.search import Hypothesis
from tests.support.sounds import encode
from tests.support.speech import RATE, RECORDINGS, bundled, concatenated, no_speech

SAID = {"five-five": "five five", "two-nine-three-four-zero": "two nine three four zero"}


@pytest.fixture(scope="module")
def digits():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def talk():
    """Half a minute of digits with pauses of a second and a little noise, when each was said, and what."""
    names = list(SAID) * 8
    x, times = concatenated([bundled(name) for name in names], 1.0, -70)
    return x, times, [SAID[name] for name in names]


def test_segments_and_their_times(digits, talk):
    x, times, texts = talk
    found = list(digits.stream(x, RATE))
    assert [segment.text for segment in found] == texts
    assert [segment.id for segment in found] == list(range(len(texts)))
    np.testing.assert_allclose([(s.start, s.end) for s in found], times, atol=0.1)
    for segment in found:
        best = segment.hypotheses[0]
        assert segment.tokens == best.generated[:-1] and best.finished
        assert segment.avg_logprob == pytest.approx(best.log_prob / len(best.generated))
        assert segment.texts[0] == segment.text and segment.words is None and segment.flags == ()


def test_however_the_sound_comes(digits, talk):
    x, _, _ = talk
    expected = list(digits.stream(x, RATE))
    data = encode(x, subtype="FLOAT")
    blocks = (x[i : i + 1234] for i in range(0, len(x), 1234))
    for source, rate in ((data, None), (io.BytesIO(data), None), (blocks, RATE)):
        assert list(digits.stream(source, rate)) == expected


def test_each_segment_comes_before_the_next_is_read(digits, talk):
    x, times, _ = talk
    read = 0

    def blocks():
        nonlocal read
        for i in range(0, len(x), 1600):
            read = i + 1600
            yield x[i : i + 1600]

    for segment, (_, end) in zip(digits.stream(blocks(), RATE), times, strict=True):
        assert segment.end == pytest.approx(end, abs=0.1)
        assert read / RATE <= end + 0.5 + 0.25  # the pause that ends it, one block, and the detector's look ahead


def test_a_short_recording_is_heard_as_transcribe_hears_it(digits):
    path = RECORDINGS / "two-nine-three-four-zero.flac"
    (segment,), heard = digits.stream(path), digits.transcribe(path)
    assert segment.hypotheses == tuple(heard.hypotheses) and segment.text == heard.text
    assert 0 < segment.start < segment.end < heard.duration and heard.segments == ()


def test_a_short_recording_can_be_cut_too(digits):
    x, times = concatenated([bundled(name) for name in SAID], 1.0, -70)
    assert len(list(digits.stream(x, RATE))) == 1
    cut = list(digits.stream(x, RATE, StreamOptions(max_whole_duration=0)))
    np.testing.assert_allclose([(s.start, s.end) for s in cut], times, atol=0.1)


def test_transcribe_cuts_what_is_long(digits, talk):
    x, _, texts = talk
    heard = digits.transcribe(x, RATE)
    assert heard.text == " ".join(texts) == heard.texts[0] and heard.hypotheses == []
    assert heard.duration == len(x) / RATE and [s.text for s in heard.segments] == texts
    assert heard.segments == tuple(digits.stream(x, RATE))


def test_generation_options_and_words(digits, talk):
    x, _, _ = talk
    first = next(digits.stream(x, RATE, StreamOptions(word_timestamps=True), num_beams=3, num_return_sequences=2))
    assert len(first.hypotheses) == len(first.texts) == 2
    assert [word.text for word in first.words] == first.text.split()
    assert first.start - 0.1 <= first.words[0].start < first.words[-1].end <= first.end + 0.1


@pytest.mark.parametrize("name", no_speech())
def test_no_text_without_speech(digits, name):
    assert list(digits.stream(no_speech()[name], RATE)) == []


def test_wrong_options_are_said_at_once(digits):
    for options in ({"num_beams": 0}, {"beams": 3}):
        with pytest.raises(OptionError):
            digits.stream(np.zeros(99), RATE, **options)


def test_what_cannot_be_read(digits, tmp_path):
    with pytest.raises(AudioError, match="cannot be read"):
        next(digits.stream(tmp_path / "no.wav"))
    with pytest.raises(AudioError, match="sampling_rate="):
        digits.stream(np.zeros(99))


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
@pytest.mark.parametrize("repeats", [1, 10])
def test_a_recording_that_breaks_off(digits, container, repeats, tmp_path):
    """A short one, which is heard whole, and a long one."""
    x, times = concatenated([bundled(name) for name in list(SAID) * repeats], 1.0, -70)
    path = tmp_path / "talk"
    data = encode(x, container=container)
    path.write_bytes(data[: int(0.8 * len(data))])
    found = []
    with pytest.raises(IncompleteAudioError, match=r"talk: is (damaged or )?cut short.*[0-9] s"):
        for segment in digits.stream(path):
            found.append(segment)
    assert len(found) == (1 if repeats == 1 else int(0.8 * len(times)))
    with pytest.warns(InputWarning, match="cut short"):
        assert digits.transcribe(path).text.startswith(found[0].text[:9])


# ---- with a model that hears a word every half second, as long as it hears all of it


class Listener:
    """Knows the recording by heart: finds the place of what it is given, and says the numbers of the half seconds."""

    def __init__(self, recording):
        self.recording = recording
        self.feature_config, self.generation_config = SimpleNamespace(sampling_rate=RATE), GenerationConfig()
        self.utterance_config, self.backend = UtteranceConfig(), SimpleNamespace(vad=NUMPY_VAD)
        self.tokenizer = SimpleNamespace(
            granularity=1, id_to_piece=["▁x"] * 1000, decode=self.text, batch_decode=self.texts
        )

    @staticmethod
    def text(tokens):
        return " ".join(str(t) for t in tokens if t > 2)

    def texts(self, sequences):
        return [self.text(tokens) for tokens in sequences]

    def features_of_samples(self, samples):
        return samples

    def encode(self, features):
        start = np.flatnonzero(self.recording == features[0])[0]
        return start / RATE, (start + len(features)) / RATE

    def step_together(self, asks):
        raise AssertionError(asks)

    def begin_from(self, memory):
        first, last = int(np.ceil(2 * memory[0])), int(2 * memory[1])
        whole = [10 + i for i in range(first, last)]
        tokens = [9, *whole, 8, 2]  # at both ends half a word, misheard
        return [Hypothesis((2, *tokens), (-0.1,) * len(tokens), -0.1, True)]
        yield


def test_a_cut_through_speech_loses_and_doubles_nothing():
    x = np.random.default_rng(0).standard_normal(100 * RATE) * np.repeat([1e-4, 0.1, 1e-4], np.array([2, 96, 2]) * RATE)
    x = x.astype(np.float32)
    options = StreamOptions(floor_rise=0.1, min_level_spread=None, max_flatness=None)
    found = list(stream(Listener(x), x, RATE, options))
    assert len(found) == 4 and found[0].start < 2.1 and found[-1].end > 97.9
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
    words = [int(w) for segment in found for w in segment.text.split()]
    assert words[1:-1] == list(range(words[1], words[-2] + 1)) and len(words) >= 190
    assert not any(segment.flags for segment in found)


def test_bundled_recordings_are_of_their_rate():
    assert all(soundfile.info(path).samplerate == RATE for path in RECORDINGS.glob("*.flac"))


def test_texts_below_a_threshold_can_be_left_out(digits, talk):
    x = talk[0][: 12 * RATE]
    every = list(digits.stream(x, RATE, StreamOptions(max_whole_duration=1.0)))
    sure = sorted(segment.avg_logprob for segment in every)
    assert len(every) >= 4 and sure[0] < sure[-1] - 1e-6
    options = StreamOptions(max_whole_duration=1.0, drop_logprob_threshold=(sure[0] + sure[-1]) / 2)
    expected = [s.text for s in every if s.avg_logprob > options.drop_logprob_threshold]
    kept = list(digits.stream(x, RATE, options))
    assert [s.text for s in kept] == expected != [] and len(kept) < len(every)
    assert [s.id for s in kept] == list(range(len(kept)))
    assert digits.transcribe(x, RATE, options).text == " ".join(expected)


@pytest.mark.parametrize("above", [True, False])
def test_the_same_of_a_recording_that_is_heard_whole(digits, above):
    x = np.pad(bundled("two-nine-three-four-zero"), RATE // 10)
    said = digits.transcribe(x, RATE)
    log_prob = said.hypotheses[0].log_prob / len(said.hypotheses[0].generated)
    options = StreamOptions(drop_logprob_threshold=log_prob + (0.001 if above else -0.001))
    kept = digits.transcribe(x, RATE, options)
    assert said.text and kept.text == ("" if above else said.text)
    assert bool(kept.hypotheses) != above and kept.texts == [kept.text] and kept.duration == said.duration
