"""docs/server.md: its Python runs against a real server, its numbers are the defaults, and its image can be built."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from s2t_np.serve.guard import ENDPOINTS
from s2t_np.serve.parameters import FIELDS
from s2t_np.serve.settings import Limits
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")


def test_the_python_of_the_page_runs(request, capsys, monkeypatch):
    pytest.importorskip("openai", reason="needs the openai package: the client itself")
    server = request.getfixturevalue("server")
    (code,) = re.findall(r"```py\n(.*?)```", PAGE, flags=re.S)
    monkeypatch.chdir(ROOT)
    exec(code.replace("http://127.0.0.1:8000", server.url), {})
    assert re.fullmatch(r"five five 0\.\d+\n", capsys.readouterr().out)


def test_every_limit_endpoint_and_field_is_on_the_page():
    for field in dataclasses.fields(Limits):
        flag = f"--{field.name.replace('_', '-')}"
        row = next((line for line in PAGE.splitlines() if flag in line and line.startswith("|")), "")
        number = 2 if field.name == "max_duration" else field.default  # in hours
        assert f"{number:g}" in row, flag
    assert not [path for path in ENDPOINTS if path not in PAGE]
    assert not [name for name in FIELDS - {"file", "model", "chunking_strategy"} if name not in PAGE]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("setpriv") or os.getuid() != 0, reason="needs root and setpriv: another user")
def test_another_user_loads_the_kernels_that_root_has_made():
    """As in the image: no home, a cache made by root, nothing that can be written."""
    pytest.importorskip("numba", reason="needs numba: compiles the kernels")
    switch = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    version = [*switch, sys.executable, "-c", "import sys, s2t_np, numba; print(sys.version)"]
    if subprocess.run(version, cwd=ROOT, capture_output=True, text=True, check=False).stdout != f"{sys.version}\n":
        pytest.skip("needs an interpreter and a clone that other users can read")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        os.chmod(folder, 0o755)
        environment = {
            "PATH": os.environ["PATH"],
            "S2T_NP_CACHE_DIR": f"{folder}/kernels",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        program = [sys.executable, "-m", "s2t_np", "info", "--backend", "numba"]
        subprocess.run(program, cwd=ROOT, env=environment, check=True, capture_output=True)
        done = subprocess.run(
            [*switch, *program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_is_made_of_what_there_is():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER \d+:\d+$", lines, re.M)
    assert "S2T_NP_CACHE_DIR=/opt/kernels" in lines
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs a running docker: builds the image")
    subprocess.run(["docker", "build", "-t", "s2t-np-test", "."], cwd=ROOT, check=True)
    run = ["docker", "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--user", "12345:12345", "s2t-np-test", "info"]
    assert subprocess.run(run, check=True, capture_output=True, text=True).returncode == 0
