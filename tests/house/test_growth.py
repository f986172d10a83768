"""tools/bench/growth.py: its points run and measure themselves, its powers are right, its picture can be drawn."""

import json
import re
import tracemalloc
import wave
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from tests.support.paths import ROOT
from tools.bench import growth, growth_page, growth_picture, growth_point
from tools.bench.processes import write_speech
from tools.random_checkpoint import shape_config, write_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_checkpoint(tmp_path_factory.mktemp("growth") / "tiny", shape_config("tiny")))


def rows(power):
    """Two rows whose times grow with n to `power`."""
    return [
        {"n": n, "point": n, "times": {"encoder": [9.0, 1e-3 * n**power]}, "megabytes": 100.0 + n} for n in (10, 90)
    ]


def figures(**kinds):
    """What --json keeps."""
    return {kind: {"machine": f"the machine of {kind}", "rows": own} for kind, own in kinds.items()}


@pytest.mark.parametrize("power", [0, 1, 2])
def test_the_power_of_growth_is_found(power):
    assert growth_page.power(None, rows(power)[0], "encoder") is None
    assert growth_page.power(*rows(power), "encoder") == pytest.approx(power)
    assert growth_page.power(*rows(power), "generate") is None
    seen = []
    last = list(growth_page.table("uncut", iter(rows(power)), seen.append))[-1]
    assert last.startswith("| 1.5 min | 9.00 s | ") and last.endswith(f"| {power:.2f} | 190 MB |")
    assert seen == rows(power)


@pytest.mark.parametrize(
    "kind, more", [("whole", {"beams": 2}), ("uncut", {}), ("segments", {}), ("files", {"count": 2})]
)
def test_a_point_measures_itself(kind, more, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(growth_point, "SHORT", 0.5)
    found = growth_point.point(kind, folder=folder, seconds=1, scratch=str(tmp_path), **more)
    assert tuple(found["times"]) == growth_page.times_of(kind) and all(
        t > 0 for pair in found["times"].values() for t in pair
    )
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


def test_kept_figures_are_not_measured_again(tmp_path, monkeypatch, capsys):
    """The hour that was measured alone comes after the shorter ones; what is named is measured, and takes its place."""
    monkeypatch.setattr(
        growth, "measured", lambda given: {"times": {"encoder": [1.0, 2.0]}, "megabytes": given["seconds"]}
    )
    monkeypatch.setattr(growth.Folders, "folder", lambda self, shape=None, **c: (tmp_path, {}))
    kept, page = tmp_path / "kept.json", tmp_path / "page.md"
    kept.write_text(json.dumps(figures(whole=rows(1), uncut=rows(2), beams=rows(0))))
    page.write_text(f"before\n{growth_page.BEGIN}\nold\n{growth_page.END}\nafter\n")
    asked = ["--from", str(kept), "--only", "uncut", "--json", str(tmp_path / "all.json"), "--page", str(page)]
    growth.main(asked)
    assert "| 1 h | 1.00 s | 2.00 s |" in capsys.readouterr().out
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith(f"\n\n{growth_page.END}\nafter\n") and "old" not in text
    rows_there = [line.split(" | ")[0] for line in text.splitlines() if " s | " in line]
    assert rows_there[:4] == ["| 10 s", "| 1.5 min", "| 10 min", "| 1 h"]
    assert "- whole, beams: the machine of" not in text and "- whole: the machine of whole\n" in text
    assert json.loads((tmp_path / "all.json").read_text())["uncut"]["rows"][1]["n"] == 3600
    growth.main(["--from", str(tmp_path / "all.json"), "--page", str(page)])
    assert page.read_text() == text


def test_a_page_without_marks_is_left_as_it_is(tmp_path):
    (tmp_path / "page.md").write_text("words")
    with pytest.raises(SystemExit, match="expected the lines"):
        growth_page.write_page({}, tmp_path / "page.md")


def test_the_page_s_figures_have_a_picture_and_marks():
    text = (ROOT / "docs" / "growth.md").read_text(encoding="utf-8")
    assert text.index("](images/growth.svg)") and text.index(growth_page.BEGIN) < text.index(growth_page.END)


def test_the_picture_has_time_above_memory():
    pytest.importorskip("matplotlib")
    figure = growth_picture.picture(figures(whole=rows(1), uncut=rows(2), beams=rows(0)))
    labels = {line.get_label() for line in figure.axes[0].lines}
    assert labels == {"encoder, in the end n^2.00", "linear"}
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["processor time, s", "peak memory, MB"]


def test_every_colour_of_the_picture_has_another_in_the_dark(tmp_path):
    pytest.importorskip("matplotlib")
    growth_picture.save_picture(figures(whole=rows(1), beams=rows(0)), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    style, rest = text.split("</style>", 1)
    used = set(re.findall(r"(?:fill|stroke): (#\w+)", rest)) - {growth_picture.GREY}  # grey is legible on both
    assert len(used) == 4
    assert all(f'[style*="fill: {colour}"] {{ fill: #' in style for colour in used)


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
