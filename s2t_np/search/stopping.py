"""The ends of a text: EOS, max_length, a time, a string to stop at, or a function of the caller's."""

import time
from collections.abc import Sequence

import numpy as np

from ..errors import OptionError
from ..settings.generation_config import GenerationConfig
from .hooks import Hooks, Stop


def stops(options: GenerationConfig, hooks: Hooks) -> tuple[Stop, ...]:
    """The reasons to stop besides EOS and max_length, asked after every token; the time runs from this call."""
    found = hooks.stops
    if options.max_time is not None:
        found = (*found, deadline(options.max_time))
    if options.stop_strings:
        if hooks.pieces is None:
            raise OptionError(
                "stop_strings are given, but no tokenizer that tells the text of a token; pass tokenizer="
            )
        found = (*found, stop_at(as_strings(options.stop_strings), hooks.pieces))
    return found


def check_stop_strings(options: GenerationConfig, hooks: Hooks) -> None:
    """Raise OptionError for stop_strings where nothing tells the text of a token."""
    if options.stop_strings and hooks.pieces is None:
        raise OptionError("stop_strings are given, but no tokenizer that tells the text of a token; pass tokenizer=")


def ended_rows(tokens: np.ndarray, options: GenerationConfig, others: Sequence[Stop]) -> np.ndarray:
    """True for rows (K, U) that end with their newest token, for any reason: (K,) bool."""
    over = np.full(len(tokens), tokens.shape[1] >= options.max_length)
    for end in options.eos_token_ids:
        over |= tokens[:, -1] == end
    for stop in others:
        over = over | np.asarray(stop(tokens), bool).reshape(len(tokens))
    return over


def deadline(seconds: float) -> Stop:
    """Stop every row once that time has passed."""
    end = time.monotonic() + seconds
    return lambda tokens: np.full(len(tokens), time.monotonic() > end)


def as_strings(strings: str | Sequence[str]) -> tuple[str, ...]:
    """One string or several, as a tuple."""
    return (strings,) if isinstance(strings, str) else tuple(strings)


def stop_at(strings: Sequence[str], pieces: Sequence[str]) -> Stop:
    """Stop a row whose newest token completes one of the strings; the token may go on after it."""
    longest = max(map(len, strings))

    def is_complete(row: Sequence[int]) -> bool:
        texts = [pieces[token] if token < len(pieces) else "" for token in row]
        whole = "".join(texts)
        before = len(whole) - len(texts[-1])  # an earlier end was seen with an earlier token
        return any(whole.find(string, max(0, before - len(string) + 1)) >= 0 for string in strings)

    return lambda tokens: np.array([is_complete(row) for row in tokens[:, -longest - 1 :].tolist()])
