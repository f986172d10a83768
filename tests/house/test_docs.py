"""README, docs and CONTRIBUTING are promises: their Python runs, what they print is true, their files are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [ROOT / "kernels" / "README.md", ROOT / "kernels" / "build" / "README.md"]
RUN = [page for page in PAGES if page.parent.name == "docs" or (page.name == "README.md" and page.parent == ROOT)]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
README = TEXTS[ROOT / "README.md"]
BLOCK = re.compile(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", flags=re.S)
BLOCKS = [(page.name, *match) for page in RUN for match in BLOCK.findall(TEXTS[page])]
LINKS = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^):]+)\)", TEXTS[page])]
FILES = re.compile(r"`((?:s2t_np|tools|kernels|tests|walkthrough)/[\w/.]+)`")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("page", "code", "printed"), BLOCKS, ids=[f"{b[0]}-{i}" for i, b in enumerate(BLOCKS)])
def test_every_python_block_runs_and_prints_what_is_promised(page, code, printed):
    out = run(code)
    assert "five five" in out
    if printed:
        assert out == printed


def test_there_are_blocks_to_run():
    assert len(BLOCKS) >= 7
    assert sum(bool(printed) for *_, printed in BLOCKS) >= 1


def test_the_first_command_says_five_five():
    command = re.search(r"&& s2t-np (transcribe --model digits \S+)\n", README)[1]
    assert run(f"from s2t_np.cli import main; raise SystemExit(main({command.split()!r}))") == "five five\n"


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 170


@pytest.mark.parametrize(("page", "link"), LINKS, ids=[f"{page.name}-{link}" for page, link in LINKS])
def test_every_link_leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.M)
        assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("name", sorted({name for text in TEXTS.values() for name in FILES.findall(text)}))
def test_every_file_named_exists(name):
    if name == "kernels/ops/scale.py":  # the example of a kernel that is to be added
        return
    assert Path(ROOT / name).exists()


def test_the_index_names_every_page():
    index = TEXTS[ROOT / "docs" / "README.md"]
    assert not [page.name for page in PAGES if page.parent.name == "docs" and f"]({page.name})" not in index][1:]


def test_every_command_is_in_the_readme():
    from s2t_np.cli import COMMANDS

    assert not [command.name for command in COMMANDS if f"`s2t-np {command.name} " not in README]
