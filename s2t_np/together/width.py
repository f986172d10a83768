"""The number of utterances that run at a time, by the shape of the model.

There are enough of them that the arithmetic of a step outweighs the reading of its weights, and no more than memory
allows.
"""

from ..config import GenerationConfig, ModelConfig

ROWS = 64  # in a step; with more, reading the weights is a small part of it already
MOST = 16  # utterances; with more, the memories and histories that a step reads are the larger part
MEMORY = 512e6  # bytes that the caches of all running utterances may take
SECONDS, TOKENS = 30, 100  # a long utterance
POSITIONS = 25  # that the encoder makes of a second


def width_of(config: ModelConfig, options: GenerationConfig) -> int:
    """The number of utterances, at least 1, that run together when searched with `options`."""
    rows = options.num_return_sequences if options.do_sample else options.num_beams
    return max(1, min(MOST, ROWS // rows, int(MEMORY // cache_bytes(config, rows))))


def cache_bytes(config: ModelConfig, rows: int) -> int:
    """Bytes of the keys and values of a long utterance in float32: of its memory, and of its rows' tokens."""
    positions = SECONDS * POSITIONS + rows * TOKENS
    return 4 * 2 * config.decoder_layers * positions * config.d_model
