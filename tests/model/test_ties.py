"""tools/ties.py, on which the parity suite relies: it explains what rounding could have done, and nothing more."""

import numpy as np
import pytest

import s2t_np
from tests.support.paths import ROOT
from tools.make_golden import model_json
from tools.random_checkpoint import write_checkpoint
from tools.ties import Task, explain


@pytest.fixture(scope="module")
def task():
    with np.load(ROOT / "tests" / "golden" / "features.npz") as file:
        return Task(file["cmvn.0"], {"num_beams": 4, "num_return_sequences": 4, "max_length": 9})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("model"), model_json("untied"), 7)


@pytest.fixture(scope="module")
def models(folder):
    return s2t_np.load(folder, backend="numpy"), s2t_np.load(folder, dtype="float64")


def with_twin(model, token, twin, distance):
    """The same model, but that `twin` is as likely as `token` but for so much, and means the same when it is said."""
    head, table = model.weights.lm_head.weight.copy(), model.weights.decoder.embed_tokens.weight.copy()
    head[twin], table[twin] = head[token] * (1 + distance), table[token]
    decoder = model.weights.decoder._replace(embed_tokens=model.weights.decoder.embed_tokens._replace(weight=table))
    lm_head = model.weights.lm_head._replace(weight=head)
    return s2t_np.S2T(**vars(model) | {"weights": model.weights._replace(decoder=decoder, lm_head=lm_head)})


@pytest.mark.parametrize("distance, explained", [(1e-7, True), (-1e-7, True), (1e-3, False), (-1e-3, False)])
def test_a_twin_token(distance, explained, models, task):
    """Of two tokens that differ by rounding either may win; that one is likelier by a thousandth is another thing."""
    model, reference = models
    best = task.solve(model)[0]
    token, twin = best[1], 49
    one, other = (with_twin(m, token, twin, distance) for m in (model, reference))
    ours = task.solve(one)
    theirs = task.solve(with_twin(model, token, twin, -distance))
    assert ours != theirs
    reason = explain(one, other, task, ours, theirs)
    assert (reason is not None) == explained
    assert not explained or "near tie" in reason


@pytest.mark.parametrize(
    "change", [{"length_penalty": 3.0}, {"no_repeat_ngram_size": 1}, {"max_length": 8}, {"suppress_tokens": [24]}]
)
def test_other_options_are_no_tie(change, models, task):
    model, reference = models
    ours, theirs = task.solve(model), task._replace(options=task.options | change).solve(model)
    assert ours != theirs
    assert explain(model, reference, task, ours, theirs) is None


def test_equal_rows_need_no_nudge(models, task):
    model, reference = models
    rows = task.solve(model)
    shuffled = [rows[1], rows[0], *rows[2:]]
    assert explain(model, reference, task, rows, shuffled) is None
