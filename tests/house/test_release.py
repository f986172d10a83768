"""A release has the contents it should have, and the same bytes wherever and whenever it is built."""

import gzip
import json
import os
import shutil
import subprocess
import tarfile
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.release import building, contents
from tools.release.bill import bill, installed

pytestmark = pytest.mark.slow
EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The tracked files that are there."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a clone: the tracked files are git's to know")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def source(tracked, tmp_path_factory) -> Path:
    """A clean checkout, with the changes that are not committed yet."""
    folder = tmp_path_factory.mktemp("release") / "source"
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def twice(source, tmp_path_factory):
    """Two builds, in two places, of files of other ages and modes, under other masks."""
    pytest.importorskip("build", reason="needs build: builds releases")
    pytest.importorskip("setuptools", minversion="77", reason="needs setuptools 77: builds wheels")
    work, built = tmp_path_factory.mktemp("builds"), []
    for name, mask in (("one", 0o022), ("another-place", 0o077)):
        before = os.umask(mask)
        built.append(building.built(source, work / name, EPOCH))
        os.umask(before)
        for path in source.rglob("*.py"):
            os.utime(path, (time.time() - 5000, time.time() - 5000))
            path.chmod(0o600)
    return built


def test_two_builds_have_the_same_bytes(twice):
    names = [[path.name for path in paths] for paths in twice]
    assert names[0] == names[1] and [Path(name).suffix for name in names[0]] == [".whl", ".gz"]
    for one, other in zip(*twice, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_an_archive_says_nothing_of_this_machine(twice):
    with tarfile.open(twice[0][1]) as archive:
        members = archive.getmembers()
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", EPOCH)}
    assert {m.mode for m in members} == {0o644, 0o755}
    with zipfile.ZipFile(twice[0][0]) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    assert str(ROOT).encode() not in gzip.decompress(twice[0][1].read_bytes())


def test_wheel_and_sdist_hold_what_is_listed(twice, tracked):
    assert [line for path in twice[0] for line in contents.differences(path, tracked)] == []


def test_a_file_more_or_less_is_found(twice, tracked):
    wheel, sdist = twice[0]
    less = [name for name in tracked if name not in ("s2t_np/ops.py", "docs/faq.md")]
    assert contents.differences(wheel, less) == [f"{wheel.name} holds s2t_np/ops.py, which is not expected"]
    assert f"{sdist.name} holds docs/faq.md, which is not expected" in contents.differences(sdist, less)
    more = [*tracked, "kernels/new.py"]
    assert contents.differences(wheel, more) == [f"{wheel.name} lacks s2t_np_kernels/new.py"]


def test_changes_that_are_not_committed_are_no_release(tmp_path):
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@x")
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x")):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    (tmp_path / "new.py").write_text("")
    with pytest.raises(building.BuildError, match=r"1 changes are not committed, such as '\?\? new.py'"):
        building.checked_out(tmp_path, tmp_path / "out")


def test_the_bill_names_every_package_that_comes_along():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = bill(ROOT, project, EPOCH, {"a.whl": "0" * 64})
    assert text == bill(ROOT, project, EPOCH, {"a.whl": "0" * 64}) != bill(ROOT, project, EPOCH + 1, {})
    record = json.loads(text)
    assert (record["bomFormat"], record["specVersion"]) == ("CycloneDX", "1.6")
    assert record["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    names = {component["name"] for component in record["components"]}
    assert {"numpy", "numba", "llvmlite", "scipy", "soundfile", "sentencepiece", "cffi", "pycparser"} <= names
    assert not {"pytest", "starlette", "torch"} & names, "extras do not come along"
    models = [component for component in record["components"] if component["type"] == "machine-learning-model"]
    assert models[0]["hashes"][0]["content"] == building.digest(ROOT / models[0]["name"])
    edges = {
        edge["ref"].split("@")[0]: [ref.split("@")[0] for ref in edge["dependsOn"]] for edge in record["dependencies"]
    }
    assert set(edges["pkg:pypi/numba"]) == {"pkg:pypi/llvmlite", "pkg:pypi/numpy"}
    assert len(installed(project["dependencies"])) == len(edges) - 1
