"""The explorer's page in a real browser, from disk: it opens without errors, draws all, and shows true numbers."""

import os
import re
import shutil

import numpy as np
import pytest

import s2t_np
from s2t_np.inspect.explorer import STAGES, page
from s2t_np.inspect.explorer.sections import SECTIONS
from s2t_np.inspect.trace import trace
from tests.support.paths import DIGITS

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")

RECORDING = DIGITS.parent.parent / "recordings" / "two-nine-three-four-zero.flac"
FLAGS = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync".split()


@pytest.fixture(scope="module")
def seen():
    return trace(s2t_np.load("digits", backend="numpy"), RECORDING, STAGES)


@pytest.fixture(scope="module")
def address(tmp_path_factory, seen):
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    path.write_text(page(seen, s2t_np.load("digits", backend="numpy")), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def chromium():
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS + sandbox)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, address):
    """A function that opens the page; at the end no error may have been heard, and nothing asked of a network."""
    errors, requests, contexts = [], [], []

    def open_page(**options):
        contexts.append(chromium.new_context(**options))
        tab = contexts[-1].new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(address)
        tab.wait_for_function("document.documentElement.dataset.ready")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def go(tab, section: str) -> None:
    """Follow the link to a section and wait until it is drawn."""
    tab.click(f'nav a.row[href="#{section}"]')
    tab.wait_for_function(f"document.getElementById('{section}').dataset.drawn")


DRAWN = """canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer)).size;
}"""


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True},
    ],
    ids=["desk", "phone"],
)
def test_every_stage_is_reached_and_every_picture_drawn(opened, options):
    tab = opened(**options)
    for section in SECTIONS:
        go(tab, section.id)
        views = tab.query_selector_all(f"#{section.id} .view")
        assert len(views) == len(section.views)
        for canvas in tab.query_selector_all(f"#{section.id} canvas"):
            assert canvas.evaluate(DRAWN) > 2, section.id
    assert tab.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]
    assert tab.evaluate("document.documentElement.dataset.theme") == options["color_scheme"]


POINT = """(canvas, [x, y]) => {
  const box = canvas.getBoundingClientRect();
  const place = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
  canvas.dispatchEvent(new PointerEvent('pointermove', place));
}"""
PICTURES = [
    ("cmvn", "features.cmvn", True),
    ("log-mel", "features.log_mel", True),
    ("memory", "encoder.layer_norm", True),
    ("positions", "encoder.embed_positions", True),
    ("encoder", "encoder.layers.0.self_attn.attn_weights", False),
]


@pytest.mark.parametrize(("section", "stage", "across"), PICTURES)
def test_the_numbers_shown_are_those_of_the_arrays(opened, seen, section, stage, across):
    tab = opened()
    go(tab, section)
    array = seen[stage]
    array = array[0] if array.ndim == 3 else array
    canvas = tab.query_selector(f"#{section} canvas")
    canvas.scroll_into_view_if_needed()
    rng = np.random.default_rng(1)
    for _ in range(5):
        r, c = int(rng.integers(array.shape[0])), int(rng.integers(array.shape[1]))
        width, height = array.shape if across else array.shape[::-1]
        x, y = (r, height - 1 - c) if across else (c, r)
        canvas.evaluate(POINT, [(x + 0.5) / width, (y + 0.5) / height])
        text = tab.inner_text(f"#{section} .readout")
        shown = re.fullmatch(r"\w+ (\d+)(?: \(.*?\))?, [a-z ]+ (\d+): (-?[\d.]+)", text)
        assert (int(shown[1]), int(shown[2])) == (r, c)
        last_place = 10.0 ** -len(shown[3].partition(".")[2])
        assert abs(float(shown[3]) - array[r, c]) <= 1.01 * last_place


def test_a_click_on_a_word_shows_where_the_model_listened(opened, seen):
    tab = opened()
    go(tab, "decoder")
    words = tab.query_selector_all("#decoder .words button")
    assert [word.inner_text() for word in words] == seen.transcript.text.split()
    words[2].click()
    assert words[2].get_attribute("aria-pressed") == "true"
    assert len(tab.query_selector_all(".stretch")) == 2  # on the attention and on the wave
    left = float(tab.evaluate("parseFloat(document.querySelector('.stretch').style.left)")) / 100
    attention = seen["decoder.layers.2.encoder_attn.attn_weights"].mean(axis=0)[2]
    assert abs(left * seen.transcript.duration - 0.04 * attention.argmax()) < 0.5
    words[2].click()
    assert tab.query_selector_all(".stretch") == []


def test_the_keyboard_is_enough(opened):
    tab = opened()
    go(tab, "cmvn")
    tab.focus("#cmvn canvas")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    tab.keyboard.press("ArrowUp")
    assert tab.inner_text("#cmvn .readout").startswith("frame 11 (0.11 s), mel bin 1: ")
    tab.focus("#samples canvas")
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#clock") == "0.10 s"
    go(tab, "encoder")
    before = tab.get_attribute("#encoder canvas", "data-array")
    tab.select_option('#encoder select[aria-label="head"]', "1")
    assert tab.get_attribute("#encoder canvas", "data-array") != before


def test_the_tree_tells_what_became_of_a_candidate(opened):
    tab = opened()
    go(tab, "search")
    tab.query_selector_all("#search .columns > div")[1].query_selector("button").click()
    told = tab.inner_text("#search .readout")
    assert told.startswith("\u2581two \u2581nine: log-probability ")
    assert "runs on" in told
    assert len(tab.query_selector_all("#search .line")) == 2


def test_light_and_dark_can_be_switched(opened):
    tab = opened(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(ground)
    tab.click("#theme")
    assert tab.evaluate(ground) != light


HEADING = "id => document.querySelector(`#${id} h2`).getBoundingClientRect().top"
CURRENT = """() => {
  const link = document.querySelector('nav a[aria-current]'), bar = document.querySelector('nav');
  if (!link) return null;
  const a = link.getBoundingClientRect(), b = bar.getBoundingClientRect();
  const seen = a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  return [link.getAttribute('href').slice(1), seen];
}"""
SIZES = [(1200, 900), (390, 844)]


@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
def test_a_click_on_the_last_stage_lands_on_its_heading(opened, size):
    tab, last = opened(viewport=dict(zip(("width", "height"), size, strict=True))), SECTIONS[-1].id
    go(tab, last)
    tab.wait_for_timeout(800)
    assert 0 <= tab.evaluate(HEADING, last) < 0.3 * size[1]
    assert tab.evaluate(CURRENT) == [last, True]


@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
def test_at_the_end_of_the_page_a_stage_is_marked_and_visible_in_the_bar(opened, size):
    tab = opened(viewport=dict(zip(("width", "height"), size, strict=True)))
    for _ in range(3):  # sections are drawn as they come near, and the page grows
        tab.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        tab.wait_for_timeout(400)
    assert tab.evaluate(CURRENT) == [SECTIONS[-1].id, True]
