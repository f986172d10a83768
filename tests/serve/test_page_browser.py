"""The page in a real browser: a file, the microphone (Chromium's own fake one), words that play, files to keep."""

import os
import re
import shutil
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import srt

from s2t_np import audio
from s2t_np.cli import main
from tests.serve.conftest import FIVE, TWO, served

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")
FLAGS = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync".split()
FLAGS += [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
WORDS = "two nine three four zero".split()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, whose microphone hears a recording again and again."""
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    pause = np.zeros(24000, np.float32)
    soundfile.write(path, np.concatenate([pause, audio.load(TWO, 16000), pause]), 16000, subtype="PCM_16")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    flags = [*FLAGS, *sandbox, f"--use-file-for-fake-audio-capture={path}"]
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture
def opened(browser, server):
    """A function that opens the page; at the end no error may have been heard, and nothing asked of others."""
    errors, requests, contexts = [], [], []

    def open_page(address=server.url, **options):
        contexts.append(browser.new_context(accept_downloads=True, **options))
        tab = contexts[-1].new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(address)
        tab.wait_for_selector("html[data-ready]", state="attached")
        open_page.errors = errors
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not re.match(r"(http://127\.0\.0\.1:|blob:|data:)", url)] == []


def words_of(tab):
    """The words in the transcript."""
    return tab.locator("#transcript button.word").all_text_contents()


def test_a_file_becomes_words_that_play(opened):
    tab = opened()
    tab.set_input_files("#file", TWO)
    tab.wait_for_selector("#transcript .segment")
    assert words_of(tab) == WORDS
    tab.wait_for_selector("#status:has-text('s heard')")
    third = tab.locator("#transcript button.word").nth(2)
    start, end = map(float, re.findall(r"[\d.]+(?= to| s)", third.get_attribute("title"))[:2])
    third.click()
    tab.wait_for_selector("button.word.playing")
    tab.wait_for_selector("button.word.playing", state="detached")
    assert tab.evaluate("document.querySelector('#player').paused")
    assert start <= tab.evaluate("document.querySelector('#player').currentTime") <= end + 0.3


def test_a_long_file_arrives_segment_by_segment(opened, long_sound, tmp_path, capsys):
    soundfile.write(tmp_path / "long.wav", long_sound, 16000)
    tab = opened()
    tab.set_input_files("#file", tmp_path / "long.wav")
    tab.wait_for_selector("#status:has-text('s heard')")
    assert words_of(tab) == ["five"] * 24
    assert tab.locator("#transcript .segment").count() == 12
    with tab.expect_download() as download:
        tab.click("text=SubRip")
    subtitles = download.value.path().read_text()
    cues = list(srt.parse(subtitles))
    assert (
        main(["transcribe", "--model", "digits", "--word-timestamps", "--format", "srt", f"{tmp_path}/long.wav"]) == 0
    )
    assert subtitles == capsys.readouterr().out
    assert download.value.suggested_filename == "long.srt"
    assert [cue.content for cue in cues] == ["five five"] * 12
    assert all(a.end <= b.start for a, b in pairwise(cues))


def test_a_dropped_file(opened):
    tab = opened()
    data = tab.evaluate_handle(
        """async bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], 'five.flac'));
          return transfer;
        }""",
        list(FIVE.read_bytes()),
    )
    tab.dispatch_event("#drop", "drop", {"dataTransfer": data})
    tab.wait_for_selector("#transcript .segment")
    assert words_of(tab) == ["five", "five"]


def test_a_file_that_is_not_sound_is_explained(opened, tmp_path):
    (tmp_path / "x.txt").write_text("no sound at all")
    tab = opened()
    tab.set_input_files("#file", tmp_path / "x.txt")
    tab.wait_for_selector("#status.failed")
    assert "not a recording" in tab.text_content("#status")
    assert all("400" in error for error in opened.errors)  # Chromium reports the answer's status
    opened.errors.clear()


def test_the_microphone(opened):
    tab = opened(permissions=["microphone"])
    tab.click("#microphone")
    tab.wait_for_selector("#transcript .segment:not(.open)", timeout=30_000)
    assert tab.get_attribute("#microphone", "aria-pressed") == "true"
    assert words_of(tab)[-5:] == WORDS[-len(words_of(tab)) :]
    tab.click("#microphone")
    tab.wait_for_selector("#status:has-text('s heard')")
    assert tab.get_attribute("#microphone", "aria-pressed") == "false"
    assert tab.evaluate("document.querySelector('#player').src.startsWith('blob:')")
    tab.locator("#transcript button.word").first.click()
    tab.wait_for_selector("button.word.playing")
    tab.wait_for_selector("button.word.playing", state="detached")


def test_the_explorer_of_a_segment(opened):
    tab = opened()
    tab.set_input_files("#file", FIVE)
    tab.wait_for_selector("#transcript .segment")
    tab.click("text=Explore")
    tab.wait_for_selector("a.explore", timeout=60_000)
    with tab.context.expect_page() as other:
        tab.click("a.explore")
    page = other.value
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.title() == "s2t-np: five five"


def test_the_explorer_hears_every_channel(opened, tmp_path):
    """The page mixes channels as the server does: a word on the right is in the explorer too."""
    right = audio.load(FIVE, 16000)
    soundfile.write(tmp_path / "right.wav", np.stack([np.zeros_like(right), right], 1), 16000)
    tab = opened()
    tab.set_input_files("#file", tmp_path / "right.wav")
    tab.wait_for_selector("#transcript .segment")
    tab.click("text=Explore")
    tab.wait_for_selector("a.explore", timeout=60_000)
    with tab.context.expect_page() as other:
        tab.click("a.explore")
    other.value.wait_for_selector("html[data-ready]", state="attached")
    assert other.value.title() == "s2t-np: five five"


def test_everything_is_reached_by_the_keyboard(opened):
    tab = opened()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "file"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "microphone"
    tab.set_input_files("#file", FIVE)
    tab.wait_for_selector("#transcript .segment")
    for _ in range(12):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.textContent") == "five":
            break
    assert tab.evaluate("document.activeElement.matches('button.word')")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("button.word.playing")


def test_the_key_is_asked_for(opened, digits):
    with served(digits, api_key="secret-key-1") as server:
        tab = opened(server.url, permissions=["microphone"])
        tab.set_input_files("#file", FIVE)
        tab.wait_for_selector("#status.failed")
        assert "API key" in tab.text_content("#status")
        opened.errors.clear()
        tab.fill("#key", "secret-key-1")
        tab.set_input_files("#file", FIVE)
        tab.wait_for_selector("#transcript .segment")
        tab.click("#microphone")
        tab.wait_for_selector("#transcript .segment:not(.open)", timeout=30_000)
        tab.click("#microphone")


LOOKS = [("light", 1000), ("dark", 1000), ("light", 360), ("dark", 360)]


@pytest.mark.parametrize("scheme, width", LOOKS)
def test_it_fits_and_can_be_read(opened, scheme, width):
    """No scrolling to the side; every text against its background by WCAG's contrast ratio of 4.5."""
    tab = opened(color_scheme=scheme, viewport={"width": width, "height": 800})
    tab.set_input_files("#file", TWO)
    tab.wait_for_selector("#transcript .segment")
    tab.wait_for_selector("#status:has-text('s heard')")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    colours = tab.evaluate(
        """() => [...document.querySelectorAll('h1,p,button,label,span,a')]
          .filter(e => e.offsetParent && e.textContent.trim())
          .map(e => {
            const paper = e => getComputedStyle(e).backgroundColor;
            let ground = e;
            while (ground && paper(ground) === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
            return [e.textContent.trim(), getComputedStyle(e).color, paper(ground)];
          })"""
    )
    assert len(colours) > 10
    assert [text for text, ink, paper in colours if contrast(ink, paper) < 4.5] == []
    if folder := os.environ.get("S2T_NP_SCREENSHOTS"):  # for eyes
        tab.screenshot(path=f"{folder}/{scheme}-{width}.png", full_page=True)


def contrast(*colours: str) -> float:
    """The contrast ratio of two CSS colours, WCAG 2.1."""

    def luminance(colour):
        parts = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)
