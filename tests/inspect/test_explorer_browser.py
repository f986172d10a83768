"""The explorer's page in a real browser, from disk: it opens without errors, draws all, and shows true numbers."""

import json
import re

import numpy as np
import pytest

from s2t_np.inspect.explorer import PROGRAM, read
from s2t_np.inspect.explorer.model_map import BOXES
from s2t_np.inspect.explorer.sections import SECTIONS, views_of
from s2t_np.inspect.explorer.tour import TOUR
from tests.support.browsers import CHROMIUM, go

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")


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
def test_every_stage_is_reached_and_every_picture_drawn(opened, seen, options):
    tab = opened(**options)
    for section in SECTIONS:
        go(tab, section.id)
        views = tab.query_selector_all(f"#{section.id} .view")
        assert len(views) == len(views_of(section, seen))
        for canvas in tab.query_selector_all(f"#{section.id} canvas"):
            assert canvas.evaluate(DRAWN) > 1, section.id
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
        shown = re.fullmatch(r"\w+ (\d+)(?: \(.*?\))?, [a-z ]+ (\d+)(?: \(\d+ Hz\))?: (-?[\d.]+)", text)
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
    assert tab.inner_text("#cmvn .readout").startswith("frame 11 (0.11 s), mel bin 1 (66 Hz): ")
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
    tab.query_selector_all("#search .forest > div")[1].query_selector("button").click()
    told = tab.inner_text("#search .readout")
    assert told.startswith("\u2581two \u2581nine: log-probability ")
    assert "runs on" in told
    assert len(tab.query_selector_all("#search .candidate.line")) == 2
    assert len(tab.query_selector_all("#search .edge.line")) == 1


def test_the_tree_has_an_edge_for_every_candidate_that_continues_one(opened, seen):
    tab = opened()
    go(tab, "search")
    tab.wait_for_selector("#search .edge", state="attached")
    later = [c for c in seen.tree.candidates if np.isfinite(c.score) and c.step > seen.tree.candidates[0].step]
    assert len(tab.query_selector_all("#search .edge")) == len(later)
    assert len(tab.query_selector_all("#search .edge.best")) == len(seen.transcript.hypotheses[0].generated) - 1


def test_all_heads_stand_side_by_side_and_one_is_enlarged(opened):
    tab = opened()
    go(tab, "encoder")
    heads = tab.query_selector_all("#encoder .view.heads .grid button")
    assert len(heads) == 4
    heads[3].click()
    assert tab.get_attribute("#encoder .large canvas", "data-array") == "encoder.layers.0.self_attn.attn_weights/3"
    assert heads[3].get_attribute("aria-pressed") == "true"


def test_the_scores_and_the_feed_forward_network_are_shown(opened, seen):
    tab = opened()
    go(tab, "encoder")
    tab.select_option('#encoder select[aria-label="part"]', label="self-attention: scores of head 2")
    block = "encoder.layers.0.self_attn"
    assert tab.get_attribute("#encoder .view.inside canvas", "data-array") == f"{block}.scores/2"
    q, k = (seen[f"{block}.{name}"][:, 64:96].astype(np.float64) for name in ("q_proj", "k_proj"))
    shown = tab.evaluate(f"lookup('{block}.scores/2').at(7, 9)")
    assert abs(shown - q[7] @ k[9] / 32**0.5) < 1e-6 * abs(shown)
    tab.select_option('#encoder select[aria-label="part"]', label="feed-forward, after the ReLU")
    assert (
        tab.evaluate("lookup('encoder.layers.0.activation_fn').at(7, 9)")
        == seen["encoder.layers.0.activation_fn"][7, 9]
    )


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


@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
def test_every_box_of_the_map_opens_its_section_and_is_marked(opened, size):
    tab = opened(viewport=dict(zip(("width", "height"), size, strict=True)))
    tab.add_style_tag(content="* { overflow-anchor: none }")  # as in browsers that do not correct for growing parts
    for box in reversed(BOXES):
        tab.click(f'[data-box="{box.id}"] a.box text')
        tab.wait_for_function("id => location.hash === `#${id}`", arg=box.sections[0])
        tab.wait_for_timeout(100)
        assert 0 <= tab.evaluate(HEADING, box.sections[0]) < 0.4 * size[1], box.id
        assert tab.evaluate(CURRENT) == [box.sections[0], True]
        assert tab.get_attribute(".part.here", "data-box") == box.id


def test_the_map_marks_what_is_read_while_the_page_scrolls(opened):
    tab = opened(viewport={"width": 1200, "height": 900})
    marked = []
    for _ in range(80):
        tab.mouse.wheel(0, 400)
        tab.wait_for_timeout(60)
        marked.append(tab.evaluate(CURRENT))
    assert all(marked) and all(visible for _, visible in marked)
    order = [section.id for section in SECTIONS]
    places = [order.index(name) for name, _ in marked]
    assert places == sorted(places) and set(order[1:]) <= {name for name, _ in marked}


def test_the_keyboard_walks_the_map_and_opens_a_layer(opened):
    tab = opened()
    tab.focus('nav a.layer[data-layer="3"]')
    tab.keyboard.press("Enter")
    tab.wait_for_timeout(200)
    assert tab.get_attribute("#encoder canvas", "data-array") == "encoder.layers.3.self_attn.attn_weights/0"
    assert tab.evaluate("document.activeElement.id") == "encoder-title"
    tab.focus('nav a.row[href="#search"]')
    tab.keyboard.press("Enter")
    tab.wait_for_timeout(200)
    assert tab.evaluate(CURRENT) == ["search", True]


def test_the_tour_goes_by_keys_from_stop_to_stop_without_motion(opened):
    tab = opened(reduced_motion="reduce")
    tab.focus("#guide")
    tab.keyboard.press("Enter")
    for stop in TOUR:
        assert tab.inner_text("#tour-title") == stop.title
        assert tab.evaluate("document.activeElement.id") == "tour-title"
        assert 0 <= tab.evaluate(HEADING, stop.section) < 500  # at once, for motion is not wanted
        tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#tour .count") == "Stop 10 of 10"
    tab.keyboard.press("ArrowLeft")
    assert tab.inner_text("#tour .count") == "Stop 9 of 10"
    tab.keyboard.press("Escape")
    assert not tab.is_visible("#tour")
    assert tab.evaluate("document.activeElement.id") == "guide"


def test_the_welcome_can_be_dismissed(opened):
    tab = opened()
    tab.click("#welcome-close")
    assert tab.query_selector("#welcome") is None
    tab.click("#guide")
    tab.click("#tour button[aria-label='End the tour']")
    assert not tab.is_visible("#tour")


def test_pictures_have_axes_with_units_words_and_a_colour_scale(opened, seen):
    tab = opened()
    go(tab, "decoder")
    assert tab.inner_text("#cmvn .axis.x i") == "time in s"
    assert tab.inner_text("#cmvn .axis.y i") == "Hz (mel)"
    assert tab.inner_text("#spectrum .axis.y i") == "Hz"
    assert tab.inner_text("#subsampler .axis.y i") == "channel"
    spoken = [span.inner_text() for span in tab.query_selector_all("#cmvn .axis.spoken span")]
    assert spoken == seen.transcript.text.split()
    rows = [span.inner_text() for span in tab.query_selector_all("#decoder .view.cross .axis.y span")]
    assert rows == ["\u2581" + word for word in seen.transcript.text.split()] + ["</s>"]
    weights = seen["decoder.layers.2.encoder_attn.attn_weights"].mean(axis=0)
    high = float(tab.inner_text("#decoder .view.cross .scale span:nth-of-type(3)"))
    assert abs(high - weights.max()) < 0.006


RED = """canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let far = 0;
  for (let i = 0; i < pixels.length; i += 4) far += Math.abs(pixels[i] - pixels[i + 2]) > 60;
  return far / (pixels.length / 4);
}"""


def test_a_few_loud_channels_leave_the_others_their_colours(opened):
    tab = opened(color_scheme="light")
    go(tab, "subsampler")
    canvas, chooser = tab.query_selector("#subsampler canvas"), "#subsampler select.range"
    assert tab.input_value(chooser) == "channel"
    coloured = {}
    for name in ("channel", "robust", "full"):
        tab.select_option(f"{chooser} >> nth=0", name)
        coloured[name] = canvas.evaluate(RED)
    assert coloured["channel"] > coloured["robust"] > coloured["full"]


def test_parentheses_are_as_tall_as_what_they_hold(opened):
    """A fraction beside them does not stretch them; one inside does."""
    heights = opened().evaluate(
        """texts => texts.map((text) => {
          const made = math(text);
          document.body.append(made);  /* the page has looked for a font already */
          const open = [...made.querySelectorAll('mo')].filter((o) => o.textContent === '(');
          return open.map((o) => o.getBoundingClientRect().height);
        })""",
        [r"(a + b)", r"\frac{1}{2} (a + b)", r"\frac{1}{2} · (\frac{a}{b}) + (c)", r"{(\frac{a}{b})}^2 (x_{n-1})"],
    )
    (plain,), (beside,), (tall, after), (squared, low) = heights
    assert beside == pytest.approx(plain, rel=0.1) and after == pytest.approx(plain, rel=0.1)
    assert tall > 1.4 * plain and squared > 1.4 * plain
    assert low < 1.3 * plain


def test_no_part_of_a_formula_is_left_out(opened):
    """A name that the notation does not know would become a gap."""
    formulas = ["\\max{(0, \\min{(1, x)})}", "\\log_2{L}"]
    assert opened().evaluate("all => all.map((text) => math(text).textContent)", formulas) == [
        "max(0,min(1,x))",
        "log2L",
    ]
    programs = "".join(read(name) for name in PROGRAM if name != "page.math.js").replace("\\\\", "\\")
    used = set(re.findall(r"\\([a-z]{2,})", programs + "".join(section.formula for section in SECTIONS)))
    named = set(json.loads(re.search(r"FUNCTIONS = (\[.*\])", read("page.math.js"))[1]))
    assert (
        {"cos", "frac", "min"}
        <= used
        <= named | {*("frac", "sqrt", "overline", "sum", "prod", "text", "operatorname", "quad")}
    )
