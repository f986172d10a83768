"""Hotwords: phrases that a search prefers, by shallow fusion with a trie of their tokens.

A token that begins or continues a phrase gets a bonus, in units of natural log-probability. If the phrase then breaks
off, the bonus of its beginning is taken back, so that a word which only begins like a hotword gains nothing. A phrase
is complete when the word after it begins, or the text ends: "▁five" followed by "s" is not the hotword "five".

The automaton is that of Aho and Corasick 1975, "Efficient string matching"; its use as a bonus in beam search is from
Pundak et al. 2018 (arXiv 1808.02480), section 2.2, on-the-fly rescoring.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

ROOT = 0


class Phrase(NamedTuple):
    """The tokens of a phrase, and the bonus of each."""

    tokens: tuple[int, ...]
    weight: float


class Hotwords(NamedTuple):
    """Phrases, and what the search has to know of the vocabulary."""

    phrases: tuple[Phrase, ...]
    inside: tuple[int, ...]  # the tokens that continue a word


class Node:
    """A path from the root: the beginning of one phrase or several."""

    def __init__(self, depth: int, value: float, floor: float):
        self.depth, self.value, self.floor = depth, value, floor  # the bonus so far; what of it cannot be lost
        self.children: dict[int, int] = {}
        self.is_end, self.fail = False, ROOT


class Trie:
    """The automaton of some hotwords."""

    def __init__(self, hotwords: Hotwords):
        self.nodes = [Node(0, 0.0, 0.0)]
        for phrase in sorted(hotwords.phrases, key=lambda phrase: len(phrase.tokens)):
            self.add(phrase)
        self.inside = np.array(hotwords.inside, np.int64)
        self.deepest = max(node.depth for node in self.nodes)
        self.link()

    def add(self, phrase: Phrase) -> None:
        """Add a phrase; shorter ones come first."""
        at = ROOT
        for token in phrase.tokens:
            parent = self.nodes[at]
            if token not in parent.children:
                parent.children[token] = len(self.nodes)
                floor = parent.value if parent.is_end else parent.floor
                self.nodes.append(Node(parent.depth + 1, parent.value + phrase.weight, floor))
            at = parent.children[token]
        self.nodes[at].is_end = True

    def link(self) -> None:
        """Let every node know the longest other path that its own path ends in."""
        waiting = list(self.nodes[ROOT].children.values())
        for at in waiting:
            for token, child in self.nodes[at].children.items():
                self.nodes[child].fail = self.next(self.nodes[at].fail, token)
                waiting.append(child)

    def next(self, at: int, token: int) -> int:
        """The state after one more token."""
        while token not in self.nodes[at].children:
            if at == ROOT:
                return ROOT
            at = self.nodes[at].fail
        return self.nodes[at].children[token]

    def state(self, tokens: np.ndarray) -> int:
        """The state after a row of tokens (U,); only its end matters."""
        at = ROOT
        for token in tokens[-self.deepest :].tolist():
            at = self.next(at, token)
        return at

    def following(self, at: int) -> Iterator[tuple[int, int]]:
        """(token, next state) of every token that does not lead back to the root."""
        seen: set[int] = set()
        while True:
            for token, child in self.nodes[at].children.items():
                if token not in seen:
                    seen.add(token)
                    yield token, child
            if at == ROOT:
                return
            at = self.nodes[at].fail

    def edit(self, tokens: np.ndarray, scores: np.ndarray) -> None:
        """Add to scores (K, V) the change of the bonus of each row of tokens (K, U); a constraint's edit."""
        for row, history in zip(scores, tokens, strict=True):
            self.add_bonus(row, self.state(history))

    def add_bonus(self, row: np.ndarray, at: int) -> None:
        """The same for one row (V,) in the state `at`."""
        node = self.nodes[at]
        after = [(token, child, row[token]) for token, child in self.following(at)]
        if node.is_end:
            row[self.inside] -= node.value - node.floor
        elif node.value > node.floor:
            row -= node.value - node.floor
        for token, child, score in after:
            row[token] = score + self.gain(node, token, self.nodes[child])

    def gain(self, node: Node, token: int, child: Node) -> float:
        """The change of the bonus where a token leads on, in the same phrase or after it broke off."""
        if node.children.get(token) is not None:
            return child.value - node.value
        kept = node.value if node.is_end and token not in self.inside else node.floor
        return kept - node.value + child.value


@lru_cache(maxsize=8)
def trie_of(hotwords: tuple) -> Trie:
    """The automaton of Hotwords, as such or as the plain tuples that options hold, built once for all utterances."""
    phrases, inside = hotwords
    return Trie(Hotwords(tuple(Phrase(*phrase) for phrase in phrases), inside))
