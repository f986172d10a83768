"""The benchmark tool at a tiny size: it runs, its figures are well formed, and a wrong answer is not timed."""

import json

import numpy as np
import pytest

pytest.importorskip("numba")

import s2t_np
from s2t_np.config import ModelConfig
from s2t_np.decoder import decoder_step, start_cache
from s2t_np.encoder import encode
from s2t_np.ops import numpy_ops
from s2t_np.together import ALONE, Sharing
from tests.support.small_models import small_model
from tools.bench import __main__ as bench
from tools.bench import batches, fbank, held_cpuid, isa, kernels, processes, roofs
from tools.bench.contenders import Ours
from tools.bench.tables import Column, show
from tools.bench.utterances import (
    Referee,
    Work,
    bound,
    decoder_operations,
    encoder_operations,
    positions,
    single_step,
    step_bytes,
    utterance,
)
from tools.random_checkpoint import shape_config, write_checkpoint
from tools.upstream.serve_jobs import in_batches

WORK = Work(seconds=1, beams=2, tokens=3)
RATES = {f"GB/s{what}": 10.0 for what in ("", " float32", " float16", " int8", " cache", " memory")}
ROOF = {"GFLOP/s": 100.0, "GOP/s": 400.0, **RATES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("bench") / "tiny", shape_config("tiny"))


@pytest.fixture(scope="module")
def numpy_model(folder):
    return Ours(s2t_np.load(folder, backend="numpy"), True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(batches, "REST", 0)
    monkeypatch.setattr(batches, "lasting_rate", lambda threads: 50.0)
    monkeypatch.setattr("tools.bench.utterances.REST", 0)
    monkeypatch.setattr(kernels, "REST", 0)


def leaves(value):
    """Every number in a JSON value."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    elif not isinstance(value, str):
        yield value


def test_it_runs_and_writes_json(tmp_path, capsys):
    options = "--shape tiny --seconds 1 --beams 1 2 --runs 1 --no-peers --only step generate files fbank batches"
    options += " --utterances 5"
    bench.main([*options.split(), "--json", str(tmp_path / "out.json")])
    result, out = json.loads((tmp_path / "out.json").read_text()), capsys.readouterr().out
    assert set(result) == {"machine", "roofs", "peers", "fbank", "step", "utterances", "files", "batches"}
    assert all(np.isfinite(x) and x >= 0 for x in leaves(result))
    assert [(row["seconds_of_sound"], row["beams"]) for row in result["utterances"]] == [(1.0, 1), (1.0, 2)]
    for row in result["utterances"]:
        assert {"numpy", "s2t-np float32"} <= set(row["seconds"])
        assert all(times["encoder"] > 0 and times["generate"] > 0 for times in row["seconds"].values())
    assert set(result["step"][0]["seconds"]["numpy"]) == {"step", "step and reorder"}
    for heading in ("decoder step, 250 positions", "encoder,", "generate,", "fbank of", "files of", "5 utterances of"):
        assert heading in out


class Wrong:
    """Numpy's model, but for one answer."""

    exact = True

    def __init__(self, right, token=0, noise=0.0):
        self.right, self.token, self.noise = right, token, noise

    def hear(self, x, options):
        tokens, times, memory = self.right.hear(x, options)
        return [*tokens[:-1], tokens[-1] + self.token], times, memory + np.float32(self.noise)

    def step(self, memory, tokens, turns):
        logits, times = self.right.step(memory, tokens, turns)
        return logits + np.float32(self.noise), times


@pytest.mark.parametrize("wrong, complaint", [({"token": 1}, "wrong found"), ({"noise": 0.1}, "wrong: memory differs")])
def test_a_wrong_utterance_is_not_timed(wrong, complaint, numpy_model):
    contenders = {"numpy": numpy_model, "wrong": Wrong(numpy_model, **wrong)}
    with pytest.raises(SystemExit, match=complaint):
        utterance(contenders, WORK, 80, 1, generate=True)


def test_a_wrong_step_is_not_timed(numpy_model):
    memory = numpy_model.model.encode(WORK.features(80))
    contenders = {"numpy": numpy_model, "wrong": Wrong(numpy_model, noise=0.5)}
    with pytest.raises(SystemExit, match="wrong: logits differs"):
        single_step(contenders, WORK, memory, 64, 1)


def test_narrow_weights_may_differ_and_it_is_told():
    referee = Referee()
    referee.check("numpy", "memory", np.ones((2, 2)), True, 1e-3)
    referee.check("int8", "memory", np.full((2, 2), 1.5), False, 1e-3)
    referee.check_tokens("numpy", [2, 5, 6, 7], True)
    referee.check_tokens("int8", [2, 5, 5, 7], False)
    assert referee.errors == {"memory": {"numpy": 0, "int8": 0.5}, "tokens that differ": {"numpy": 0, "int8": 0.25}}
    with pytest.raises(SystemExit):
        referee.check("int8", "memory", np.ones((2, 3)), False, 1e-3)
    with pytest.raises(SystemExit):
        referee.check_tokens("int8", [2, 5], False)


def test_features_that_differ_are_not_timed():
    with pytest.raises(SystemExit, match=r"kaldi: features differ from numpy's by 0\.1"):
        fbank.check("kaldi", np.full((3, 2), 0.1), np.zeros((3, 2)))


def test_a_kernel_that_differs_from_its_twin_is_not_timed():
    case = kernels.Case("broken", lambda: np.ones(3), lambda: np.zeros(3), 1.0, "GFLOP/s")
    with pytest.raises(SystemExit, match="broken: differs from its twin by 1"):
        kernels.row(case, ROOF, 1)


def test_a_row_of_the_kernel_table():
    row = kernels.row(kernels.linear_case(5, 32, 48), ROOF, 1)
    assert row["error"] < 1e-4 and row["numpy"] > 0 and row["share"] == pytest.approx(row["rate"] / 10)


def counting():
    """The plain operations, and the list of what each product that they are asked for has done."""
    done = []

    def linear(x, w, *rest):
        done.append(2 * x.size * len(w.weight))
        return numpy_ops.linear(x, w, *rest)

    def linear_activation(x, w):
        done.append(2 * x.size * len(w.weight))
        return numpy_ops.linear_activation(x, w)

    def conv1d_glu(x, w, *rest):
        out = numpy_ops.conv1d_glu(x, w, *rest)
        done.append(2 * len(out) * w.weight.size)
        return out

    def attention(q, k, v, heads):
        done.append(4 * q.size * k.shape[-2])
        return numpy_ops.attention(q, k, v, heads)

    replaced = {"linear": linear, "linear_activation": linear_activation, "conv1d_glu": conv1d_glu}
    return numpy_ops._replace(**replaced, attention=attention), done


def test_the_encoder_does_as_many_operations_as_are_counted():
    small, (ops, done) = small_model("three-conv"), counting()
    encode(ops, small.weights.encoder, small.config, np.zeros((61, 6)))
    assert sum(done) == encoder_operations(61, small.config)


def test_decoder_operations_are_those_of_the_readable_decoder():
    """A search of two beams and three tokens, its products counted as they are done."""
    small, (ops, done) = small_model("three-conv"), counting()
    memory = np.zeros((positions(61, small.config), small.config.d_model))
    cache = start_cache(ops, small.weights, small.config, memory, 2)
    for _ in range(3):
        decoder_step(ops, small.weights, small.config, np.array([2, 2]), cache)
    work = Work(seconds=0.63, beams=2, tokens=3)
    assert work.frames == 61 and small.config.decoder_layers > 0
    assert sum(done) == decoder_operations(work, small.config)


def test_a_rate_that_lasts(monkeypatch):
    monkeypatch.setattr(roofs, "LONG_RUN", 1000)
    assert 0 < roofs.lasting_rate(2) < 1e5


def test_the_bound_of_the_released_shape():
    """The figures of the arithmetic by hand: 48 MB a step, 12 of them as bytes."""
    config = ModelConfig()
    assert step_bytes(250, config, 4) == pytest.approx(48e6, rel=0.02)
    assert step_bytes(250, config, 1) == pytest.approx(11.2e6 + 1.5e6, rel=0.02)
    for dtype, size in roofs.STEP_MEGABYTES.items():
        assert step_bytes(0, config, {"float32": 4, "float16": 2, "int8": 1}[dtype]) == pytest.approx(
            1e6 * size, rel=0.01
        )
    least = bound(Work(10, 5, 30), config, ROOF)
    assert least["generate"] == pytest.approx(least["encoder"] + 30 * least["step"])
    assert least["encoder"] == pytest.approx(9.7e9 / 100e9, rel=0.01)
    assert bound(Work(10, 5, 30), config, ROOF, "int8")["encoder"] == pytest.approx(least["encoder"] / 4)


def test_a_table_of_ratios(capsys):
    seconds = {
        "numpy": 0.09,
        "s2t-np float32": 0.04,
        "s2t-np int8": 0.02,
        "torch": 0.1,
        "other": 0.08,
        "other int8": 0.01,
    }
    show("work", [Column("10 s", seconds, {"float32": 0.02, "float16": 0.02, "int8": 0.005})])
    out = capsys.readouterr().out
    assert "| best peer / s2t-np float32 | 2.00 |" in out
    assert "| best peer / s2t-np int8 | 4.00 |" in out
    assert "| s2t-np int8 / bound | 4.00 |" in out
    assert "| bound, float32 | 20.0 |" in out and "float16" not in out


def test_what_a_process_costs(folder, tmp_path):
    found = processes.processes(["numpy"], folder, tmp_path, None, 1.0, 1)
    assert list(found) == ["numpy, warm"]
    assert 0.05 < found["numpy, warm"]["seconds"] < 60
    assert 20 < found["numpy, warm"]["megabytes"] < 500
    with pytest.raises(SystemExit, match="no such"):
        processes.process(["python3", "-c", "raise SystemExit('no such')"], tmp_path)


def test_many_files_give_what_each_gives_alone(numpy_model):
    features = [WORK.features(80)[: 40 + 5 * i] for i in range(3)]
    rates = processes.many_files(numpy_model.model, features, WORK.options, 1)
    assert {"alone on all cores", "one a core"} < set(rates) and min(rates.values()) > 0


class Batched:
    """A contender with prepared answers, which counts the utterances it was given."""

    def __init__(self, answers, exact=True):
        self.answers, self.exact, self.heard = answers, exact, []

    def hear_many(self, features, options, way):
        self.heard.append((len(features), way))
        return self.answers[: len(features)], {"wall": 2.0, "processor": 3.0}


def test_batches_are_raced_in_turn_after_one_batch_to_warm_up():
    right, near = [[i, i] for i in range(8)], [[9, 9], *([i, i] for i in range(1, 8))]
    own, peer = Batched(right), Batched(near)
    rows = [batches.Row("own", own, Sharing(3, 2)), batches.Row("peer, batch 4", peer, 4)]
    found = batches.race(rows, [None] * 8, {}, 2)
    assert own.heard == [(6, (3, 2)), (8, (3, 2)), (8, (3, 2))] and peer.heard == [(4, 4), (8, 4), (8, 4)]
    assert found["own"] == {"wall": 2.0, "processor": 3.0, "differ": 0, "GFLOP/s": 50.0}
    assert found["peer, batch 4"]["differ"] == 1


def test_our_floats_are_held_to_their_arithmetic(capsys):
    found = {name: {"wall": 3.0, "GFLOP/s": 50.0} for name in ("s2t-np float32, alone", "s2t-np int8, alone", "peer")}
    batches.tell_bound(found, 100e9)
    assert found["s2t-np float32, alone"]["bound"] == 2.0 and "bound" not in found["peer"]
    assert capsys.readouterr().out == "s2t-np float32, alone: 1.50 times its 100 GFLOP at 50 GFLOP/s\n"


@pytest.mark.parametrize(
    "answers, complaint", [([[7, 7]] * 8, "7 of 8 utterances differ"), ([[1]] * 8, "other numbers of tokens")]
)
def test_a_batch_of_wrong_answers_is_not_timed(answers, complaint):
    right = [[i, i] for i in range(8)]
    rows = [batches.Row("own", Batched(right), ALONE), batches.Row("peer", Batched(answers), 4)]
    with pytest.raises(SystemExit, match=complaint):
        batches.race(rows, [None] * 8, {}, 1)


def test_narrow_weights_may_differ_in_any_batch():
    rows = [
        batches.Row("own", Batched([[1]] * 4), ALONE),
        batches.Row("int8", Batched([[2]] * 4, False), 4),
    ]
    assert batches.race(rows, [None] * 4, {}, 1)["int8"]["differ"] == 4


def test_a_peer_gets_padded_batches():
    shapes = []

    def generate(batch, mask):
        shapes.append((batch.shape, mask.sum(axis=1).tolist(), float(np.abs(batch[mask == 0]).sum())))
        return [[len(shapes)]] * len(batch)

    rows, times = in_batches([np.ones((n, 2), np.float32) for n in (3, 5, 4)], 2, generate)
    assert shapes == [((2, 5, 2), [3, 5], 0.0), ((1, 4, 2), [4], 0.0)] and rows == [[1], [1], [2]]
    assert times["wall"] >= 0 and times["processor"] >= 0


@pytest.mark.parametrize("masked", [True, False])
def test_other_instructions_are_those_of_a_new_process(monkeypatch, capfd, masked):
    """With --isa the bench starts again, held by cpuid or else by variables, and its compiler then knows no AVX-512."""
    if masked and (reason := held_cpuid.why_not()):
        pytest.skip(reason)
    assert isa.way("avx2") is None
    if not masked:
        monkeypatch.setattr(held_cpuid, "why_not", lambda: "needs another processor")
    probe = "import sys; from s2t_np_kernels import cpu; from tools.bench import isa; "
    probe += "print(sorted(cpu.detect().features), isa.way('avx2'), sys.argv[1:])"
    monkeypatch.setattr(isa, "command", lambda module, argv: [isa.sys.executable, "-c", probe, *argv])
    assert isa.again("avx2", "tools.bench", ["--quick"]) == 0
    out = capfd.readouterr().out
    assert "'avx2'" in out and "avx512" not in out and "--quick" in out
    assert ("cpuid answers" if masked else "by environment variables") in out
