"""The search on the page: the tokens of the transcript, the alternatives to each, and the tree of beams."""

import numpy as np

from ...tokenizer import Tokenizer
from ..trace import Trace

LISTED = 8  # the number of alternatives to a token


def piece(tokenizer: Tokenizer, token: int) -> str:
    """The piece of one token, as the vocabulary spells it."""
    return tokenizer.pieces([token])[0]


def tokens_of(trace: Trace, tokenizer: Tokenizer) -> list[dict]:
    """The generated tokens of the best transcript: id, piece, probability."""
    best = trace.transcript.hypotheses[0]
    return [
        {"id": int(token), "piece": piece(tokenizer, token), "probability": float(np.exp(log_prob))}
        for token, log_prob in zip(best.generated, best.token_log_probs, strict=True)
    ]


def words_of(trace: Trace, tokenizer: Tokenizer) -> list[dict]:
    """The words of the transcript, each with its text and the places of its tokens; ▁ (U+2581) begins a word."""
    words: list[dict] = []
    for place, token in enumerate(tokens_of(trace, tokenizer)):
        text = token["piece"]
        if token["id"] in tokenizer.special_ids:
            continue
        if text.startswith("\u2581") or not words:
            words.append({"text": text.removeprefix("\u2581"), "tokens": [place]})
        else:
            words[-1]["text"] += text
            words[-1]["tokens"].append(place)
    return words


def alternatives(trace: Trace, tokenizer: Tokenizer) -> list[list[dict]]:
    """For every generated token, it and the likeliest ones at its place, most probable first."""
    generated = trace.transcript.hypotheses[0].generated
    rows = trace["log_probs"][-len(generated) :]
    return [alternatives_at(row, int(token), tokenizer) for row, token in zip(rows, generated, strict=True)]


def alternatives_at(log_probs: np.ndarray, chosen: int, tokenizer: Tokenizer) -> list[dict]:
    """The same at one place: log-probabilities (V,)."""
    likeliest = np.argsort(-log_probs, kind="stable")[:LISTED].tolist()
    listed = likeliest if chosen in likeliest else [*likeliest, chosen]
    return [
        {"id": t, "piece": piece(tokenizer, t), "probability": float(np.exp(log_probs[t])), "chosen": t == chosen}
        for t in listed
    ]


def tree_of(trace: Trace, tokenizer: Tokenizer) -> dict:
    """The candidates of every step, in the search's own order, impossible ones left out."""
    steps: dict[int, list[dict]] = {}
    for candidate in trace.tree.candidates:
        if np.isfinite(candidate.score):  # JSON knows no infinity
            record = candidate._asdict() | {"piece": piece(tokenizer, candidate.token)}
            steps.setdefault(candidate.step, []).append(record)
    return {"kind": trace.tree.kind, "rows": trace.tree.rows, "end": trace.tree.end, "steps": list(steps.values())}
