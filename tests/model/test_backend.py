"""Which backend a name means: numba where it can run, numpy where not, and never a silent difference."""

import builtins
import os
import subprocess
import sys
import warnings

import pytest

import s2t_np
from s2t_np import backend
from s2t_np.errors import BackendError, InputWarning, ModelError, OptionError
from tests.support.paths import ROOT

WITHOUT_NUMBA = "import sys; sys.modules['numba'] = None; sys.modules['llvmlite'] = None\n"


def run(code, **environment):
    """A fresh interpreter; its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_auto_is_numba_where_it_is_installed():
    pytest.importorskip("numba")
    from s2t_np_kernels.backend import COMPILED

    found = backend.choose("auto")
    assert found == (backend.choose("numba") if COMPILED else backend.NUMPY)
    assert found.name == ("numba" if COMPILED else "numpy")


def test_auto_computes_in_float64_on_numpy():
    assert backend.choose("auto", "float64") is backend.NUMPY
    with pytest.raises(BackendError, match="float64"):
        backend.choose("numba", "float64")


@pytest.mark.parametrize("dtype", ("float16", "int8"))
def test_weights_in_few_bits_are_numbas(dtype):
    with pytest.raises(BackendError, match=f'"numpy" computes in float32 or float64; {dtype} needs backend "numba"'):
        backend.choose("numpy", dtype)
    pytest.importorskip("numba")
    assert backend.choose("auto", dtype) == backend.choose("numba", dtype)
    assert dtype in backend.choose("auto", dtype).name


@pytest.mark.parametrize("dtype", ("float16", "int8"))
def test_weights_in_few_bits_without_numba_are_refused(dtype):
    code = WITHOUT_NUMBA + (
        "from s2t_np import backend\n"
        f"try: backend.choose('auto', {dtype!r})\nexcept backend.BackendError as error: assert 'pip' in str(error)\n"
        "else: raise AssertionError"
    )
    run(code)


def test_an_unknown_dtype():
    with pytest.raises(OptionError, match="dtype is 'int4', expected one of float32, float64, float16, int8"):
        backend.choose("auto", "int4")


def test_without_numba_auto_is_numpy_and_the_name_is_refused():
    code = WITHOUT_NUMBA + (
        "import warnings; warnings.simplefilter('error')\nfrom s2t_np import backend\n"
        "assert backend.choose('auto') is backend.NUMPY\n"
        "try: backend.choose('numba')\nexcept backend.BackendError as error: "
        "assert '; pip install numba' in str(error)\n"
        "else: raise AssertionError"
    )
    assert run(code) == ""


def test_uncompiled_kernels_are_taken_only_by_name():
    pytest.importorskip("numba")
    code = (
        "from s2t_np import backend\nassert backend.choose('auto') is backend.NUMPY\n"
        "assert 'NUMBA_DISABLE_JIT' in backend.choose('numba').describe()['kernels']"
    )
    run(code, NUMBA_DISABLE_JIT="1")


@pytest.mark.parametrize("trouble", [ImportError("numba needs another numpy"), RuntimeError("LLVM ERROR:\n no such")])
def test_a_numba_that_cannot_run_is_said(trouble, monkeypatch):
    pytest.importorskip("numba")
    real = builtins.__import__

    def fail(name, *rest):
        if name == "s2t_np_kernels.backend":
            raise trouble
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(BackendError, match='backend "numba" cannot') as raised:
        backend.choose("numba")
    assert "\n" not in str(raised.value)
    assert "pip install" not in str(raised.value)  # it is installed
    assert ("numba is installed but does not work" in str(raised.value)) == isinstance(trouble, ImportError)
    with pytest.warns(InputWarning, match="numpy computes instead"):
        assert backend.choose("auto") is backend.NUMPY
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backend.choose("numpy") is backend.NUMPY


@pytest.mark.parametrize("name", ["digts", "empty", "notes.txt"])
def test_mistakes_in_the_model_s_name_come_before_kernels_are_compiled(name, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "compiled", lambda *_, **__: pytest.fail("compiled first"))
    with pytest.raises(ModelError):
        s2t_np.load(name, download=False)


def test_a_backend_that_is_not_known_is_refused_before_a_model_is_looked_for():
    with pytest.raises(backend.BackendError, match=r"'cuda' is not known"):
        s2t_np.load("some/where", backend="cuda", download=True)
