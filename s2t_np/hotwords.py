"""Hotwords as text -> Hotwords as the search takes them: "Kubernetes, Łódź:4".

Commas separate phrases; a number after a colon is the phrase's own weight. The letter case is the vocabulary's: a
phrase that it cannot spell is tried in lower and in upper case.
"""

import math
import warnings
from collections.abc import Iterable, Iterator

from .errors import InputWarning, OptionError
from .search.hotwords import Hotwords, Phrase
from .tokenizer import Tokenizer

WEIGHT = 1.0  # natural log-probability for each token; docs/long-recordings.md has what it does
MOST_WEIGHT, MOST_PHRASES = 100.0, 1000
WORD_START = "▁"  # sentencepiece's sign for the space before a word


def parsed(text: str) -> Iterator[tuple[str, float]]:
    """The phrases of a text and their weights. Raises OptionError."""
    for part in filter(None, map(str.strip, text.split(","))):
        phrase, colon, number = part.rpartition(":")
        try:
            weight = float(number) if colon else WEIGHT
        except ValueError:
            phrase, weight = part, WEIGHT  # a colon of its own
        if not colon:
            phrase = part
        if not phrase.strip() or not math.isfinite(weight) or not 0 < weight <= MOST_WEIGHT:
            raise OptionError(
                f"hotwords: {part!r:.80} is not a phrase, or a phrase, a colon and a weight above 0, at most "
                f"{MOST_WEIGHT:g}; expected such as Kubernetes, Łódź:4"
            )
        yield phrase.strip(), weight


def spelled(phrase: str, tokenizer: Tokenizer) -> tuple[int, ...] | None:
    """The tokens of a phrase, as it is or in another case; None if the vocabulary cannot spell it."""
    for text in (phrase, phrase.lower(), phrase.upper()):
        tokens = tuple(tokenizer.vocab.get(piece, tokenizer.unk_token_id) for piece in tokenizer.tokenize(text))
        if tokens and tokenizer.unk_token_id not in tokens:
            return tokens
    return None


def hotwords(given: str | Iterable[str], tokenizer: Tokenizer) -> Hotwords | None:
    """Phrases for the search; None if there are none. A phrase that cannot be spelled is left out with a warning.

    Raises OptionError.
    """
    texts = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if not all(isinstance(text, str) for text in texts):
        raise OptionError(f"hotwords is {given!r:.80}, expected phrases separated by commas")
    phrases = {}
    for phrase, weight in (pair for text in texts for pair in parsed(text)):
        if (tokens := spelled(phrase, tokenizer)) is None:
            warnings.warn(f"hotword {phrase!r:.60}: the model's vocabulary cannot spell it", InputWarning, stacklevel=2)
        else:
            phrases[tokens] = Phrase(tokens, weight)
    if len(phrases) > MOST_PHRASES:
        raise OptionError(f"hotwords: {len(phrases)} phrases, expected at most {MOST_PHRASES}")
    inside = (i for i, piece in enumerate(tokenizer.id_to_piece) if not piece.startswith(WORD_START))
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    return Hotwords(tuple(phrases.values()), tuple(i for i in inside if i not in ends)) if phrases else None
