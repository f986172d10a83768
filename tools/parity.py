#!/usr/bin/env python3
"""How far this project and transformers are apart, stage by stage, from sound to text.

    python -m tools.parity CHECKPOINT AUDIO... [--padded] [--max-length N] [--backend numpy] [--python PYTHON]

CHECKPOINT is a folder (or "digits", or a hub id in the cache), AUDIO recordings. torch and transformers run in a
process of their own, with the interpreter PYTHON if given. One line a stage, over all recordings: the largest and the
root-mean-square difference to torch; then, against a float64 run of this project, the r.m.s. error of our float32 and
of torch's, and their ratio, once of r.m.s. errors and once of those that one number in a hundred exceeds. From conv.0
on, all three runs take the same features, so that a stage shows its own error and not the filterbank's. Tokens and
texts come from each side's whole pipeline, from the sound on.

With --padded upstream gets all recordings as one padded batch, and we the padded length. --max-length cuts transcripts
short (random weights rarely end one). Exits 1 when a stage is out of its tolerance or a token differs without a reason.
"""

import argparse
import sys
from typing import NamedTuple

import numpy as np

import s2t_np
from s2t_np import audio
from s2t_np.inspect.trace import recorder_of
from s2t_np.inspect.trace.plan import trace_name
from s2t_np.inspect.trace.record import Recorder
from s2t_np.layers import subsampled_length
from tools.ties import Task, explain
from tools.upstream.pipe import Upstream, numbered

LARGEST = {"fbank": 1e-3, "logits": 2e-4, "logits (steps)": 2e-4}  # difference to torch
RATIO = 1.5  # our error to torch's; the filterbank, in float64 on both sides, is exempt


class Errors(NamedTuple):
    """The errors of one stage, over all numbers of all recordings."""

    stage: str
    difference: np.ndarray  # ours - torch
    ours: np.ndarray  # ours - float64
    torch: np.ndarray  # torch - float64
    scale: float  # r.m.s. of the float64 numbers

    @property
    def ratio(self) -> float:
        """r.m.s. error of ours to that of torch; one below a tenth of float32's rounding counts as that much."""
        return rms(self.ours) / max(rms(self.torch), 6e-9 * self.scale)

    @property
    def tail_ratio(self) -> float:
        """The same of the errors that one number in a hundred exceeds, which a few outliers do not move."""
        tails = [float(np.quantile(np.abs(e), 0.99)) for e in (self.ours, self.torch)]
        return tails[0] / max(tails[1], 1.5e-8 * self.scale)

    @property
    def largest(self) -> float:
        return float(np.abs(self.difference).max())

    @property
    def within(self) -> bool:
        """True if the stage keeps its tolerances."""
        near = self.largest <= LARGEST.get(self.stage, np.inf)
        return near and (self.stage == "fbank" or max(self.ratio, self.tail_ratio) <= RATIO)

    def line(self) -> str:
        """A row of the table."""
        return (
            f"{self.stage:16} {self.largest:9.1e} {rms(self.difference):9.1e}   {rms(self.ours):9.1e} "
            f"{rms(self.torch):9.1e} {self.ratio:6.2f} {self.tail_ratio:7.2f}   {'ok' if self.within else 'OUT'}"
        )


HEADER = f"""\
{"":16} {"ours - torch":^19}   {"error against float64 (r.m.s.)":^35}
{"stage":16} {"largest":>9} {"r.m.s.":>9}   {"ours":>9} {"torch":>9} {"ratio":>6} {"99 %":>7}"""


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


class Pair(NamedTuple):
    """Our model twice, as it is used and as the reference, and the upstream process that has the same checkpoint."""

    model: s2t_np.S2T
    reference: s2t_np.S2T  # float64
    upstream: Upstream

    @property
    def folder(self) -> str:
        return str(self.model.folder.resolve())


def load_pair(checkpoint: str, upstream: Upstream, backend: str = "numpy") -> Pair:
    """Load the checkpoint for both sides. Raises ModelError, BackendError."""
    model = s2t_np.load(checkpoint, backend=backend, download=False)
    return Pair(model, s2t_np.load(checkpoint, backend="numpy", dtype="float64", download=False), upstream)


def feature_stages(model: s2t_np.S2T, samples: np.ndarray) -> dict[str, np.ndarray]:
    """fbank and cmvn: (T, M) for samples (N,)."""
    c = model.feature_config
    fbank = model.backend.fbank(samples, c.sampling_rate, c.num_mel_bins, model.dtype)
    return {"fbank": fbank, "cmvn": model.features_of_samples(samples)}


def stage_names(model: s2t_np.S2T) -> list[str]:
    """The names of the upstream side (torch_worker.py) for the stages from the first convolution to the logits."""
    w = model.weights
    convs = [f"conv.{i}" for i in range(len(w.encoder.conv.conv_layers))]
    encoder, decoder = ([f"{side}.{i}" for i in range(len(getattr(w, side).layers))] for side in ("encoder", "decoder"))
    return [*convs, "embed_features", *encoder, "memory", "embed_tokens", *decoder, "logits"]


def recorded_stages(model: s2t_np.S2T, features: np.ndarray, tokens, padded_length: int | None = None) -> dict:
    """From conv.0 to logits, teacher-forced, as the recorder of `trace` sees them: features (T, M), tokens (U,)."""
    names = {trace_name(name): name for name in stage_names(model)}
    recorder = recorder_of(model, Recorder(names.__contains__))
    backend, tokens = recorder.backend(), np.asarray(tokens)
    memory = backend.encode(backend.ops, model.weights.encoder, model.config, features, padded_length)
    recorder.decode_full(tokens, memory)
    found = {shown: recorder.record.arrays[name] for name, shown in names.items()}
    for i in range(len(model.weights.encoder.conv.conv_layers)):  # a padded batch reaches further
        found[f"conv.{i}"] = found[f"conv.{i}"][: subsampled_length(len(features), i + 1)]
    return found


def stepped_logits(model: s2t_np.S2T, memory: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The same logits (U, V) from the cached decoder, one token at a time, as the search gets them."""
    decoder = model.decoder(memory)
    cache = decoder.start(1)
    return np.concatenate([decoder.step(np.array([token]), cache).logits for token in tokens])


def model_stages(model: s2t_np.S2T, features: np.ndarray, tokens, padded_length: int | None = None) -> dict:
    """Everything after the features (T, M), in order; `logits (steps)` are those of the cached decoder."""
    features, tokens = np.asarray(features, model.dtype), np.asarray(tokens)
    found = recorded_stages(model, features, tokens, padded_length)
    found["logits"] = model.logits(found["memory"], tokens)
    return found | {"logits (steps)": stepped_logits(model, found["memory"], tokens)}


def compare_features(pair: Pair, recordings: list[np.ndarray]) -> list[dict[str, tuple]]:
    """For each recording (N,), each feature stage three times: ours, float64, torch."""
    _, theirs = pair.upstream("features", numbered("audio", recordings), folder=pair.folder)
    rows = []
    for i, samples in enumerate(recordings):
        ours, truth = feature_stages(pair.model, samples), feature_stages(pair.reference, samples)
        rows.append({stage: (ours[stage], truth[stage], theirs[f"{stage}.{i}"]) for stage in ours})
    return rows


def batch_tokens(rows: list, filler: int) -> np.ndarray:
    """Token rows as a (B, U) batch; what is filled in after a row's end cannot reach what stands before it."""
    batch = np.full((len(rows), max(map(len, rows))), filler)
    for filled, row in zip(batch, rows, strict=True):
        filled[: len(row)] = row
    return batch


def compare_model(pair: Pair, features: list[np.ndarray], tokens: list, padded: bool) -> list[dict[str, tuple]]:
    """For each utterance, features (T, M) and tokens (U,): each model stage three times: ours, float64, torch.

    With `padded` the utterances are one batch upstream, else each goes by itself.
    """
    length = max(map(len, features)) if padded else None
    batch = batch_tokens(tokens, pair.model.config.eos_token_id)
    groups = [range(len(features))] if padded else [[i] for i in range(len(features))]
    rows = []
    for group in groups:
        given = numbered("features", [features[i] for i in group]) | {"tokens": batch[group]}
        _, theirs = pair.upstream("stages", given, folder=pair.folder)
        for row, i in enumerate(group):
            ours = model_stages(pair.model, features[i], tokens[i], length)
            truth = model_stages(pair.reference, features[i], tokens[i], length)
            rows.append({k: (ours[k], truth[k], theirs[k.split()[0]][row, : len(ours[k])]) for k in ours})
    return rows


def errors_of(rows: list[dict[str, tuple]]) -> list[Errors]:
    """Pool the recordings: one Errors a stage."""
    out = []
    for stage in rows[0]:
        ours, truth, torch = (np.concatenate([row[stage][i].ravel() for row in rows]) for i in range(3))
        out.append(Errors(stage, ours - torch, ours - truth, torch - truth, rms(truth)))
    return out


def trimmed(row: list[int], eos: int) -> tuple[int, ...]:
    """A row of an upstream batch without the padding after its first generated EOS."""
    return tuple(row[: row.index(eos, 1) + 1] if eos in row[1:] else row)


def upstream_tokens(pair: Pair, kind: str, given: list[np.ndarray], options: dict, padded: bool) -> list[tuple]:
    """Upstream's best hypotheses for what is given, kind "audio" or "features"; `options` as in `generate`."""
    groups = [given] if padded else [[one] for one in given]
    rows = []
    for group in groups:
        rows += pair.upstream("bare_generate", numbered(kind, group), folder=pair.folder, **options)[0]
    return [trimmed(row, pair.model.generation_config.eos_token_id) for row in rows]


def reasons(pair: Pair, tasks: list[Task], ours: list[tuple], theirs: list[tuple], padded: bool) -> list[str | None]:
    """Why tokens differ, one entry for each recording where they do: None for what has no explanation."""
    if ours == theirs:
        return []
    informed = upstream_tokens(pair, "features", [task.features for task in tasks], tasks[0].options, padded)
    found = []
    for task, a, b, c in zip(tasks, ours, theirs, informed, strict=True):
        if a != b:
            near_tie = None if a == c else explain(pair.model, pair.reference, task, [a], [b])
            found.append("features: upstream, given ours, says the same" if a == c else near_tie)
    return found


def compare_texts(pair: Pair, tasks: list[Task], recordings: list[np.ndarray], padded: bool) -> bool:
    """Print how many token rows and texts agree, and explain those that do not; whether all is explained."""
    ours = [task.solve(pair.model)[0] for task in tasks]
    theirs = upstream_tokens(pair, "audio", recordings, tasks[0].options, padded)
    texts = pair.upstream("decode", folder=pair.folder, tokens=[list(map(int, row)) for row in theirs])[0]
    same_texts = sum(a == b for a, b in zip(pair.model.tokenizer.batch_decode(ours), texts, strict=True))
    why = reasons(pair, tasks, ours, theirs, padded)
    print(f"{'tokens':16} {len(ours) - len(why)} of {len(ours)} recordings identical")
    print(f"{'text':16} {same_texts} of {len(ours)} recordings identical")
    for reason in why:
        print(f"  {reason or 'UNEXPLAINED'}")
    return all(why)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("audio", nargs="+")
    parser.add_argument("--padded", action="store_true")
    parser.add_argument("--max-length", type=int)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has torch and transformers")
    return parser.parse_args()


def report(pair: Pair, recordings: list[np.ndarray], options: dict, padded: bool) -> bool:
    """Print the table; whether every stage keeps its tolerance and every other token is explained."""
    features = [pair.model.features_of_samples(samples) for samples in recordings]
    length = max(map(len, features)) if padded else None
    tokens = [pair.model.generate(x, **options)[0].tokens for x in features]
    errors = errors_of(compare_features(pair, recordings))
    errors += errors_of(compare_model(pair, features, tokens, padded))
    print(HEADER, *(e.line() for e in errors), sep="\n")
    explained = compare_texts(pair, [Task(x, options, (), length) for x in features], recordings, padded)
    return explained and all(e.within for e in errors)


def main():
    given = arguments()
    options = {} if given.max_length is None else {"max_length": given.max_length}
    with Upstream(given.python) as upstream:
        pair = load_pair(given.checkpoint, upstream, given.backend)
        versions = ", ".join(f"{k} {v}" for k, v in upstream("versions")[0].items())
        print(f"{pair.folder}, backend {pair.model.backend.name}, {len(given.audio)} recordings; {versions}")
        recordings = [audio.load(path, pair.model.feature_config.sampling_rate) for path in given.audio]
        within = report(pair, recordings, options, given.padded)
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
