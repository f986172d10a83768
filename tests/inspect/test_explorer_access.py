"""The explorer for everyone: axe finds nothing, the keyboard reaches all, every box of the map opens in two actions."""

import pytest

from s2t_np.inspect.explorer.model_map import BOXES
from s2t_np.inspect.explorer.sections import SECTIONS
from tests.support.browsers import CHROMIUM

pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python: judges the page"
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
DRAW_ALL = "document.querySelectorAll('#story > section').forEach(section => section.draw && section.draw())"
FOLLOW = "followCell({ key: 'encoder.layers.2.fc1', r: 20, c: 30 }, { fresh: true })"


def findings(tab) -> list[str]:
    """What axe finds on the page as it stands: rule, number of places, the first place."""
    found = axe.Axe().run(tab).response["violations"]
    return [
        f"{v['id']} ({len(v['nodes'])}): {v['nodes'][0]['html'][:150]} {v['nodes'][0]['failureSummary'][:300]}"
        for v in found
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_with_panel_or_tour_open(opened, size, theme):
    tab = opened(viewport=size, color_scheme=theme, reduced_motion="reduce")
    tab.evaluate(DRAW_ALL)
    tab.evaluate(FOLLOW)
    tab.wait_for_timeout(1000)
    assert findings(tab) == []
    tab.click("#guide")
    assert findings(tab) == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_box_of_the_map_opens_in_two_keys(opened, size):
    tab = opened(viewport=size)
    for box in BOXES:
        tab.focus(f'[data-box="{box.id}"] a.box')  # the first action: the box
        tab.keyboard.press("Enter")  # the second: open it
        assert tab.evaluate("document.activeElement.id") == f"{box.sections[0]}-title"


def test_tab_reaches_every_control_and_every_one_has_a_name(opened):
    tab = opened()
    tab.evaluate(DRAW_ALL)
    nameless = """() => [...document.querySelectorAll('a, button, select, input, canvas[tabindex], [role=group]')]
      .filter(e => e.checkVisibility() && !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
        || e.textContent.trim() || e.closest('label')))
      .map(e => e.outerHTML.slice(0, 120))"""
    assert tab.evaluate(nameless) == []
    unreachable = """() => [...document.querySelectorAll('canvas')]
      .filter(c => c.tabIndex < 0 && !c.closest('button'))
      .map(c => c.outerHTML)"""
    assert tab.evaluate(unreachable) == []


def test_no_picture_moves_where_motion_is_not_wanted(opened):
    tab = opened(reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll('*')].filter(e => {
      const s = getComputedStyle(e);
      return parseFloat(s.transitionDuration) > 0 || s.animationName !== 'none' || s.scrollBehavior === 'smooth';
    }).length"""
    tab.evaluate(DRAW_ALL)
    assert tab.evaluate(moving) == 0
    assert len(SECTIONS) > 10
