"""The same tokens as transformers' generate, from sound to text, over utterances and option sets.

Each side runs its whole pipeline from the sound on: own features, own encoder, own search. One utterance with one
option set is a pair; all n-best rows of it are compared, tokens and scores. A difference must be explained by name:
either upstream, fed with our features, says what we say (its CMVN in float32 moves features by up to 2e-5), or it is a
near tie (tools/ties.py). The tests print how many pairs they compared, and each explanation.
"""

from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.parity.pairs import SOURCE, digits, pair, speech, upstream
from tools.option_sets import Run, option_sets
from tools.parity import trimmed
from tools.ties import Task, explain
from tools.upstream.pipe import numbered

LIMIT = {"small": 12, "digits": 20}  # tokens


def runs_for(name: str, features: np.ndarray) -> list[Run]:
    """Every option set with 1, 4 and 5 beams, about what the model says of these features."""
    limit = LIMIT[name]
    greedy = pair(name).model.generate(features, num_beams=1, min_length=limit, max_length=limit)[0]
    said = list(greedy.tokens[1:-1])
    sets = [option_sets(said, beams, limit) for beams in (1, 4, 5)]
    return [run for three in zip(*(s + sets[1][len(s) :] for s in sets), strict=True) for run in three]


class Batch(NamedTuple):
    """Recordings that upstream gets together: one, or several as a padded batch."""

    name: str  # of the model
    recordings: list[np.ndarray]  # (N,) each
    features: list[np.ndarray]  # ours, (T, M) each

    def upstream(self, run: Run, from_features: bool = False) -> list[tuple[list[tuple[int, ...]], list[float] | None]]:
        """For each recording its rows of tokens, and their scores where upstream gives any."""
        given = numbered("features", self.features) if from_features else numbered("audio", self.recordings)
        (answer,) = upstream()("generate", given, folder=pair(self.name).folder, runs=[run._asdict()])[0]
        rows, scores = [trimmed(row, 2) for row in answer["tokens"]], answer["scores"]
        count = len(rows) // len(self.recordings)
        own = [slice(i, i + count) for i in range(0, len(rows), count)]
        return [(rows[part], scores and scores[part]) for part in own]

    def task(self, i: int, run: Run) -> Task:
        """The search that we do for recording i."""
        length = max(map(len, self.features)) if len(self.features) > 1 else None
        return Task(self.features[i], run.options, tuple(run.prefix), length)

    def why(self, i: int, run: Run, ours: list[tuple[int, ...]], theirs: list[tuple[int, ...]]) -> str | None:
        """The name of a difference, or None where it has none."""
        if self.upstream(run, from_features=True)[i][0] == ours:
            return f"features: upstream, given ours, says the same; {run.options} {run.prefix}"
        return explain(pair(self.name).model, pair(self.name).reference, self.task(i, run), ours, theirs)


def compare(name: str, recordings: list[np.ndarray], runs: list[Run]) -> list[str | None]:
    """One entry a pair: None where tokens agree, else why they do not. AssertionError for what cannot be explained."""
    model = pair(name).model
    batch = Batch(name, recordings, [model.features_of_samples(samples) for samples in recordings])
    found = []
    for run in runs:
        for i, (theirs, scores) in enumerate(batch.upstream(run)):
            hypotheses = batch.task(i, run).hypotheses(model)
            ours, reason = [h.tokens for h in hypotheses], None
            if ours != theirs:
                reason = batch.why(i, run, ours, theirs)
                assert reason, f"{run}:\n  ours {ours}\n  upstream {theirs}"
            elif scores is not None:
                assert [h.score for h in hypotheses] == pytest.approx(scores, rel=1e-4, abs=1e-4), run
            found.append(reason)
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
    """Batches of utterances of quite different lengths; `digits` hears what it knows: elsewhere all beams are level."""
    results, heard = [], digits() if name == "digits" else speech()
    stride = len(heard) // size
    for i in range(batches):
        recordings = heard[i : i + stride * size : stride]
        runs = runs_for(name, pair(name).model.features_of_samples(recordings[0]))
        results += compare(name, recordings, [runs[(i * each + k) * 7 % len(runs)] for k in range(each)])
    report(f"{name}, {batches} padded batches of {size}", results, pairs)
