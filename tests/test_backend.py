"""Which backend a name means: numba where it can run, numpy where not, and never a silent difference."""

import builtins
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from s2t_np import backend
from s2t_np.errors import BackendError, InputWarning
from tests.paths import ROOT

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
    from kernels.jit import COMPILED

    found = backend.choose("auto")
    assert found is (backend.choose("numba") if COMPILED else backend.NUMPY)
    assert found.name == ("numba" if COMPILED else "numpy")


def test_auto_computes_in_float64_on_numpy():
    assert backend.choose("auto", np.float64) is backend.NUMPY
    with pytest.raises(BackendError, match="float64"):
        backend.choose("numba", np.float64)


def test_without_numba_auto_is_numpy_and_the_name_is_refused():
    code = WITHOUT_NUMBA + (
        "import warnings; warnings.simplefilter('error')\nfrom s2t_np import backend\n"
        "assert backend.choose('auto') is backend.NUMPY\n"
        "try: backend.choose('numba')\nexcept backend.BackendError as error: assert 's2t-np[numba]' in str(error)\n"
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
        if name == "kernels.backend":
            raise trouble
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(BackendError, match='backend "numba" cannot') as raised:
        backend.choose("numba")
    assert "\n" not in str(raised.value)
    with pytest.warns(InputWarning, match="numpy computes instead"):
        assert backend.choose("auto") is backend.NUMPY
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backend.choose("numpy") is backend.NUMPY
