"""Real engines on this machine: the examples of docs/clusters.md run, rows are those of one process, a worker may die.

Each test is skipped where its engine is not installed.
"""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import s2t_np
from s2t_np import Transcriber
from tests.support.paths import RECORDINGS, ROOT

FIVE = str(RECORDINGS / "five-five.flac")
TWO = str(RECORDINGS / "two-nine-three-four-zero.flac")
PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
EXAMPLES = {re.match(r"import ([\w.]+)", code)[1]: code for code in re.findall(r"```py\n(.*?)```", PAGE, flags=re.S)}
SAID = ["None", "five five", "two nine three four zero"]
pytestmark = pytest.mark.slow


def needs(engine: str) -> None:
    """Skip where an engine is missing, by its name."""
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_of_the_page_run(module, tmp_path):
    needs(module.split(".")[0])
    code = f"FOLDER = {str(ROOT)!r}\n" + "".join(f"    {line}\n" for line in EXAMPLES[module].splitlines()).join(
        ["if __name__ == '__main__':\n", ""]
    )
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_DATASETS_CACHE": str(tmp_path)}
    environment["PYSPARK_PYTHON"] = sys.executable
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in done.stdout.splitlines() if line in SAID) == SAID


def test_every_engine_has_an_example():
    assert set(EXAMPLES) == {"ray", "dask.dataframe", "pyspark.sql", "datasets", "joblib"}


@pytest.fixture(scope="module")
def ray():
    """A Ray of this machine, with two workers' worth of cores."""
    needs("ray")
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
        log_to_driver=False,
    )
    yield ray
    ray.shutdown()


class Dying(Transcriber):
    """A worker that is killed while it has a batch, the first time that this file is not there."""

    def __init__(self, marker: str, **settings):
        super().__init__("digits", **settings)
        self.marker = Path(marker)

    def __call__(self, batch):
        found = super().__call__(batch)
        if 7 in batch["id"] and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return found


def rows_by_ray(ray, call, batch_size=3, **settings) -> list[dict]:
    """Twenty recordings, the sixth of them missing, by two workers; sorted by their number."""
    paths = [{"id": i, "path": "missing.wav" if i == 5 else (FIVE, TWO)[i % 2]} for i in range(20)]
    data = ray.data.from_items(paths, override_num_blocks=4)
    done = data.map_batches(call, batch_size=batch_size, concurrency=2, num_cpus=1, **settings)
    return sorted(done.take_all(), key=lambda row: row["id"])


def one_process() -> list[dict]:
    """The same in this process, in the types that Ray gives."""
    paths = ["missing.wav" if i == 5 else (FIVE, TWO)[i % 2] for i in range(20)]
    found = Transcriber("digits", backend="numpy")({"path": paths, "id": list(range(20))})
    names = ("id", "path", "text", "segments", "error", "duration")
    return [dict(zip(names, row, strict=True)) for row in zip(*(found[name] for name in names), strict=True)]


def same(rows: list[dict], expected: list[dict]) -> bool:
    """Compare rows; a duration that is not a number equals another such."""
    shown = [[{name: str(row[name]) for name in sorted(row)} for row in each] for each in (rows, expected)]
    return shown[0] == shown[1]


def test_ray_gives_the_rows_of_one_process(ray):
    settings = {"fn_constructor_args": ("digits",), "fn_constructor_kwargs": {"backend": "numpy", "threads": 1}}
    assert same(rows_by_ray(ray, Transcriber, **settings), one_process())


def test_a_killed_worker_loses_and_doubles_nothing(ray, tmp_path):
    marker = tmp_path / "killed"
    settings = {"fn_constructor_args": (str(marker),), "fn_constructor_kwargs": {"backend": "numpy", "threads": 1}}
    rows = rows_by_ray(ray, Dying, **settings)
    assert marker.exists()
    assert same(rows, one_process())


def test_ray_takes_a_model_that_is_loaded(ray):
    model = s2t_np.load("digits", backend="numpy")
    transcribe = ray.remote(lambda model, path: model.transcribe(path).text)
    assert ray.get([transcribe.remote(model, path) for path in (FIVE, TWO)]) == [*SAID[1:]]


def test_dask_gives_the_rows_of_one_process():
    needs("dask")
    import dask.dataframe
    import pandas

    expected = one_process()
    frame = pandas.DataFrame([{name: row[name] for name in ("id", "path")} for row in expected])
    meta = {"id": "int64"} | dict.fromkeys(("path", "text", "segments", "error"), "object") | {"duration": "float64"}
    call = Transcriber("digits", backend="numpy", threads=1)
    done = dask.dataframe.from_pandas(frame, npartitions=4).map_partitions(call, meta=meta)
    rows = done.compute(scheduler="processes", num_workers=2).sort_values("id").to_dict("records")
    rows = [row | {name: None for name in ("text", "error") if not isinstance(row[name], str)} for row in rows]
    assert same(rows, expected)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_joblib_hands_a_loaded_model_to_its_workers(backend):
    """It used to send weights as np.memmap, which compiled kernels refused."""
    needs("joblib")
    import joblib

    model = s2t_np.load("digits", backend=backend)
    texts = joblib.Parallel(n_jobs=2, max_nbytes=1)(joblib.delayed(model.transcribe)(p) for p in (FIVE, TWO))
    assert [found.text for found in texts] == SAID[1:]
