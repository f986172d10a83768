"""The walkthroughs as pages: contents, links, labelled pictures and sounds, nothing from a network."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from tests.support.paths import ROOT
from tests.support.walkthroughs import FOLDER, NAMES, helper
from tools.walkthrough.page import STYLE, slug, without_drawing
from tools.walkthrough.percent import cells

needs_markdown = pytest.importorskip("markdown_it", reason="needs markdown-it-py: pages of the walkthrough")
needs_pygments = pytest.importorskip("pygments", reason="needs Pygments: pages of the walkthrough")
pytestmark = pytest.mark.slow


class Seen(HTMLParser):
    """What a page has: ids, links, and elements with their attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.elements = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.elements.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "tools.walkthrough.page", "-o", str(folder)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_every_link_leads_to_a_place_of_these_pages(pages):
    seen = {name: Seen(text) for name, text in pages.items()}
    assert {*NAMES, "index", "answers", "hear", "show"} == set(pages)
    for name, page in seen.items():
        assert len(page.ids) == len(set(page.ids)), name
        for link in page.links:
            target, _, anchor = link.partition("#")
            other = seen[target.removesuffix(".html") if target else name]
            assert not anchor or anchor in other.ids, f"{name}: {link}"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_a_title_contents_and_all_its_chapters(pages, name):
    script = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    title = re.search(r"^# # (.*)$", script, flags=re.M)[1]
    assert f"<title>{title} - s2t-np</title>" in pages[name] and pages[name].count("<h1") == 1
    chapters = re.findall(r"^# ## (.*)$", script, flags=re.M)
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", pages[name]) == chapters
    assert all(f'<li><a href="#{slug(chapter)}">{chapter}</a></li>' in pages[name] for chapter in chapters)
    exercises = re.findall(r"^def check_(\w+)", script, flags=re.M)
    assert all(f'href="answers.html#{exercise}"' in pages[name] for exercise in exercises)
    assert all(f'href="{name}.html#{exercise}"' in pages["answers"] for exercise in exercises)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_and_sounds_have_names_and_take_the_colour_of_the_text(pages, name):
    pytest.importorskip("matplotlib", reason="needs matplotlib: the pictures of the walkthrough")
    elements = Seen(pages[name]).elements
    pictures = [found for tag, found in elements if tag == "svg"]
    sounds = [found for tag, found in elements if tag == "audio"]
    assert len(pictures) >= 7 and len(sounds) >= 2
    assert all(found["role"] == "img" and len(found["aria-label"].split()) >= 3 for found in pictures)
    assert all(len(found["aria-label"].split()) >= 3 for found in sounds)
    assert pages[name].count("<figcaption>") == len(pictures) + len(sounds)
    assert "currentColor" in pages[name] and "#010203" not in pages[name]
    assert not [found for tag, found in elements if tag == "image" and "aria-label" in found]


def test_nothing_comes_from_a_network_and_no_script_runs(pages):
    names = re.compile(r'"http://(www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)[^"]*"')
    for name, text in pages.items():
        assert "<script" not in text
        assert not [link for tag, found in Seen(text).elements for link in fetched(tag, found)], name
        assert "url(http" not in names.sub("", text)


def fetched(tag, attributes) -> list[str]:
    """What a browser would load for an element, but for what stands in the page itself."""
    links = [attributes.get(key, "") for key in ("src", "srcset", "poster", "data")]
    links += [attributes.get(key, "") for key in ("href", "xlink:href") if tag in ("link", "image", "use", "script")]
    return [link for link in links if link and not link.startswith(("data:", "#"))]


def luminance(colour: str) -> float:
    """The relative luminance of #rgb or #rrggbb (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_read_on_light_and_on_dark():
    assert round(contrast("#fff", "#767676"), 2) == 4.54  # as WebAIM's checker says
    themes = [dict(re.findall(r"--(\w+): (#\w+)", part)) for part in STYLE.read_text().split("@media")[:2]]
    assert len(themes[0]) == len(themes[1]) == 11
    for theme in themes:
        grounds = theme.pop("ground"), theme.pop("soft")
        theme.pop("line")  # an ornament
        assert all(contrast(ink, ground) >= 4.5 for ink in theme.values() for ground in grounds)
        show = helper("show")
        curves = (*show.COLOURS, *show.FATES.values())
        assert all(contrast(curve, grounds[0]) >= 3 for curve in curves), grounds


def test_pages_are_small(pages):
    assert max(map(len, pages.values())) < 1_500_000


def test_what_fails_is_said_with_the_line_of_the_script(tmp_path, monkeypatch):
    from tools.walkthrough import page as walkthrough_page

    monkeypatch.syspath_prepend(FOLDER)
    script = tmp_path / "broken.py"
    script.write_text("# %% [markdown]\n# # Title\n\n# %%\nassert 1 == 2\n")
    with pytest.raises(AssertionError) as error:
        walkthrough_page.walk(script)
    last = error.traceback[-1]
    assert (last.path.name, last.lineno + 1) == ("broken.py", 5)


def test_cells_keep_their_lines():
    found = list(cells("import a\n\n# %% [markdown]\n# # T\n#\n# text\n\n# %%\n\nx = 1\n\n# %%\n"))
    assert [tuple(cell) for cell in found] == [
        (False, 1, "import a"),
        (True, 4, "# T\n\ntext"),
        (False, 10, "x = 1"),
    ]


def test_the_calls_that_end_a_cell_are_parted_from_its_code():
    code = 'x = 1\nshow.heat(x, "a")\ny = 2\nshow.heat(\n    y,\n    "b",\n)'
    assert without_drawing(code) == ('x = 1\nshow.heat(x, "a")\ny = 2', 'show.heat(\n    y,\n    "b",\n)')
    assert without_drawing('show.sound(x, "a")') == ("", 'show.sound(x, "a")')
