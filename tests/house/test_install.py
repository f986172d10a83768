"""The package as users get it: a wheel, a source distribution, an editable installation, a clone.

transformers imports Hugging Face's package `kernels`. A stand-in for it is installed beside ours, in both orders, and
each has to survive the other's removal.
"""

import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow
pytest.importorskip("setuptools", minversion="77", reason="needs setuptools 77: builds wheels")

BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"
IGNORED = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "*.egg-info", ".pytest_cache", ".ruff_cache")
FIVE = ROOT / "s2t_np" / "recordings" / "five-five.flac"
STAND_IN = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "kernels"
version = "9"
[tool.setuptools]
packages = ["kernels"]
"""


def run(*command, cwd, **environment) -> str:
    """What a program prints, started outside of the clone unless `cwd` says otherwise."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(kind: str, source: Path, target: Path) -> Path:
    """The wheel or sdist made of a source tree."""
    return target / run(sys.executable, "-c", BUILD, kind, target, cwd=source).splitlines()[-1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the clone, for builds leave files behind."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("tree") / "s2t-np", ignore=IGNORED))


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory) -> Path:
    return built("wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory) -> Path:
    return built("sdist", tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory) -> Path:
    """A wheel with a top-level package `kernels` of somebody else's."""
    source = tmp_path_factory.mktemp("standin")
    (source / "pyproject.toml").write_text(STAND_IN)
    (source / "kernels").mkdir()
    (source / "kernels" / "__init__.py").write_text("def get_kernel(): return 'theirs'\n")
    return built("wheel", source, tmp_path_factory.mktemp("standin_wheel"))


class Environment:
    """A virtual environment that sees this one's dependencies after its own packages."""

    def __init__(self, folder: Path):
        venv.create(folder, with_pip=True, symlinks=os.name == "posix")
        self.folder = folder
        self.python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        packages = Path(self.run("-c", "import site; print(site.getsitepackages()[0])").strip())
        shutil.rmtree(packages / "setuptools", ignore_errors=True)  # Python 3.11 brings one that is too old
        shutil.rmtree(packages / "pkg_resources", ignore_errors=True)
        (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))

    def run(self, *arguments, **environment) -> str:
        return run(self.python, *arguments, cwd=self.folder, **environment)

    def pip(self, *arguments) -> None:
        self.run("-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)

    def install(self, *what) -> None:
        self.pip("install", "--no-deps", "--no-build-isolation", "--force-reinstall", "--no-index", *what)

    def check_ours(self) -> None:
        """The command works with compiled kernels, which are found where s2t_np is."""
        command = ("-m", "s2t_np", "transcribe", "--model", "digits", "--backend", "numba", FIVE)
        assert self.run(*command) == "five five\n"
        code = "import s2t_np, s2t_np_kernels.backend as k; print(s2t_np.__file__); print(k.__file__)"
        assert len({Path(line).parents[1] for line in self.run("-c", code).splitlines()}) == 1

    def check_theirs(self) -> None:
        assert self.run("-c", "from kernels import get_kernel; print(get_kernel())") == "theirs\n"


@pytest.fixture
def environment(tmp_path) -> Environment:
    return Environment(tmp_path / "venv")


def test_a_wheel_holds_two_packages_and_nothing_of_the_clone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"s2t_np", "s2t_np_kernels", "s2t_np-0.1.0.dist-info"}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "kernels").rglob("*.py")}
    packed = {name.replace("s2t_np_kernels", "kernels", 1) for name in names if name.startswith("s2t_np_kernels/")}
    assert packed == sources
    own = {path.relative_to(ROOT).as_posix() for path in (ROOT / "s2t_np").rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("s2t_np/")} == {n for n in own if "__pycache__" not in n}


@pytest.mark.parametrize("ours_first", (True, False))
def test_both_packages_live_side_by_side(environment, wheel, stand_in, ours_first):
    for what in (wheel, stand_in) if ours_first else (stand_in, wheel):
        environment.install(what)
    environment.check_ours()
    environment.check_theirs()
    environment.pip("uninstall", "--yes", "s2t-np")
    environment.check_theirs()
    environment.install(wheel)
    environment.pip("uninstall", "--yes", "kernels")
    environment.check_ours()


def test_an_sdist_installs_and_can_run_its_tests(environment, sdist, tmp_path):
    environment.install(sdist)
    environment.check_ours()
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / sdist.name.removesuffix(".tar.gz")
    own = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.*") if "__pycache__" not in str(path)
    }
    assert own == {path.relative_to(folder).as_posix() for path in (folder / "tests").rglob("*.*")}
    walk = "tests/walkthrough/test_walkthroughs.py::test_sound_to_text_ends_with_the_text"
    few = ("tests/model/test_layers.py", walk)
    assert " passed" in run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *few, cwd=folder)


def test_an_editable_installation_finds_the_kernels(environment, tree):
    environment.install("--editable", tree)
    code = "import s2t_np_kernels.backend as k; print(k.__file__)"
    assert Path(environment.run("-c", code).strip()) == tree / "kernels" / "backend.py"
    command = ("-m", "s2t_np", "transcribe", "--model", "digits", "--backend", "numba", FIVE)
    assert environment.run(*command) == "five five\n"


def test_a_clone_runs_without_installation(tmp_path):
    command = ("-m", "s2t_np", "transcribe", "--model", "digits", "--backend", "numba", FIVE)
    assert run(sys.executable, *command, cwd=tmp_path, PYTHONPATH=str(ROOT)) == "five five\n"
