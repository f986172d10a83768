"""Follow a number: what the panel shows is what the arrays hold, and every operand leads on, down to the sound."""

import numpy as np
import pytest

from s2t_np.inspect.explorer.carried import is_derived
from tests.support.browsers import CHROMIUM, go

pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")

CELLS = 1000
FOLLOW = """cells => cells.map(([key, r, c]) => {
  followCell({ key, r, c }, { fresh: true });
  const made = computation({ key, r, c }), a = lookup(key);
  return [document.getElementById('follow-value').textContent, made.result ?? null, a !== null && a.exact];
})"""


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


def test_the_numbers_of_a_thousand_cells_are_those_of_the_arrays(opened, seen):
    cells, numbers = random_cells(seen, CELLS)
    shown = opened().evaluate(FOLLOW, cells)
    compared = 0
    for (key, _, _), number, (text, _, exact) in zip(cells, numbers, shown, strict=True):
        assert exact, f"{key} is not exact"
        got, true = np.float32(text.replace("\u2212", "-")), np.float32(number)
        if is_derived(key.split("/")[0]) and key.startswith(
            "features."
        ):  # sums in another order: their last digits may differ
            assert abs(got - true) <= 2e-7 * np.abs(seen[key]).max(), key
        else:
            assert got == true, key
        compared += 1
    assert compared == CELLS


def test_the_formula_gives_the_number_again_from_its_operands(opened, seen):
    cells, numbers = random_cells(seen, 400)
    again = 0
    for (key, _, _), number, (_, result, _) in zip(cells, numbers, opened().evaluate(FOLLOW, cells), strict=True):
        if result is not None:
            scale = np.abs(seen[key.split("/")[0]]).max()
            assert abs(result - number) <= 2e-5 * max(scale, 1e-3), key
            again += 1
    assert again > 150


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
