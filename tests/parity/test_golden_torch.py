"""A pack is met by others: what hooks on every module of transformers' model write down, and Kaldi's own features."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import s2t_np
from s2t_np import audio, features
from s2t_np.inspect.golden import check, write_pack
from tests.parity.pairs import digits, small_folder, speech, upstream
from tests.support.paths import DIGITS

LAYOUTS = {"an extra batch axis", "an extra batch axis, transposed", ""}  # convolutions have their channels before time


@pytest.mark.parametrize("which, sound", [(d, i) for d in ("digits", "small") for i in (0, 1, 2)])
def test_torch_agrees(tmp_path, which, sound):
    """Stage by stage, from the sound on, but for the batch axis."""
    folder = DIGITS if which == "digits" else small_folder()
    model, samples = s2t_np.load(folder, backend="numpy"), (digits() if which == "digits" else speech())[sound]
    manifest = write_pack(model, samples, tmp_path / "pack", sampling_rate=16000)
    tokens = np.array([manifest["tokens"][:-1]])
    _, dump = upstream()("modules", {"audio.0": samples, "tokens": tokens}, folder=folder)
    np.savez(tmp_path / "dump.npz", **dump)
    report = check(tmp_path / "pack", tmp_path / "dump.npz")
    assert report.first is None, report.first
    assert len(report.findings) > 100
    assert {finding.layout for finding in report.findings} <= LAYOUTS


def kaldi_fbank(samples):
    """kaldi-native-fbank with the settings of S2T, all in float32: (N,) -> (T, 80)."""
    knf = pytest.importorskip("kaldi_native_fbank")
    options = knf.FbankOptions()
    options.frame_opts.dither, options.mel_opts.num_bins, options.energy_floor = 0, 80, 0
    fbank = knf.OnlineFbank(options)
    fbank.accept_waveform(16000, (samples * 32768).tolist())
    fbank.input_finished()
    return np.array([fbank.get_frame(i) for i in range(fbank.num_frames_ready)], np.float32)


@pytest.mark.parametrize(
    "recording", sorted((DIGITS.parent.parent / "recordings").glob("*.flac")), ids=lambda p: p.stem
)
def test_kaldi_agrees(tmp_path, recording):
    """A port that computes its features in float32 is within tolerance, and so is the memory it makes of them."""
    model = s2t_np.load("digits", backend="numpy")
    write_pack(model, recording, tmp_path / "pack")
    log_mel = kaldi_fbank(audio.load(recording, 16000))
    normalised = features.cmvn(log_mel)
    stages = {"features.log_mel": log_mel, "features.cmvn": normalised, "memory": model.encode(normalised)}
    np.savez(tmp_path / "dump.npz", **stages)
    report = check(tmp_path / "pack", tmp_path / "dump.npz")
    assert report.agrees, report.first
    assert len(report.findings) == 3
