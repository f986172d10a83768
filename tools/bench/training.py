"""One training update here and in torch, on the same batch, one after the other in turn: seconds and memory.

    python -m tools.bench.training [--shape small] [--utterances 8] [--turns 7] [--threads 2]

An update is forward, backward, clipping and a step of Adam, with all the dropout of the config. The utterances have
from half of --seconds to --seconds; torch gets them as one padded batch, as its users do.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np.config import read_json
from s2t_np.training.derivatives.dropout import Dropout, Rates
from s2t_np.training.derivatives.network import backward, forward, make_batch
from s2t_np.training.derivatives.parameters import named, writable
from s2t_np.training.optimizer import Adam, clip
from tools.random_checkpoint import shape_config, write_checkpoint
from tools.upstream.pipe import Upstream, numbered

WORKER = Path(__file__).resolve().parents[1] / "upstream" / "train_worker.py"


def utterances(count: int, seconds: float, config):
    """Noise of several lengths, and about three labels a second."""
    rng = np.random.default_rng(0)
    frames = np.linspace(50 * seconds, 100 * seconds, count).astype(int)
    features = [rng.standard_normal((n, config.input_feat_per_channel)).astype(np.float32) for n in frames]
    return features, [np.array([*rng.integers(4, config.vocab_size, max(1, n // 33)), 2]) for n in frames]


class Ours:
    """One model of ours in training."""

    def __init__(self, folder: Path, features, labels):
        model = s2t_np.load(folder, backend="numpy")
        self.config, self.rates = model.config, Rates.from_json(read_json(folder / "config.json"))
        self.parameters, self.w = writable(model.weights, model.config)
        self.optimizer = Adam.start(self.parameters, self.parameters)
        self.batch, self.rng = make_batch(list(zip(features, labels, strict=True)), model.config), None

    def update(self) -> float:
        """Seconds of one update."""
        began = time.perf_counter()
        dropout = Dropout(self.rates, np.random.default_rng(self.optimizer.count))
        loss, kept = forward(self.w, self.config, self.batch, 0.1, dropout)
        gradients = named(backward(self.w, self.config, kept).weights, self.config)
        for gradient in gradients.values():
            gradient /= np.float32(loss.tokens)
        clip(gradients, 10.0)
        self.optimizer.step(self.parameters, gradients, 1e-4)
        return time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="small")
    parser.add_argument("--utterances", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", help="an interpreter that has torch (default: this one)")
    o = parser.parse_args()
    s2t_np.set_threads(o.threads)
    noise = {"dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_checkpoint(Path(scratch), shape_config(o.shape, **noise))
        features, labels = utterances(o.utterances, o.seconds, s2t_np.load(folder, backend="numpy").config)
        more = {"python": o.python} if o.python else {}
        with Upstream(threads=o.threads, worker=WORKER, **more) as upstream:
            upstream("prepare", numbered("features", features) | numbered("labels", labels), folder=str(folder))
            ours, times = Ours(folder, features, labels), []
            for _ in range(o.turns + 1):
                times.append((ours.update(), upstream("update")[0]))
            theirs = upstream("peak")[0]
    mine, torch = zip(*times[1:], strict=True)
    ratio = statistics.median(a / b for a, b in zip(mine, torch, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"update: {statistics.median(mine):.2f} s, torch {statistics.median(torch):.2f} s, ratio {ratio:.2f}")
    print(f"peak memory: {peak / 1e6:.0f} MB, torch {theirs / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
