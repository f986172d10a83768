"""A pack is met by torch: what hooks on every module of transformers' model write down is a dump that agrees."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import s2t_np
from s2t_np.golden import check, write_pack
from tests.parity.pairs import digits, small_folder, speech, upstream
from tests.paths import DIGITS

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
