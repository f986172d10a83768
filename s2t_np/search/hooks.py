"""The functions that a caller may put into a search. Arrays are numpy's: K rows, U tokens so far, V vocabulary.

They take part where transformers' `generate` lets them: `allowed` among the constraints, `processors` after all of
them, `stops` beside EOS and max_length. `watch` sees the scores in the end and changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Stop = Callable[[np.ndarray], np.ndarray]  # tokens (K, U), the newest included -> which rows end here: (K,) bool


class Hooks(NamedTuple):
    """Functions of the caller's; none by default."""

    allowed: Callable[[np.ndarray], Sequence[int]] | None = None  # tokens (U,) of one row -> ids that may come next
    processors: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = ()  # tokens, scores (K, V) -> scores
    stops: tuple[Stop, ...] = ()
    watch: Callable[[np.ndarray, np.ndarray], None] | None = None  # tokens, and scores that all else has acted on
    pieces: Sequence[str] | None = None  # the text that each token id adds, (V,); stop_strings cannot do without


NO_HOOKS = Hooks()
