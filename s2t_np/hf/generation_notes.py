"""Notes of a search, step by step; `generate` makes its dict of results from them.

A row is one of the K beams, or one of K independent paths. Rows that begin with the same tokens are the same to the
decoder, so tokens identify the row that a hypothesis went through.
"""

import numpy as np

from ..search import Asking, Hypothesis, NextToken
from .layer_outputs import LayerOutputs


class Notes:
    """One utterance's notes: for each generated token the rows before it, and their scores and logits."""

    def __init__(self):
        self.rows: list[np.ndarray] = []  # (K, U) tokens so far
        self.scores: list[np.ndarray] = []  # (K, V) what the search chose from
        self.logits: list[np.ndarray] = []  # (K, V) as the decoder gave them
        self.answer: np.ndarray | None = None

    def watch(self, tokens: np.ndarray, scores: np.ndarray) -> None:
        """Note a step, as `search.Hooks.watch`."""
        self.rows.append(tokens.copy())
        self.scores.append(scores)
        self.logits.append(self.answer)

    def listening(self, search: Asking) -> Asking:
        """The same search; the logits of every answer to it are noted before it changes them."""
        answer: NextToken | None = None
        try:
            while True:
                ask = search.send(answer)
                answer = yield ask
                self.answer = answer.logits.copy()
        except StopIteration as end:
            return end.value

    def row_of(self, step: int, tokens: tuple[int, ...]) -> int:
        """The first row that held these tokens before a step."""
        return int((self.rows[step] == np.array(tokens)).all(axis=1).argmax())

    def path(self, hypothesis: Hypothesis) -> list[int]:
        """The row that each generated token of a hypothesis continued."""
        start = len(hypothesis.tokens) - len(hypothesis.token_log_probs)
        return [self.row_of(step, hypothesis.tokens[: start + step]) for step in range(len(hypothesis.token_log_probs))]

    def chosen_rows(self, hypotheses: list[Hypothesis], beams: int) -> list[list[int | None]]:
        """For each step the rows to show: all beams, or that of each hypothesis, None where it had ended."""
        if beams > 1:
            return [list(range(beams))] * len(self.rows)
        paths = [self.path(hypothesis) for hypothesis in hypotheses]
        return [[path[step] if step < len(path) else None for path in paths] for step in range(len(self.rows))]


class Passes:
    """The outputs of the decoder's layers at every position of a search, by as few passes as reach all."""

    def __init__(self, notes: Notes, run):
        """`run(tokens)` gives the LayerOutputs of a pass."""
        self.rows, self.known = notes.rows, {}
        for rows in reversed(notes.rows):  # longest first: a pass knows all of its beginnings
            for row in map(tuple, rows.tolist()):
                if row not in self.known:
                    seen = run(np.array(row))
                    for length in range(1, len(row) + 1):
                        self.known.setdefault(row[:length], seen)

    def at(self, step: int, row: int, field: str) -> list[np.ndarray]:
        """Each layer's output for a row of a step: the first step has all positions of the prompt, others their own.

        hidden_states (P, D), attentions (H, P, U), cross_attentions (H, P, S), where P is 1 after the first step.
        """
        tokens = tuple(self.rows[step][row].tolist())
        seen: LayerOutputs = self.known[tokens]
        length = len(tokens)
        own = slice(0 if step == 0 else length - 1, length)
        if field == "hidden_states":
            return [x[own] for x in seen.hidden_states]
        reach = slice(0, length) if field == "attentions" else slice(None)
        return [x[:, own, reach] for x in getattr(seen, field)]
