"""A page that was served asks its server for what it does not carry: numbers, weights, gradients. In a real browser."""

import threading

import numpy as np
import pytest

import s2t_np
from s2t_np.inspect import explorer
from s2t_np.inspect.explorer import STAGES
from s2t_np.inspect.explorer.local_server import served
from s2t_np.inspect.trace import trace
from s2t_np.training.saliency import explaining
from tests.support.browsers import CHROMIUM, go

from .conftest import RECORDING
from .test_explorer_follow import random_cells

pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")

FOLLOW = """async cells => { const found = []; for (const [key, r, c] of cells) {
  followCell({ key, r, c }, { fresh: true });
  const panel = document.getElementById('follow');
  while (panel.getAttribute('aria-busy') === 'true') await new Promise(requestAnimationFrame);
  const made = computation({ key, r, c });
  found.push([document.getElementById('follow-value').textContent, made.result ?? null, lookup(key).exact]);
} return found; }"""


@pytest.fixture(scope="module")
def short():
    """The trace of a short recording."""
    return trace(s2t_np.load("digits", backend="numpy"), RECORDING.with_name("five-five.flac"), STAGES)


@pytest.fixture(scope="module")
def running(short):
    """The server of its page, which has room for the pictures only, and those in 256 steps."""
    model = s2t_np.load("digits", backend="numpy")
    gradients = explaining(model, short["features.cmvn"], short.transcript.hypotheses[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explorer, "BUDGET", 0)
        server = served(short, model, gradients)
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def tab(chromium, running):
    """The page, whose console stays empty."""
    errors, tab = [], chromium.new_page(viewport={"width": 1400, "height": 900})
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.goto(running.address)
    tab.wait_for_function("document.documentElement.dataset.ready")
    yield tab
    tab.close()
    assert errors == []


def test_every_number_is_the_model_s_and_comes_again_from_its_operands(tab, short):
    assert tab.evaluate("Object.keys(data.arrays).some((key) => key.includes('fc1'))") is False
    cells, numbers = random_cells(short, 300)
    for (key, _, _), number, (text, result, exact) in zip(cells, numbers, tab.evaluate(FOLLOW, cells), strict=True):
        scale = max(np.abs(short[key.split("/")[0]]).max(), 1e-3)
        got = np.float32(text.replace("\u2212", "-"))
        assert exact and abs(got - np.float32(number)) <= 2e-7 * scale * key.startswith("features."), key
        if key != "samples":
            assert result is not None and abs(result - number) <= 2e-5 * scale, key


def test_a_number_that_is_not_carried_leads_down_to_a_sample(tab, short):
    tab.evaluate("followCell({ key: 'log_probs', r: 1, c: 5 }, { fresh: true })")
    tab.click("#follow-down")
    tab.wait_for_selector("#follow-stage:has-text('samples')")
    assert np.float32(tab.inner_text("#follow-value")) == short["samples"][tab.evaluate("thread.at(-1).c")]


def test_the_inside_of_every_layer_is_fetched_when_it_is_chosen(tab, short):
    go(tab, "encoder")
    view = "#encoder .view.inside"
    assert tab.locator(f"{view} select[aria-label='layer'] option").count() == len(
        [name for name in short if name.startswith("encoder.layers") and name.endswith("fc1")]
    )
    tab.select_option(f"{view} select[aria-label='layer']", "3")
    tab.select_option(f"{view} select[aria-label='part']", label="feed-forward, after the ReLU")
    tab.wait_for_selector(f"{view} canvas[data-array='encoder.layers.3.activation_fn']")
    tab.focus(f"{view} canvas")
    tab.keyboard.press("ArrowRight")
    told, number = tab.inner_text(f"{view} .readout").rsplit(": ", 1)
    assert told == "position 1 (0.04 s), feature 0"
    assert float(number) == pytest.approx(short["encoder.layers.3.activation_fn"][1, 0], abs=1e-5)
    tab.select_option(f"{view} select[aria-label='part']", label="self-attention: scores of head 2")
    tab.wait_for_selector(f"{view} canvas[data-array='encoder.layers.3.self_attn.scores/2']")


def test_the_gradient_is_computed_by_a_button_and_then_with_every_word(tab, short):
    go(tab, "words")
    canvas = "#words .origin canvas >> nth=2"
    assert not tab.locator(canvas).is_visible()
    tab.click("text=Compute it")
    tab.wait_for_selector("#words .origin canvas[data-array='gradient:0']")
    tab.click("#words .view.origin .words button >> nth=1")
    tab.wait_for_selector("#words .origin canvas[data-array='gradient:1']")
    assert tab.inner_text("#words .origin .readout >> nth=2") == ""


def test_without_its_server_the_page_says_so_and_goes_on(chromium, short):
    model = s2t_np.load("digits", backend="numpy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explorer, "BUDGET", 0)
        server = served(short, model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    tab = chromium.new_page()
    tab.goto(server.address)
    tab.wait_for_function("document.documentElement.dataset.ready")
    server.shutdown()
    thread.join(10)
    server.server_close()
    tab.evaluate("followCell({ key: 'encoder.layers.0.fc1', r: 1, c: 5 }, { fresh: true })")
    tab.wait_for_selector("#follow-status:has-text('the server has ended')")
    assert tab.inner_text("#follow-value") == "not on this page"
    go(tab, "words")
    assert "A network of this kind has no gradients here." in tab.inner_text("#words .origin >> nth=-1")
    tab.close()
