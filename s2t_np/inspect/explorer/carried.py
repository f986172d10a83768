"""Which arrays a page carries, and how exactly: a choice under a budget, so that ten seconds stay below 10 MB.

Arrays of pictures are always carried, if need be as 8-bit steps. Then, in the order of `EXACT`, whatever still fits is
carried as the float32 numbers that the model computed; other arrays (queries, keys, ...) fit or are left out.
What the page's program computes itself, exactly as Python does, is never carried (`DERIVED`).
"""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

import numpy as np

BUDGET = 11_000_000  # bytes, before deflation
LISTED_PIECES = 512  # a page carries no more of a vocabulary than the pieces that it shows, if it is larger
DERIVED = (  # page.derived.js has a function for each
    *("features.frames", "features.remove_dc", "features.preemphasize", "features.povey_window", "features.windowed"),
    *("features.mel_bank", "*.embed_scale", "*.embed_positions", "*.activation_fn", "decoder.input_ids", "tokens"),
)
EXACT = (
    *("samples", "features.cmvn", "features.log_mel", "log_probs", "lm_head", "decoder.layers.*.attn_weights"),
    *("features.mel", "encoder.conv.conv_layers.*.glu", "encoder.embeddings", "encoder.layer_norm"),
    *("decoder.*", "encoder.conv.conv_layers.*", "features.power_spectrum", "encoder.layers.*"),
)  # the most wanted first; of equal patterns in the order of the trace


def carried(trace: Mapping[str, np.ndarray], drawn: Iterable[str], budget: int = BUDGET) -> dict[str, int]:
    """{stage: bytes of a number}: 4 exact, 2 or 1 as steps of a scale. `drawn`: the stages that have pictures."""
    sizes = {name: trace[name].size for name in trace if not is_derived(name)}
    chosen = {name: 1 for name in dict.fromkeys(drawn) if name in sizes}
    left = budget - sum(sizes[name] for name in chosen)
    for width, names in ((4, sizes), (2, chosen)):  # first exact ones, then what is left of the pictures in finer steps
        for name in by_want(names):
            more = sizes[name] * (width - chosen.get(name, 0))
            if 0 < more <= left:
                chosen[name], left = width, left - more
    return chosen


def is_derived(stage: str) -> bool:
    """Whether the page's program computes a stage from others."""
    return any(fnmatchcase(stage, pattern) for pattern in DERIVED)


def by_want(names: Iterable[str]) -> Iterator[str]:
    """The names that match EXACT, the most wanted first."""
    names = list(names)
    yield from dict.fromkeys(name for pattern in EXACT for name in names if fnmatchcase(name, pattern))


def columns_of(log_probs: np.ndarray, listed: Iterable[int]) -> np.ndarray | None:
    """The columns of log_probs (U, V) to carry, None for all: those of the `listed` pieces where V is large."""
    return None if log_probs.shape[-1] <= LISTED_PIECES else np.array(sorted(set(listed)))
