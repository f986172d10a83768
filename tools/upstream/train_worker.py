"""The upstream side of training: torch's autograd and optimizers, in a process of their own.

Started by `pipe.py`, never imported. Arrays are features.i (T, M) and labels.i (U,). For gradients each
utterance goes through the model by itself, so that no padding is heard; `update` takes them as one padded batch.
"""

import os
import resource
import sys
import time

import numpy as np
import torch
import transformers
from transformers import Speech2TextForConditionalGeneration

sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # last, so that it hides nothing; for the import below
from serve_jobs import numbered, serve

IGNORED = -100  # what transformers takes for "no label"


def load(folder: str, dtype: str, dropout: bool = False):
    """The model in `dtype`, without noise unless `dropout`."""
    model = Speech2TextForConditionalGeneration.from_pretrained(folder).to(getattr(torch, dtype))
    return model.train() if dropout else model.eval()


def pairs(arrays: dict, dtype: str) -> list:
    """Features (1, T, M) and labels (1, U) of each utterance."""
    features = [torch.from_numpy(x)[None].to(getattr(torch, dtype)) for x in numbered(arrays, "features")]
    return list(zip(features, [torch.from_numpy(y)[None] for y in numbered(arrays, "labels")], strict=True))


def summed_loss(model, data, smoothing: float):
    """The loss of labels=, or with label smoothing fairseq's formula, summed over all tokens; backward is done."""
    total = 0.0
    for x, y in data:
        out = model(input_features=x, labels=y)
        loss = out.loss * y.shape[1]
        if smoothing:
            log_p = out.logits.log_softmax(-1)
            nll = -log_p.gather(-1, y[..., None]).sum()
            others = smoothing / (log_p.shape[-1] - 1)
            loss = (1 - smoothing - others) * nll - others * log_p.sum()
        loss.backward()
        total += loss.item()
    return total


def gradients(arrays: dict, folder: str, dtype: str, smoothing: float = 0.0) -> tuple[float, dict]:
    """The summed loss, and the gradient of every parameter by its name."""
    model = load(folder, dtype)
    loss = summed_loss(model, pairs(arrays, dtype), smoothing)
    found = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
    return loss, found


def updates(arrays: dict, folder: str, dtype: str, count: int, rate: float, warmup: int, clip: float):
    """`count` updates of Adam on the mean loss of all utterances, clipped, with the inverse square root schedule.

    The lengths of the gradients, and every parameter in the end.
    """
    model, data, lengths = load(folder, dtype), pairs(arrays, dtype), []
    tokens = sum(y.shape[1] for _, y in data)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.98), eps=1e-8)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (warmup / (step + 1)) ** 0.5)
    )
    for _ in range(count):
        optimizer.zero_grad()
        summed_loss(model, data, 0.1)
        for p in model.parameters():
            if p.grad is not None:
                p.grad /= tokens
        lengths.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip)))
        optimizer.step()
        schedule.step()
    return lengths, {name: p.detach().numpy() for name, p in model.named_parameters()}


def padded_batch(arrays: dict):
    """All utterances as one padded batch: features (B, T, M), mask (B, T), labels (B, U)."""
    features, labels = numbered(arrays, "features"), numbered(arrays, "labels")
    x = np.zeros((len(features), max(map(len, features)), features[0].shape[1]), np.float32)
    mask = np.zeros(x.shape[:2], np.int64)
    y = np.full((len(labels), max(map(len, labels))), IGNORED, np.int64)
    for b, (f, ids) in enumerate(zip(features, labels, strict=True)):
        x[b, : len(f)], mask[b, : len(f)], y[b, : len(ids)] = f, 1, ids
    return (torch.from_numpy(a) for a in (x, mask, y))


class Bench:
    """One model in training with all its noise, one update at a time."""

    model = optimizer = batch = None


def prepare(arrays: dict, folder: str) -> tuple[None, dict]:
    """Load the model and the batch that `update` works on."""
    Bench.model = load(folder, "float32", dropout=True)
    Bench.optimizer = torch.optim.Adam(Bench.model.parameters(), lr=1e-4, betas=(0.9, 0.98))
    Bench.batch = tuple(padded_batch(arrays))
    return None, {}


def update(arrays: dict) -> tuple[float, dict]:
    """Seconds of one update: forward, backward, clip, step."""
    x, mask, y = Bench.batch
    began = time.perf_counter()
    Bench.optimizer.zero_grad()
    logits = Bench.model(input_features=x, attention_mask=mask, labels=y).logits
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), y.flatten(), ignore_index=IGNORED, label_smoothing=0.1
    )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(Bench.model.parameters(), 10.0)
    Bench.optimizer.step()
    return time.perf_counter() - began, {}


def peak(arrays: dict) -> tuple[int, dict]:
    """The most memory this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, {}


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    serve((gradients, updates, prepare, update, peak))


if __name__ == "__main__":
    main()
