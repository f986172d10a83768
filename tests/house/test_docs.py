"""README, docs and CONTRIBUTING are promises: their Python runs, what they print is true, their files are there."""

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from s2t_np.cli import build_parser
from s2t_np.errors import OptionError
from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [ROOT / "kernels" / "README.md", ROOT / "kernels" / "build" / "README.md"]
RUN = [page for page in PAGES if page.parent.name == "docs" or (page.name == "README.md" and page.parent == ROOT)]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
README = TEXTS[ROOT / "README.md"]
BLOCK = re.compile(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", flags=re.S)
SHELL = re.compile(r"^```sh\n(.*?)^```", flags=re.S | re.M)
BUNDLED = re.compile(r"s2t_np/recordings/|digits \S+/$")
UNTIL_INTERRUPTED = ("explore", "serve")  # commands that do not end by themselves; each has tests of its own
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
    assert len(README.splitlines()) <= 180


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


def commands(shell: str) -> list[str]:
    """The invocations of s2t-np in a block, without comments, pipes and redirections."""
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in shell.splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"\|(?=\s)|&&|>", line)]
    return [part for part in parts if part.startswith("s2t-np ")]


SHELLS = [(page.name, commands(block)) for page in PAGES for block in SHELL.findall(TEXTS[page]) if commands(block)]


@pytest.mark.parametrize(("page", "lines"), SHELLS, ids=[f"{page}-{i}" for i, (page, _) in enumerate(SHELLS)])
def test_every_command_is_understood_and_those_on_bundled_recordings_run(page, lines, tmp_path):
    (tmp_path / "s2t_np").symlink_to(ROOT / "s2t_np")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    for line in lines:
        arguments = shlex.split(line)[1:]
        build_parser().parse_args(arguments)
        if BUNDLED.search(line) and arguments[0] not in UNTIL_INTERRUPTED:
            if arguments[0] == "plot":
                pytest.importorskip("matplotlib", reason="needs matplotlib: the picture of the page")
            program = [sys.executable, "-m", "s2t_np", *arguments]
            how = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 120}
            done = subprocess.run(program, check=False, **how)
            assert done.returncode == 0, done.stderr


def test_a_command_that_means_nothing_would_be_seen():
    found = commands("cd x && s2t-np info --no  # s2t-np y\nffmpeg a | s2t-np transcribe - > q")
    assert found == ["s2t-np info --no", "s2t-np transcribe -"]
    with pytest.raises(OptionError, match="--no"):
        build_parser().parse_args(shlex.split(found[0])[1:])
    assert len(SHELLS) >= 8


def test_every_extra_named_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pages = "".join(TEXTS.values())
    named = {*re.findall(r"\"\.\[([a-z]+)\]\"", pages), *re.findall(r"extra `\[([a-z]+)\]`", pages)}
    assert {"hub", "plot", "test"} <= named <= set(extras)


def test_every_tool_named_exists():
    named = {name for text in TEXTS.values() for name in re.findall(r"python -m (tools(?:\.\w+)+)", text)}
    assert {"tools.bench", "tools.parity", "tools.walkthrough.page"} <= named
    places = [ROOT.joinpath(*name.split(".")) for name in named]
    assert not [p for p in places if not (p.with_suffix(".py").exists() or (p / "__main__.py").exists())]


def test_every_function_of_the_papers_exists():
    table = TEXTS[ROOT / "docs" / "architecture.md"].partition("## Papers")[2]
    names = re.findall(r"`([a-z_]+(?:\.\w+)+)`", table)
    assert len(names) >= 14
    for name in names:
        room, _, function = name.rpartition(".")
        if not hasattr(importlib.import_module(f"s2t_np.{room}"), function):
            importlib.import_module(f"s2t_np.{name}")
