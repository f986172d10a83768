"""The same features as transformers' Speech2TextFeatureExtractor and as kaldi-native-fbank.

transformers runs once, in a process of its own, away from this repository (it looks for a package named `kernels`). It
knows 16 kHz only; other rates are compared to kaldi-native-fbank, whose float32 arithmetic is itself up to 0.03 away
from the true values where a loud frame has an almost empty filter, which is why it is held to its own error.
"""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from s2t_np.config import FeatureConfig
from s2t_np.features import fbank, features
from tests.support.paths import DIGITS, LIBRISPEECH, ROOT
from tests.support.sounds import signal

needs_transformers = pytest.mark.skipif(not importlib.util.find_spec("transformers"), reason="needs transformers")
RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000]
UPSTREAM = """
import sys
import numpy as np
sys.modules["torchaudio"] = None  # its own numpy path is float64, torchaudio's float32
from transformers import Speech2TextFeatureExtractor
jobs, answers = np.load(sys.argv[1]), {}
for bins in (80, 24):
    for cmvn in (False, True):
        extract = Speech2TextFeatureExtractor(feature_size=bins, num_mel_bins=bins, do_ceptral_normalize=cmvn)
        for name in jobs.files:
            answers[f"{name} {bins} {cmvn}"] = extract(jobs[name], sampling_rate=16000)["input_features"][0]
np.savez(sys.argv[2], **answers)
"""


def recordings():
    """Real speech at 16 kHz: a handful of LibriSpeech where it is there, and what the package brings along."""
    import soundfile

    bundled = sorted((ROOT / "s2t_np" / "recordings").glob("*.flac"))
    paths = sorted(LIBRISPEECH.rglob("*.flac"))[::7] + bundled
    read = {path.stem: soundfile.read(path, dtype="float32") for path in paths}
    return {name: x for name, (x, rate) in read.items() if rate == 16000}


def kaldi(x, rate, bins):
    """kaldi-native-fbank's answer: (N,) -> (T, bins) float32."""
    knf = pytest.importorskip("kaldi_native_fbank")
    options = knf.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.frame_opts.snip_edges = rate, 0.0, True
    options.mel_opts.num_bins, options.mel_opts.low_freq, options.mel_opts.high_freq = bins, 20.0, 0.0
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(rate, (x * 32768).tolist())
    computer.input_finished()
    return np.array([computer.get_frame(t) for t in range(computer.num_frames_ready)])


@pytest.fixture(scope="module")
def sounds():
    noise = np.random.default_rng(5).normal(0, 0.1, 20000).astype(np.float32)
    steps = np.sign(signal(12345)).astype(np.float32)
    return recordings() | {"tones": signal(30000), "noise": noise, "steps": steps, "one frame": signal(400)}


@pytest.fixture(scope="module")
def upstream(sounds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    np.savez(folder / "jobs.npz", **sounds)
    command = [sys.executable, "-P", "-c", UPSTREAM, "jobs.npz", "answers.npz"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    with np.load(folder / "answers.npz") as answers:
        return dict(answers)


@needs_transformers
@pytest.mark.parametrize("bins", [80, 24])
def test_filterbank_of_transformers(sounds, upstream, bins):
    for name, x in sounds.items():
        theirs = upstream[f"{name} {bins} False"]
        ours = fbank(x, 16000, bins)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-4, name


@needs_transformers
@pytest.mark.parametrize("bins", [80, 24])
def test_normalised_features_of_transformers(sounds, upstream, bins):
    config = FeatureConfig(num_mel_bins=bins, feature_size=bins)
    for name, x in sounds.items():
        if name == "one frame":  # no variance at all: NaN upstream, zero here
            assert np.isnan(upstream[f"{name} {bins} True"]).all()
            assert not features(x, config).any()
            continue
        exact, theirs = features(x, config, np.float64), upstream[f"{name} {bins} True"]
        ours = features(x, config)
        assert np.abs(ours - exact).max() <= 1.5 * np.abs(theirs - exact).max(), name
        limit = 2e-3 if name in ("tones", "steps") else 1e-4  # bins that hardly move: upstream's float32 mean shows
        assert np.abs(ours - theirs).max() < limit, name


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("bins", [80, 40, 23])
def test_kaldi_native_fbank_at_any_rate(rate, bins):
    x = signal(rate, rate)
    theirs = kaldi(x, rate, bins)
    ours = fbank(x, rate, bins)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-3


def test_error_against_float64_is_no_more_than_kaldi_s(sounds):
    for name, x in sounds.items():
        exact, theirs, ours = fbank(x, 16000, dtype=np.float64), kaldi(x, 16000, 80), fbank(x, 16000)
        assert ours.shape == theirs.shape
        assert np.abs(ours - exact).max() <= 1.5 * np.abs(theirs - exact).max(), name
        assert np.abs(ours - theirs).max() <= np.abs(theirs - exact).max() + 1e-3, name
        assert np.sqrt(np.mean((ours - theirs) ** 2)) < 1e-3, name


def test_golden_utterance_is_within_a_thousandth_of_kaldi():
    import soundfile

    path = LIBRISPEECH / "dev-clean/1272/128104/1272-128104-0000.flac"
    if not path.exists():
        pytest.skip("needs ../shared (real recordings)")
    x, rate = soundfile.read(path, dtype="float32")
    difference = np.abs(fbank(x, rate) - kaldi(x, rate, 80))
    assert np.sort(difference, axis=None)[-2] < 1e-3  # one number in 46,720 is 0.0013 off in their float32
    assert difference.max() < 2e-3


def test_the_bundled_model_s_config_is_the_one_tested():
    import json

    data = json.loads((DIGITS / "preprocessor_config.json").read_text())
    config = FeatureConfig.from_dict(data)
    assert (config.num_mel_bins, config.sampling_rate, config.do_ceptral_normalize) == (80, 16000, True)
