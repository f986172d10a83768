"""Follow a number: what the panel shows is what the arrays hold, and every operand leads on, down to the sound."""

from functools import partial

import numpy as np
import pytest

import s2t_np
from s2t_np.inspect.explorer import STAGES, page
from s2t_np.inspect.explorer.carried import is_derived
from s2t_np.inspect.trace import trace
from s2t_np.training.saliency import gradients_of_words
from tests.support.browsers import CHROMIUM, go, opener
from tools.random_checkpoint import variant_config, write_checkpoint
from tools.signals import harmonics

from .conftest import RECORDING

pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")

CELLS = 1000
FOLLOW = """async cells => { await unpackWeights(); return cells.map(([key, r, c]) => {
  followCell({ key, r, c }, { fresh: true });
  const made = computation({ key, r, c }), a = lookup(key);
  const text = document.getElementById('follow-value').textContent;
  return [text, made.result ?? null, a !== null && a.exact, made.rounded === true];
}); }"""


@pytest.fixture(scope="module")
def short():
    """The trace of a recording so short that its page has room for every array, exact, beside the weights."""
    return trace(s2t_np.load("digits", backend="numpy"), RECORDING.with_name("five-five.flac"), STAGES)


@pytest.fixture
def opened_short(chromium, short, tmp_path):
    """A function that opens its page."""
    (tmp_path / "page.html").write_text(page(short, s2t_np.load("digits", backend="numpy")), encoding="utf-8")
    with opener(chromium, (tmp_path / "page.html").as_uri()) as open_page:
        yield open_page


def random_cells(seen, count: int) -> tuple[list, list]:
    """Cells of every array, drawn at random: their names for the page, and their numbers."""
    rng, names, cells, numbers = np.random.default_rng(16), [n for n in seen if n != "tokens"], [], []
    for i in range(count):
        name = names[i % len(names)]
        place = tuple(int(rng.integers(size)) for size in seen[name].shape)
        lead, (r, c) = place[:-2], (0, *place)[-2:]
        cells.append(["/".join([name, *map(str, lead)]), r, c])
        numbers.append(seen[name][place])
    return cells, numbers


def test_the_numbers_of_a_thousand_cells_are_those_of_the_arrays(opened_short, short):
    cells, numbers = random_cells(short, CELLS)
    shown = opened_short().evaluate(FOLLOW, cells)
    compared = 0
    for (key, _, _), number, (text, _, exact, _) in zip(cells, numbers, shown, strict=True):
        assert exact, f"{key} is not exact"
        got, true = np.float32(text.replace("\u2212", "-")), np.float32(number)
        if is_derived(key.split("/")[0]) and key.startswith(
            "features."
        ):  # sums in another order: their last digits may differ
            assert abs(got - true) <= 2e-7 * np.abs(short[key]).max(), key
        else:
            assert got == true, key
        compared += 1
    assert compared == CELLS


def test_the_formula_gives_the_number_again_from_its_operands(opened_short, short):
    cells, numbers = random_cells(short, 400)
    kinds = {True: 0, False: 0}
    for (key, _, _), number, (_, result, _, rounded) in zip(
        cells, numbers, opened_short().evaluate(FOLLOW, cells), strict=True
    ):
        if key == "samples":  # nothing in the model computed it
            continue
        scale = max(np.abs(short[key.split("/")[0]]).max(), 1e-3)
        tolerance = 3e-3 if rounded or "embed_tokens" in key else 2e-5  # weights are float16 on the page
        assert result is not None and abs(result - number) <= tolerance * scale, key
        kinds[rounded] += 1
    assert min(kinds.values()) > 100


@pytest.mark.parametrize(
    "cell",
    [("log_probs", 2, 5), ("encoder.layers.3.fc1", 20, 100), ("decoder.layers.1.encoder_attn.attn_weights/2", 3, 30)],
    ids=["a probability", "a hidden unit", "a weight"],
)
def test_every_number_leads_down_to_a_sample(opened, seen, cell):
    tab = opened()
    tab.evaluate("([key, r, c]) => followCell({ key, r, c }, { fresh: true })", cell)
    tab.click("#follow-down")
    assert tab.inner_text("#follow-stage") == "samples"
    n = tab.evaluate("thread.at(-1).c")
    assert np.float32(tab.inner_text("#follow-value")) == seen["samples"][n]
    assert tab.evaluate("thread.length") > 10
    tab.click("#follow-back")
    assert tab.inner_text("#follow-stage") == "features.frames"


def test_a_cell_is_chosen_by_mouse_and_followed_by_its_operands(opened, seen):
    tab = opened(viewport={"width": 1400, "height": 900})
    go(tab, "cmvn")
    canvas = tab.query_selector("#cmvn canvas")
    box = canvas.bounding_box()
    frames, bins = seen["features.cmvn"].shape
    canvas.click(position={"x": (100 + 0.5) * box["width"] / frames, "y": (bins - 1 - 30 + 0.5) * box["height"] / bins})
    assert np.float32(tab.inner_text("#follow-value")) == seen["features.cmvn"][100, 30]
    assert "frame 100 (1.00 s), mel bin 30" in tab.inner_text("#follow-place")
    tab.click("#follow .operands button.operand")
    assert tab.inner_text("#follow-stage") == "features.log_mel"
    assert np.float32(tab.inner_text("#follow-value")) == seen["features.log_mel"][100, 30]
    assert tab.query_selector("#follow math") is not None


def test_the_keyboard_follows_and_comes_back(opened, seen):
    tab = opened()
    go(tab, "encoder")
    tab.focus("#encoder canvas")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "follow-title"
    weights = seen["encoder.layers.0.self_attn.attn_weights"]
    assert np.float32(tab.inner_text("#follow-value")) == weights[0, 0, 1]
    tab.keyboard.press("Escape")
    assert not tab.is_visible("#follow")
    assert tab.evaluate("document.activeElement.tagName") == "CANVAS"


def test_a_word_shows_where_it_came_from(chromium, seen, tmp_path):
    model = s2t_np.load("digits", backend="numpy")
    labels = seen.transcript.hypotheses[0].generated
    by_words = partial(gradients_of_words, model, seen["features.cmvn"], labels)
    (tmp_path / "page.html").write_text(page(seen, model, gradients=by_words), encoding="utf-8")
    with opener(chromium, (tmp_path / "page.html").as_uri()) as open_page:
        tab = open_page(viewport={"width": 1400, "height": 900})
        go(tab, "words")
        tab.click("#words .origin >> xpath=.. >> .words button >> nth=2")
        canvases = tab.query_selector_all("#words .origin canvas")
        assert len(canvases) == 3  # attention to the sound, to the text, the gradient
        true = by_words([[2]])[0]
        shown = np.array(
            tab.evaluate(f"Array.from({{ length: {len(true)} }}, (_, t) => lookup('gradient:2').at(t, 40))")
        )
        assert np.abs(shown - true[:, 40]).max() <= np.ptp(true) / 255
        steps = [item.inner_text() for item in tab.query_selector_all("#words .origin ol li")]
        assert [step.split(":")[0] for step in steps] == ["\u2581two", "\u2581nine", "\u2581three"]
        assert "place 1 of 10; runs on" in steps[2]
        box = canvases[0].bounding_box()
        heads, positions = 3 * 4, seen["decoder.layers.2.encoder_attn.attn_weights"].shape[2]
        canvases[0].click(position={"x": 20.5 * box["width"] / positions, "y": 9.5 * box["height"] / heads})
        assert (
            np.float32(tab.inner_text("#follow-value")) == seen["decoder.layers.2.encoder_attn.attn_weights"][1, 2, 20]
        )


@pytest.mark.parametrize("shape", ["one-conv", "no-layers", "three-conv"])
def test_models_of_other_shapes_are_drawn_and_followed_without_errors(chromium, tmp_path, shape):
    model = s2t_np.load(write_checkpoint(tmp_path / "model", variant_config(shape)), backend="numpy")
    own = trace(model, harmonics(0, 1.0), STAGES, sampling_rate=16000, num_beams=2, max_length=6)
    (tmp_path / "page.html").write_text(page(own, model), encoding="utf-8")
    cells, numbers = random_cells(own, 100)
    with opener(chromium, (tmp_path / "page.html").as_uri()) as open_page:
        tab = open_page()
        tab.evaluate("document.querySelectorAll('#story > section').forEach(section => section.draw?.())")
        convolutions = tab.query_selector_all("#subsampler .view")
        assert len(convolutions) == 2 * model.config.num_conv_layers
        for (key, _, _), number, (text, _, exact, _) in zip(cells, numbers, tab.evaluate(FOLLOW, cells), strict=True):
            if not key.startswith("features."):
                assert exact and np.float32(text.replace("\u2212", "-")) == np.float32(number), key
