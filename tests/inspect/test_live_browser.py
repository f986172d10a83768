"""Experiments in a real browser: muting, hiding, searching, by mouse and keys; the numbers shown are Python's."""

import re
import threading

import pytest

import s2t_np
from s2t_np.inspect.experiments import Experiment, compare, subject
from s2t_np.inspect.explorer.local_server import served
from tests.support.browsers import CHROMIUM, opener

pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")

MUTE = "#experiment button[aria-label='mute {}']"
ANSWERED = "count => Number(document.querySelector('#experiment .result').dataset.answers || 0) > count"


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def before(model, seen):
    return subject(model, seen["features.cmvn"])


@pytest.fixture(scope="module")
def tab(chromium, address):
    with opener(chromium, address) as open_page:
        tab = open_page(viewport={"width": 390, "height": 844})
        tab.click('nav a.row[href="#experiment"]')
        tab.wait_for_function(ANSWERED, arg=0)
        yield tab


def changed(tab, change) -> None:
    """Make a change and wait for its answer."""
    count = int(tab.get_attribute("#experiment .result", "data-answers"))
    change()
    tab.wait_for_function(ANSWERED, arg=count)


def start_again(tab) -> None:
    changed(tab, lambda: tab.click("#experiment .again"))


def shown(tab) -> tuple[str, list[float], float]:
    """The text, the probabilities in the table, and the largest change, as they stand on the page."""
    text = tab.inner_text("#experiment .answer:nth-of-type(2) .heard")
    now = [
        float(x)
        for x in tab.eval_on_selector_all("#experiment td.share:nth-of-type(2)", "c => c.map(x => x.textContent)")
    ]
    change = re.search(r"largest change of a logit is ([\d.]+)\.", tab.inner_text("#experiment .status"))
    return text, now, float(change[1]) if change else 0.0


def assert_pythons(tab, before, description: dict) -> None:
    """The page shows what Python computes: to the digits shown, and to what float16 weights change."""
    expected = compare(before, Experiment.from_json(description)).record()
    text, now, change = shown(tab)
    assert text == expected["after"]["text"]
    assert now == pytest.approx([step["after"] for step in expected["steps"]], abs=2e-3)
    assert change == pytest.approx(expected["largest_change"], abs=5e-3)


def test_at_first_nothing_is_changed(tab, before):
    assert_pythons(tab, before, {})
    assert "No logit has changed" in tab.inner_text("#experiment .status")


def test_a_head_and_a_layer_are_muted_by_a_click(tab, before):
    changed(tab, lambda: tab.click(MUTE.format("decoder layer 2, attention to the sound, head 0")))
    assert_pythons(tab, before, {"muted_heads": ["decoder.layers.2.encoder_attn/0"]})
    changed(tab, lambda: tab.click(MUTE.format("decoder layer 2, attention to the sound, head 0")))
    assert_pythons(tab, before, {})
    changed(tab, lambda: tab.click(MUTE.format("encoder layer 0")))
    assert_pythons(tab, before, {"muted_layers": ["encoder.layers.0"]})
    assert tab.inner_text("#experiment .answer:nth-of-type(1) del") == "two"
    assert tab.inner_text("#experiment .answer:nth-of-type(2) ins") == "six"
    start_again(tab)


def test_the_keyboard_mutes_a_head(tab, before):
    tab.focus(MUTE.format("encoder layer 0"))
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        tab.keyboard.press(key)
    assert (
        tab.evaluate("document.activeElement.getAttribute('aria-label')")
        == "mute encoder layer 1, self-attention, head 1"
    )
    changed(tab, lambda: tab.keyboard.press("Space"))
    assert tab.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert_pythons(tab, before, {"muted_heads": ["encoder.layers.1.self_attn/1"]})
    start_again(tab)


def test_positions_are_dropped(tab, before):
    changed(tab, lambda: tab.uncheck("text=encoder positions are added"))
    assert_pythons(tab, before, {"dropped_positions": ["encoder"]})
    start_again(tab)
    assert tab.is_checked("text=encoder positions are added")


def test_a_stretch_is_hidden_by_a_drag_and_a_band_by_numbers(tab, before):
    canvas = tab.query_selector("#experiment canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()

    def drag():
        tab.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 30)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 34, steps=4)
        tab.mouse.up()

    changed(tab, drag)
    first, end = (float(tab.input_value(f"#experiment input[aria-label='hide time {x}']")) for x in ("from", "to"))
    assert first == pytest.approx(0.6, abs=0.02) and end == pytest.approx(1.19, abs=0.02)
    assert_pythons(tab, before, {"masked_seconds": [first, end]})
    start_again(tab)
    tab.fill("#experiment input[aria-label='hide mel bins from']", "0")
    changed(
        tab, lambda: (tab.fill("#experiment input[aria-label='hide mel bins to']", "40"), tab.keyboard.press("Tab"))
    )
    assert_pythons(tab, before, {"masked_bins": [0, 40]})
    start_again(tab)


def test_the_search_is_switched(tab, before):
    changed(tab, lambda: tab.select_option("#experiment fieldset select >> nth=-1", "1"))
    assert_pythons(tab, before, {"num_beams": 1})
    start_again(tab)


def test_every_suggestion_has_an_answer(tab):
    for button in tab.query_selector_all("#experiment div[aria-label='Experiments to begin with'] button:not(.again)"):
        changed(tab, button.click)
        assert shown(tab)[2] > 0.01
    start_again(tab)


def test_nothing_is_wider_than_a_phone(tab):
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    fields = "e => [...e.querySelectorAll('button, input, select')]"
    unnamed = f"{fields}.filter(x => !x.textContent && !x.labels?.length && !x.ariaLabel).length"
    assert tab.eval_on_selector("#experiment", unnamed) == 0


def test_a_page_from_the_local_server_asks_it_within_its_policy(tab, model, seen, before):
    errors = []
    with served(seen, model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        other = tab.context.browser.new_page()
        other.on("pageerror", lambda error: errors.append(str(error)))
        other.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        other.goto(server.address + "#experiment")
        other.wait_for_selector("#experiment .result[data-answers='1']")
        other.click(MUTE.format("encoder layer 3"))
        other.wait_for_selector("#experiment .result[data-answers='2']")
        text, now, change = shown(other)
        server.shutdown()
        thread.join(10)
        server.server_close()
        other.click("#experiment .again")
        other.wait_for_selector("#experiment .status:has-text('the server has ended')")
        other.close()
    expected = compare(before, Experiment(muted_layers=("encoder.layers.3",)))
    assert text == expected.after.text
    assert now == pytest.approx([step["after"] for step in expected.record()["steps"]], abs=6e-4)
    assert change == pytest.approx(expected.largest_change, abs=6e-4)
    assert [error for error in errors if "ERR_CONNECTION_REFUSED" not in error] == []
