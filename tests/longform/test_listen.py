"""What S2T.transcribe hears: no text without speech, and no utterance longer than the model knows."""

import json

import numpy as np
import pytest
import soundfile

import s2t_np
from s2t_np.config import UtteranceConfig
from s2t_np.errors import AudioError, ModelError, OptionError
from s2t_np.hf.convert import convert
from s2t_np.longform.options import StreamOptions
from tests.support.paths import DIGITS, LIBRISPEECH, SHARED, needs_shared
from tests.support.speech import RATE, RECORDINGS, bundled, concatenated, no_speech, note, silent, tone

SAID = {"five-five": "five five", "two-nine-three-four-zero": "two nine three four zero"}


def ringback(seconds: int) -> np.ndarray:
    """The European ringing tone: 425 Hz, one second on, four seconds off."""
    return np.concatenate([np.concatenate([tone(1, 425), silent(4)]) for _ in range(seconds // 5)])


SHORT = {name: x[: 7 * RATE] for name, x in no_speech().items()} | {
    "a sine": tone(5, 440, 0.3).astype(np.float32),
    "a sine between pauses": np.concatenate([silent(1), tone(3, 700), silent(1)]).astype(np.float32),
    "ringback": ringback(5).astype(np.float32),
    "a held chord": sum(note(f, 5.0, 0.05) for f in (261.6, 329.6, 392.0)).astype(np.float32),
}


@pytest.fixture(scope="module")
def digits():
    return s2t_np.load("digits", backend="numpy")


def utterance(model, samples):
    """The text of samples (N,), whatever they are."""
    return model.tokenizer.decode(model.generate(model.features_of_samples(samples))[0].tokens)


@pytest.mark.parametrize("name", SHORT)
def test_no_text_without_speech(digits, name):
    heard = digits.transcribe(SHORT[name], RATE)
    assert (heard.text, heard.texts, heard.hypotheses, heard.segments) == ("", [""], [], ())
    assert heard.duration == len(SHORT[name]) / RATE
    assert list(digits.stream(SHORT[name], RATE)) == []


def test_the_detector_can_be_switched_off(digits):
    off, chords = StreamOptions(vad_filter=False), SHORT["chords"][: 6 * RATE]
    assert digits.transcribe(chords, RATE, off).text == utterance(digits, chords) != ""
    (segment,) = digits.stream(chords, RATE, off)
    assert segment.text == utterance(digits, chords)
    long = np.concatenate([chords] * 3)
    assert digits.transcribe(long, RATE).text == "" != digits.transcribe(long, RATE, off).text


def test_the_command_can_switch_it_off_too(run, tmp_path):
    soundfile.write(tmp_path / "chords.wav", SHORT["chords"], RATE)
    said = {}
    for more in ((), ("--no-vad-filter",)):
        code, out, _ = run("transcribe", "--model", "digits", tmp_path / "chords.wav", *more)
        assert code == 0
        said[more] = out
    assert said[()] == "" != said["--no-vad-filter",]


def test_too_short_is_still_said(digits):
    for x in (np.zeros(100, np.float32), 0.1 * np.ones(399, np.float32)):
        with pytest.raises(AudioError, match="25 ms"):
            digits.transcribe(x, RATE)


# ---- the longest utterance


def test_a_recording_beyond_the_models_longest_utterance_is_cut(digits):
    """Twelve seconds of digits with pauses: heard whole, many of the words are wrong."""
    names = ["two-nine-three-four-zero"] * 5
    x, _ = concatenated([bundled(name) for name in names], 0.6, -70)
    assert 6 < len(x) / RATE < 20
    said = " ".join(SAID[name] for name in names)
    heard = digits.transcribe(x, RATE)
    assert heard.text == said
    assert all(segment.end - segment.start <= 4 for segment in heard.segments)
    assert heard.segments == tuple(digits.stream(x, RATE))
    whole = digits.transcribe(x, RATE, StreamOptions(max_whole_duration=60))
    assert whole.segments == () and whole.text == utterance(digits, x) != said


def test_a_model_that_states_nothing_knows_thirty_seconds(tmp_path):
    folder = copied(tmp_path / "model")
    (folder / "s2t_np.json").unlink()
    known = s2t_np.load(folder, backend="numpy").utterance_config
    options = StreamOptions().resolve(known)
    assert known == UtteranceConfig(30.0, -1.0)
    found = (options.max_whole_duration, options.max_speech_duration, options.cut_overlap, options.logprob_threshold)
    assert found == (30.0, 28.0, 3.0, -1.0)


@pytest.mark.parametrize(
    ("longest", "expected"), [(8.0, (8.0, 6.0, 2.0)), (5.0, (5.0, 3.0, 0.5)), (60.0, (60.0, 28.0, 3.0))]
)
def test_what_a_model_states_decides_how_it_is_cut(longest, expected):
    options = StreamOptions().resolve(UtteranceConfig(longest, -0.5))
    assert (options.max_whole_duration, options.max_speech_duration, options.cut_overlap) == expected
    assert options.resolve(UtteranceConfig(30.0, -1.0)) == options  # numbers stay


def test_what_the_user_says_stays():
    given = StreamOptions(max_whole_duration=3.0, max_speech_duration=20.0, logprob_threshold=None, cut_overlap=2.5)
    assert given.resolve(UtteranceConfig(8.0, -0.25)) == given


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_whole_duration": "long"},
        {"logprob_threshold": "none"},
        {"max_whole_duration": None},
        {"vad_threshold": "model"},
    ],
)
def test_words_that_mean_nothing_are_refused(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        StreamOptions(**wrong)


def copied(folder):
    """The digits model in another folder."""
    convert(DIGITS, folder)
    return folder


def test_conversion_keeps_the_file(tmp_path):
    assert json.loads((copied(tmp_path / "model") / "s2t_np.json").read_text()) == {
        "longest_utterance": 6.0,
        "logprob_threshold": -0.25,
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"longest_utterance": 0}', "longest_utterance is 0, expected a number from 5"),
        ('{"longest_utterance": true}', "longest_utterance is True"),
        ('{"logprob_threshold": 1}', "logprob_threshold is 1, expected a number from -1000 to 0"),
        ("[]", "expected a JSON object"),
        ("{", "not valid JSON"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content, says):
    (tmp_path / "s2t_np.json").write_text(content)
    with pytest.raises(ModelError, match=rf"s2t_np\.json.*{says}"):
        UtteranceConfig.from_folder(tmp_path)


# ---- doubt


@needs_shared
def test_speech_that_the_model_was_never_taught_gives_no_text_or_a_doubtful_one():
    """Half of the recordings of ../shared; of all 60 utterances 2 give a text; of 120 of digits 5 have a flag."""
    model = s2t_np.load("digits", backend="auto")
    foreign = [model.transcribe(path) for path in sorted(LIBRISPEECH.rglob("*.flac"))[::2]]
    known = [model.transcribe(path).flags for path in sorted((SHARED / "audio" / "digits-test").glob("*.flac"))[::2]]
    assert sum(heard.text != "" and "low_logprob" not in heard.flags for heard in foreign) <= 0.05 * len(foreign)
    assert sum(heard.text == "" for heard in foreign) >= 0.8 * len(foreign)
    assert sum(map(bool, known)) <= 0.08 * len(known)


def test_a_recording_that_is_heard_well_has_no_flags(digits):
    assert all(digits.transcribe(path).flags == () for path in RECORDINGS.glob("*.flac"))
