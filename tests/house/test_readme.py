"""The README is a promise: its Python runs, its walkthrough prints what it says it prints, its files are there."""

import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", README, flags=re.S)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("code, printed", BLOCKS, ids=range(len(BLOCKS)))
def test_every_python_block_runs_and_prints_what_is_promised(code, printed):
    out = run(code)
    assert "five five" in out
    if printed:
        assert out == printed


def test_the_first_command_says_five_five():
    command = re.search(r"&& s2t-np (transcribe --model digits \S+)\n", README)[1]
    assert run(f"from s2t_np.cli import main; raise SystemExit(main({command.split()!r}))") == "five five\n"


def test_the_walkthrough_is_there_and_has_its_output():
    assert len(BLOCKS) >= 3
    assert sum(bool(printed) for _, printed in BLOCKS) >= 1


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)|`(s2t_np/[\w/.]+|tools/[\w.]+)`", README))))
def test_every_file_named_exists(path):
    assert (ROOT / (path[0] or path[1])).exists()
