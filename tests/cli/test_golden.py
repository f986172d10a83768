"""The sub-commands `golden` and `check`: what they refuse. The packs themselves are tested with inspect/golden."""

import json

import numpy as np
import pytest
import soundfile

from tests.support.paths import DIGITS

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"


def test_a_large_pack_is_written_only_if_asked_for(run, tmp_path):
    samples, rate = soundfile.read(FIVE)
    soundfile.write(tmp_path / "long.wav", np.resize(samples, 60 * rate), rate)
    code, out, err = run("golden", "digits", tmp_path / "long.wav", "-o", tmp_path / "pack")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "MB, more than the limit of 500 MB" in err and "--limit" in err
    assert not (tmp_path / "pack").exists()


def test_standard_input(run, tmp_path, monkeypatch):
    with open(FIVE, "rb") as file:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": file}))
        assert run("golden", "digits", "-", "-o", tmp_path / "pack")[0] == 0
    manifest = json.loads((tmp_path / "pack" / "manifest.json").read_text())
    assert manifest["audio"]["file"] is None


@pytest.mark.parametrize("missing", ["pack", "dump.npz"])
def test_a_pack_or_dump_that_is_missing_is_a_usage_error(run, tmp_path, missing):
    for name in {"pack", "dump.npz"} - {missing}:
        (tmp_path / name).mkdir()
    code, out, err = run("check", tmp_path / "pack", tmp_path / "dump.npz")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{tmp_path / missing}: no such file or folder" in err
