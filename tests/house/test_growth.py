"""tools/bench/growth.py: its points run and measure themselves, its powers are right, its picture can be drawn."""

import json
import tracemalloc
import wave
from types import SimpleNamespace

import pytest

from tools.bench import growth, growth_point
from tools.bench.processes import write_speech
from tools.random_checkpoint import shape_config, write_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_checkpoint(tmp_path_factory.mktemp("growth") / "tiny", shape_config("tiny")))


def rows(power):
    """Two rows whose times grow with n to `power`."""
    return [{"n": n, "times": {"encoder": [9.0, 1e-3 * n**power]}, "megabytes": 100.0 + n} for n in (10, 40)]


@pytest.mark.parametrize("power", [0, 1, 2])
def test_the_power_of_growth_is_found(power, capsys):
    assert growth.power(None, rows(power)[0], "encoder") is None
    assert growth.power(*rows(power), "encoder") == pytest.approx(power)
    assert growth.table("whole", iter(rows(power))) == rows(power)
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"| {power:.2f} | 140 |")


@pytest.mark.parametrize("kind, more", [("whole", {"beams": 2}), ("segments", {}), ("files", {"count": 2})])
def test_a_point_measures_itself(kind, more, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(growth_point, "SHORT", 0.5)
    found = growth_point.point(kind, folder=folder, seconds=1, scratch=str(tmp_path), **more)
    names = {"whole": ["encoder", "generate"]}.get(kind, ["transcribe"])
    assert list(found["times"]) == names and all(t > 0 for pair in found["times"].values() for t in pair)
    json.dumps(found)


def test_every_kind_names_a_job_that_a_point_can_do(tmp_path, monkeypatch):
    monkeypatch.setattr(growth.Folders, "folder", lambda self, shape=None, **c: (tmp_path, shape_config("tiny", **c)))
    for kind, points in growth.POINTS.items():
        n, given = growth.job(kind, points[-1], growth.Folders(tmp_path, "tiny"), tmp_path)
        assert given["kind"] in growth_point.KINDS and n > 0
        assert json.dumps(given)
    assert growth.job("beams", 20, growth.Folders(tmp_path, "tiny"), tmp_path)[1]["beams"] == 20


def test_parameters_are_those_of_the_released_shape():
    assert growth.parameters(shape_config("small")) == pytest.approx(29.5e6, rel=0.01)


def test_a_point_that_fails_ends_with_its_own_words(monkeypatch):
    failed = SimpleNamespace(returncode=1, stderr="no room", stdout="")
    monkeypatch.setattr(growth.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(SystemExit, match="no room"):
        growth.measured({"kind": "whole"})


def test_the_picture_has_time_above_memory():
    pytest.importorskip("matplotlib")
    figure = growth.picture({"whole": rows(1), "beams": rows(0)})
    assert len(figure.axes) == 4 and {line.get_label() for line in figure.axes[0].lines} == {"encoder", "linear"}


def test_the_sound_that_is_measured_takes_no_memory_of_its_own(tmp_path):
    """The point writes it, so its memory is in the peak that is measured: 374 MB for an hour, when it was whole."""
    write_speech(tmp_path / "first.wav", 1)
    tracemalloc.start()
    try:
        path = write_speech(tmp_path / "long.wav", 300)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    with wave.open(str(path)) as file:
        assert file.getnframes() == 300 * 16_000
        once = file.readframes(48_000)
    assert any(once) and peak < 1e6
