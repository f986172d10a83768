"""A model of 48 kHz sound, as CoVoST's are, through everything that a recording meets: nothing counts on 16 kHz.

Two models: the bundled one, told that it was trained on 48 kHz sound, whose twin at 16 kHz says where speech and words
are; and one in the shape of CoVoST with a vocabulary of characters and a head of its own.
"""

import json
import shutil

import numpy as np
import pytest

import s2t_np
from s2t_np import audio
from s2t_np.cli import main
from s2t_np.inspect.trace import trace
from tests.support.paths import DIGITS
from tools.official_folders import write_official

RATE = 48000
RECORDINGS = DIGITS.parent.parent / "recordings"
SAID = RECORDINGS / "two-nine-three-four-zero.flac"
HOP = 0.01  # seconds


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The bundled model with another sampling rate in its preprocessor_config.json."""
    folder = tmp_path_factory.mktemp("models") / "digits-48"
    shutil.copytree(DIGITS, folder, ignore=shutil.ignore_patterns("SHA256SUMS"))
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sampling_rate": RATE}))
    return s2t_np.load(folder, backend="numpy")


@pytest.fixture(scope="module")
def covost(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "s2t-small-covost2-en-de-st"
    return s2t_np.load(write_official(folder, "facebook/s2t-small-covost2-en-de-st", narrow=True), backend="numpy")


@pytest.fixture(scope="module")
def twin():
    return s2t_np.load("digits", backend="numpy")


def long_sound(rate: int) -> np.ndarray:
    """Three recordings with pauses of two seconds between: (N,) at `rate`."""
    parts = [audio.load(path, rate) for path in sorted(RECORDINGS.glob("*.flac"))[:3]]
    return np.concatenate([np.append(part, np.zeros(2 * rate, np.float32)) for part in parts])


def test_features_are_those_of_frames_of_25_ms_every_10(digits, twin):
    features = digits.features(SAID)
    assert features.shape == twin.features(SAID).shape
    tone = np.sin(2 * np.pi * 15000 * np.arange(RATE) / RATE).astype(np.float32)  # no sound at all at 16 kHz
    logs = s2t_np.features.fbank(tone, RATE, 80)
    assert np.argmax(logs.mean(axis=0)) == pytest.approx(mel_bin(15000), abs=1)


def mel_bin(hertz: float) -> float:
    """The filter of 80 from 20 Hz to 24 kHz that is centred on a frequency, on Kaldi's scale 1127 ln(1 + f/700)."""
    low, high, at = (1127 * np.log(1 + f / 700) for f in (20, RATE / 2, hertz))
    return 81 * (at - low) / (high - low) - 1


def test_a_stream_finds_the_same_speech_at_the_same_time(digits, twin):
    found = [
        list(m.stream(long_sound(m.feature_config.sampling_rate), m.feature_config.sampling_rate))
        for m in (digits, twin)
    ]
    assert len(found[0]) == len(found[1]) >= 3
    for one, other in zip(*found, strict=True):
        assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=5 * HOP)


def test_sound_of_another_rate_is_resampled(digits):
    times = [[(s.start, s.end) for s in digits.stream(long_sound(rate), rate)] for rate in (16000, RATE)]
    assert len(times[0]) >= 3 and np.allclose(*times, atol=2 * HOP)


def test_words_lie_within_the_sound_one_after_the_other(digits, covost):
    options = s2t_np.StreamOptions(word_timestamps=True)
    for model in (digits, covost):
        for segment in model.stream(long_sound(RATE), RATE, options, max_length=30):
            times = [time for word in segment.words for time in (word.start, word.end)]
            assert times == sorted(times) and [word.text.strip() for word in segment.words] == segment.text.split()
            assert not times or (segment.start - 0.5 <= times[0] and times[-1] <= segment.end + 0.5)


def test_a_trace_has_the_frames_of_the_rate(covost):
    made = trace(covost, SAID, max_length=10)
    assert made["features.frames"].shape == (len(made["features.cmvn"]), 1200)
    assert made["features.power_spectrum"].shape[1] == 1024 and made["features.mel_bank"].shape == (1024, 80)
    assert len(made["samples"]) == pytest.approx(2.4 * RATE, abs=1)


def test_the_commands(covost, capsys, tmp_path):
    (tmp_path / "corpus.tsv").write_text(f"audio\ttext\n{SAID}\tzwei neun\n")
    model = ("--model", covost.folder, "--backend", "numpy")
    for argv in (
        ("transcribe", *model, "--max-length", 20, "--word-timestamps", "--format", "json", SAID),
        ("features", *model, SAID, "-o", tmp_path / "x.npy"),
        ("score", *model, SAID, "--text", "zwei neun"),
        ("evaluate", *model, "--max-length", 20, tmp_path / "corpus.tsv", "--metric", "cer"),
        ("trace", *model, "--max-length", 10, SAID, "--html", tmp_path / "x.html"),
        ("info", "--model", covost.folder),
        ("convert", covost.folder, tmp_path / "converted"),
    ):
        assert main([*map(str, argv)]) == 0, argv
    out = capsys.readouterr().out
    assert "sampling_rate: 48000" in out and "task: translation of English speech into German text" in out
    assert json.loads(out.splitlines()[0])["duration"] == pytest.approx(2.4, abs=0.01)
    assert f'"rate": {RATE}' in (tmp_path / "x.html").read_text().replace('"rate":4', '"rate": 4')
    again = s2t_np.load(tmp_path / "converted", backend="numpy")
    assert again.feature_config.sampling_rate == RATE and not again.config.tie_word_embeddings


def test_a_text_is_scored_character_by_character(covost):
    score = covost.score(SAID, "zwei neun")
    assert covost.tokenizer.pieces(score.tokens) == [*"\u2581zwei\u2581neun", "</s>"]
    memory = covost.encode(covost.features(SAID))
    log_probs = s2t_np.ops.log_softmax(covost.logits(memory, [2, *score.tokens[:-1]]))
    assert score.log_prob == pytest.approx(
        sum(row[t] for row, t in zip(log_probs, score.tokens, strict=True)), abs=1e-4
    )
