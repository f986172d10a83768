"""The same tokens as transformers' generate, from sound to text, over utterances and option sets.

Each side runs its whole pipeline from the sound on: own features, own encoder, own search. One utterance with one
option set is a pair; all n-best rows of it are compared, tokens and scores. A difference must be explained by name as a
near tie (tools/ties.py); the tests print how many pairs they compared, and each explanation.
"""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.parity.pairs import SOURCE, digits, pair, speech, upstream
from tools.option_sets import Run, option_sets
from tools.parity import trimmed
from tools.ties import Task, explain
from tools.upstream import numbered

LIMIT = {"small": 12, "digits": 20}  # tokens


def runs_for(name: str, features: np.ndarray) -> list[Run]:
    """Every option set with 1, 4 and 5 beams, about what the model says of these features."""
    limit = LIMIT[name]
    greedy = pair(name).model.generate(features, num_beams=1, min_length=limit, max_length=limit)[0]
    said = list(greedy.tokens[1:-1])
    sets = [option_sets(said, beams, limit) for beams in (1, 4, 5)]
    return [run for three in zip(*(s + sets[1][len(s) :] for s in sets), strict=True) for run in three]


def difference(name: str, task: Task, rows: list[list[int]], scores: list[float] | None) -> str | None:
    """None where tokens agree, else why they do not. Raises AssertionError for a difference without a reason."""
    hypotheses = task.hypotheses(pair(name).model)
    ours, theirs = [h.tokens for h in hypotheses], [trimmed(row, 2) for row in rows]
    if ours != theirs:
        reason = explain(pair(name).model, pair(name).reference, task, ours, theirs)
        assert reason, f"{task.options} {task.prefix}:\n  ours {ours}\n  upstream {theirs}"
        return reason
    if scores is not None:
        assert [h.score for h in hypotheses] == pytest.approx(scores, rel=1e-4, abs=1e-4), task.options
    return None


def compare(name: str, recordings: list[np.ndarray], runs: list[Run]) -> list[str | None]:
    """One entry a pair. More than one recording is a padded batch upstream, and our padded length."""
    answers = upstream()(
        "generate", numbered("audio", recordings), folder=pair(name).folder, runs=[r._asdict() for r in runs]
    )[0]
    features = [pair(name).model.features_of_samples(samples) for samples in recordings]
    length = max(map(len, features)) if len(features) > 1 else None
    found = []
    for run, answer in zip(runs, answers, strict=True):
        rows, scores = answer["tokens"], answer["scores"]
        wanted = len(rows) // len(features)
        for i, x in enumerate(features):
            own = slice(i * wanted, (i + 1) * wanted)
            task = Task(x, run.options, tuple(run.prefix), length)
            found.append(difference(name, task, rows[own], scores and scores[own]))
    return found


def report(what: str, results: list[str | None], at_least: int) -> None:
    """Print the count and the reasons; there must have been as many pairs as promised."""
    reasons = [reason for reason in results if reason]
    print(f"\n{what} ({SOURCE}): {len(results)} pairs, {len(results) - len(reasons)} identical", *reasons, sep="\n  ")
    assert len(results) >= at_least
    assert len(reasons) <= len(results) // 30  # near ties are rare, or something is wrong


@pytest.mark.parametrize(
    "name, recordings, each, pairs",
    [("small", speech()[:24], 4, 96), ("digits", speech(), 4, 240), ("digits", digits(), 3, 120)],
)
def test_alone(name, recordings, each, pairs):
    """One utterance at a time; the option sets go round, so that every one meets several utterances."""
    results = []
    for i, samples in enumerate(recordings):
        runs = runs_for(name, pair(name).model.features_of_samples(samples))
        results += compare(name, [samples], [runs[(i * each + k) % len(runs)] for k in range(each)])
    report(f"{name}, {len(recordings)} utterances alone", results, pairs)


@pytest.mark.parametrize("name, size, batches, each, pairs", [("small", 3, 3, 3, 27), ("digits", 4, 10, 5, 200)])
def test_padded(name, size, batches, each, pairs):
    """Batches of utterances of quite different lengths."""
    results = []
    for i in range(batches):
        recordings = speech()[i : i + 12 * size : 12]
        runs = runs_for(name, pair(name).model.features_of_samples(recordings[0]))
        results += compare(name, recordings, [runs[(i * each + k) * 7 % len(runs)] for k in range(each)])
    report(f"{name}, {batches} padded batches of {size}", results, pairs)
