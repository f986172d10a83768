"""The peers of the benchmark answer as this project does, so that their times mean something."""

import sys
from contextlib import ExitStack

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import s2t_np
from s2t_np.together import Sharing
from tools.bench.batches import Row
from tools.bench.batches import race as race_rows
from tools.bench.contenders import Ours, Peer, contenders, with_transformers
from tools.bench.utterances import Work, single_step, utterance
from tools.random_checkpoint import shape_config, write_checkpoint

WORK = Work(seconds=1, beams=3, tokens=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("bench") / "tiny", shape_config("tiny"))


def race_batches(everybody: dict) -> None:
    """The same for several utterances in batches; lengths differ, so that some rows are padding."""
    features = [WORK.features(80)[: 98 - 9 * i] for i in range(3)]
    rows = [Row(name, one, 2 if isinstance(one, Peer) else Sharing(2)) for name, one in everybody.items()]
    found = race_rows(rows, features, WORK.options, 1)
    exact = [row.name for row in rows if row.contender.exact]
    assert all(found[name]["differ"] == 0 for name in exact) and len(found) == len(everybody)


def race(everybody: dict) -> None:
    """One turn of everybody; a difference raises SystemExit."""
    found = utterance(everybody, WORK, 80, 1, generate=True)
    assert set(found["seconds"]) == set(everybody)
    memory = everybody["numpy"].model.encode(WORK.features(80))
    times = single_step(everybody, WORK, memory, 64, 1)["seconds"]
    assert all(t > 0 for kinds in times.values() for t in kinds.values())
    race_batches(everybody)


def test_transformers(folder, monkeypatch):
    monkeypatch.setattr("tools.bench.utterances.REST", 0)
    with ExitStack() as stack:
        own = {"numpy": Ours(s2t_np.load(folder, backend="numpy"), True)}
        race(own | with_transformers(stack, sys.executable, folder, 1))


def test_exported_graphs(folder, monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("optimum.onnxruntime")
    monkeypatch.setattr("tools.bench.utterances.REST", 0)
    with contenders(folder, tmp_path / "graphs", [sys.executable], 1) as everybody:
        assert {"numpy", "ONNX Runtime", "ONNX Runtime int8"} <= set(everybody)
        race(everybody)
