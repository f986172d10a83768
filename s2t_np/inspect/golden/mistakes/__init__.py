"""The usual mistakes: what a stage would hold if it had been computed wrong in a known way.

Every function takes the `Evidence` of the stages before and the name of the stage; it yields a mistake, in words, and
the numbers that it leads to. TABLE lists the functions for each stage. Frameworks differ in what they call a window, a
variance, a layer normalisation: most of these mistakes are the default of one of them.
"""

from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase

from .evidence import Absent, Evidence, Guesses
from .network import (
    activation,
    bias,
    context,
    embeddings,
    gate,
    norm,
    positions,
    probabilities,
    residual,
    scale,
    weights,
)
from .sound import CHAIN, carried_on, logarithm, mel, normalisation, preemphasis, spectrum, window

__all__ = ["Evidence", "guesses", "guesses_before"]

TABLE: tuple[tuple[str, Callable[[Evidence, str], Guesses]], ...] = (
    ("features.preemphasize", preemphasis),
    ("features.povey_window", window),
    ("features.windowed", window),
    ("features.power_spectrum", spectrum),
    ("features.mel", mel),
    ("features.mel_bank", mel),
    ("features.log_mel", logarithm),
    ("features.cmvn", normalisation),
    ("*.glu", gate),
    ("*.embed_scale", scale),
    ("*.embed_positions", positions),
    ("*.embeddings", embeddings),
    ("*.embeddings", positions),
    ("*layer_norm", norm),
    ("*.attn_weights", weights),
    ("*.context", context),
    ("*_residual", residual),
    ("*.output", residual),
    ("*.activation_fn", activation),
    ("*", bias),
    ("log_probs", probabilities),
)


def guesses(evidence: Evidence, stage: str) -> Guesses:
    """All guesses that TABLE has for a stage, as far as the pack holds the stages that they start from."""
    for pattern, function in TABLE:
        if fnmatchcase(stage, pattern):
            with suppress(Absent):
                yield from function(evidence, stage)


def guesses_before(evidence: Evidence, stage: str) -> Guesses:
    """The same for stages of the features that the dump does not hold, right before this one, carried on to it."""
    names = [name for name, _ in CHAIN]
    for before in reversed(names[: names.index(stage)] if stage in names else []):
        if before in evidence.dump:
            return
        if before not in evidence.pack.truth:
            continue
        for says, x in guesses(evidence, before):
            if x.shape == evidence.pack.truth[before].shape:
                yield f"{says} ({before}, which the dump does not hold)", carried_on(evidence, x, before, stage)
