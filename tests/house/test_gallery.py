"""The gallery shows what its script makes: the same pictures, small, each with a text for those who cannot see it."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tools.gallery.scenes import SCENES
from tools.gallery.stage import as_html, command, joined, terminal_page

IMAGES = ROOT / "docs" / "images"
SHOWN = re.findall(r"!\[(.*?)\]\(images/(.*?)\)", (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8"))


def test_every_scene_is_shown_once_and_every_picture_has_a_scene():
    names = sorted(f"{scene.__name__}.webp" for scene in SCENES)
    assert sorted(name for _, name in SHOWN) == names == sorted(path.name for path in IMAGES.glob("*.webp"))


def test_pictures_are_webp_and_small_and_have_a_text():
    files = [IMAGES / name for _, name in SHOWN]
    assert all(file.read_bytes()[8:12] == b"WEBP" for file in files)
    assert sum(file.stat().st_size for file in files) < 700_000
    assert all(len(text.split()) >= 8 for text, _ in SHOWN)


def test_colours_of_a_terminal_become_elements():
    text = "a <b> \x1b[31mred\x1b[39m \x1b[33myellow\x1b[39m\x1b[K\n50 %\r100 %\n"
    assert as_html(text) == ('a &lt;b&gt; <span class="red">red</span> <span class="yellow">yellow</span>\n100 %\n')
    assert "$ s2t-np x &lt;y&gt;</b>\nz</pre>" in terminal_page([("s2t-np x <y>", "z\n")])


def test_a_command_is_run_on_a_terminal(tmp_path):
    assert "s2t-np" in command("s2t-np --version", tmp_path)


def test_joined_recordings_have_pauses_and_no_clipping():
    sound = joined(["five-five"], gap=2.0)
    assert 0.85 < abs(sound).max() <= 0.9 and abs(sound[-16000:]).max() < 0.05


@pytest.mark.slow
def test_a_scene_is_made(tmp_path):
    pytest.importorskip("playwright", reason="needs playwright: drives a browser")
    pytest.importorskip("PIL", reason="needs Pillow: writes WebP")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("needs chromium: draws the pictures")
    program = [sys.executable, "-m", "tools.gallery", "confidence", "-o", str(tmp_path)]
    done = subprocess.run(program, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "confidence.webp").stat().st_size > 5_000


def test_an_unknown_scene_is_refused():
    program = [sys.executable, "-m", "tools.gallery", "moon"]
    done = subprocess.run(program, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "moon: not a scene; there are subtitles, plot" in done.stderr
