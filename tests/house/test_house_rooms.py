"""Rooms inside a package, arguments, words, and the list of packages: rules, each shown a violation."""

import tomllib

import pytest

from tests.support import house_rooms, house_words
from tests.support.paths import ROOT


def sources(*folders):
    """Every Python file below these folders."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


ALL = sources("s2t_np", "kernels", "tests", "tools")
PACKAGE = {path: text for path, text in ALL.items() if path.startswith("s2t_np/")}
COVERED = {path: text for path, text in ALL.items() if path.startswith(house_words.COVERED)}


def test_rooms_inside_a_folder_import_downward():
    assert house_rooms.inner_upward_imports(ALL) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("kernels/simd/vector.py", "from ..ops import linear"),
        ("kernels/ops/linear.py", "from ..decoder.step import step"),
        ("kernels/decoder/step.py", "from ..encoder import host"),
        ("kernels/encoder/host.py", "def f():\n    from .. import backend"),
        ("kernels/build/cache.py", "from ..attic import x"),
        ("kernels/attic.py", "import json"),
        ("s2t_np/inspect/trace/plan.py", "from ..golden import pack"),
        ("s2t_np/inspect/explorer/page.py", "from ..golden.pack import write"),
        ("s2t_np/inspect/attic/page.py", "import json"),
    ],
)
def test_an_upward_import_inside_a_folder_is_found(path, text):
    found = house_rooms.inner_upward_imports({path: text})
    assert len(found) == 1 and found[0].startswith(path)


def test_downward_imports_inside_a_folder_are_not_found():
    allowed = {"kernels/backend.py": "from .decoder import host", "kernels/ops/linear.py": "from . import gemm"}
    assert house_rooms.inner_upward_imports(allowed) == []


def test_functions_take_few_arguments():
    assert house_rooms.many_arguments(PACKAGE) == []


def test_many_arguments_are_found():
    names = "a, b, c, d, e, f, g"
    eight = {"x.py": f"def f({names}, *, h): ...", "y.py": f"class C:\n    def f(self, {names}, **more): ..."}
    assert house_rooms.many_arguments(eight) == ["x.py: f: 8 arguments", "y.py: C.f: 8 arguments"]
    assert house_rooms.many_arguments({"x.py": f"class C:\n    def f(self, {names}): ..."}) == []


def test_words_are_idiomatic():
    assert COVERED
    assert house_words.unidiomatic(COVERED) == []


@pytest.mark.parametrize(
    "text",
    [
        '"""This is no folder."""',
        'raise ValueError(f"{path} are no recordings")',
        "x = 1  # be it one or two",
        '"""For whoever reads it."""',
        "# somebody speaks",
        '"""Nobody\n\nknows."""',
        "x = 1  # so many times",
        '"""An option that\nmeans\nnothing here."""',
        '"""Arrays, one behind the other."""',
        "# of all that is computed",
    ],
)
def test_unidiomatic_words_are_found(text):
    assert len(house_words.unidiomatic({"x.py": text})) == 1


def test_idiomatic_words_are_not_found():
    text = '"""There is no folder. It is no longer open."""\n# the mean of x: as many as asked\n'
    assert house_words.unidiomatic({"x.py": text}) == []


def test_docstrings_have_a_verb():
    judged = {path: text for path, text in ALL.items() if path.startswith(("s2t_np/", "kernels/"))}
    done = {path: text for path, text in judged.items() if not path.startswith(house_words.QUESTIONS_REMAIN)}
    assert done and house_words.questions(done) == []


@pytest.mark.parametrize("begin", ["What is", "Where it is", "How many", "Whether it is"])
def test_a_docstring_without_a_verb_is_found(begin):
    assert len(house_words.questions({"x.py": f'def f():\n    """{begin} left."""'})) == 1
    assert house_words.questions({"x.py": f'def f():\n    """Return {begin.lower()} left."""'}) == []


def test_every_folder_of_modules_is_installed():
    """pyproject.toml lists the packages; setuptools would leave out a folder that is not among them without a word."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    named = {"kernels": settings["package-dir"]["s2t_np_kernels"] and "s2t_np_kernels", "s2t_np": "s2t_np"}
    folders = {path.parent.relative_to(ROOT) for top in named for path in (ROOT / top).rglob("*.py")}
    packages = {".".join((named[folder.parts[0]], *folder.parts[1:])) for folder in folders}
    assert packages == set(settings["packages"])
    assert len(settings["packages"]) == len(set(settings["packages"]))
