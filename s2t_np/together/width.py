"""The number of utterances that run at a time, by the shape of the model, how its weights are kept, and the beams.

What could not run at all for want of memory is refused here: too many hypotheses, an utterance that is too long.

A step reads the weights of the decoder once for all utterances, and for each of them the keys and values of its own
sound. Sharing pays until these are as much as the weights, or until the arithmetic of as many rows takes longer than
the reading; memory sets a limit too.
"""

from ..config import GenerationConfig, ModelConfig
from ..errors import AudioError, OptionError
from ..system import memory

ROWS = 64  # in a step; with more, reading the weights is a small part of its time already
MEMORY = 512e6  # bytes that the caches of all running utterances may take
SHORT, LONG = 10, 30  # seconds of usual utterances, and of the longest ones
FRAMES, POSITIONS = 100, 25  # in a second: rows of features, and what the encoder makes of them
LOGITS = 4  # arrays of the size of the vocabulary that a row takes while it is searched
TOKENS = 100  # that a long utterance has


def width_of(config: ModelConfig, options: GenerationConfig, weight_bytes: int) -> int:
    """The number of utterances, at least 1, that run together when searched with `options`.

    `weight_bytes`: of each weight, as the backend keeps it.
    """
    single = options.do_sample and options.num_beams == 1
    rows = options.num_return_sequences if single else options.num_beams
    by_reading = weight_bytes * decoder_weights(config) / cache_bytes(config, SHORT * POSITIONS)
    by_memory = MEMORY / cache_bytes(config, LONG * POSITIONS + rows * TOKENS)
    return max(1, min(ROWS // rows, round(by_reading), int(by_memory)))


def check_memory(config: ModelConfig, options: GenerationConfig, utterances: int = 1) -> None:
    """Raise OptionError if that many utterances at a time might need more memory than is free."""
    rows = utterances * max(options.num_beams, options.num_return_sequences)
    longest = options.max_length if options.max_new_tokens is None else options.max_new_tokens
    sound = utterances * cache_bytes(config, LONG * POSITIONS)
    if short := memory.lacking(sound + rows * (cache_bytes(config, longest) + LOGITS * 4 * config.vocab_size)):
        raise OptionError(
            f"{rows} hypotheses side by side (batch {utterances}, num_beams {options.num_beams}) of up to {longest} "
            f"tokens may need {short}; expected fewer of them or a lower max_length"
        )


def check_length(config: ModelConfig, frames: int) -> None:
    """Raise AudioError if an utterance of T frames, not cut, might need more memory than is free."""
    if short := memory.lacking(utterance_bytes(config, frames)):
        raise AudioError(
            f"{frames / FRAMES:,.0f} s heard as one utterance may need {short}; hear the recording in segments, as "
            "transcribe does beyond max_whole_duration, or cut it"
        )


def utterance_bytes(config: ModelConfig, frames: int) -> int:
    """Bytes of an utterance of T frames, about: its features, the largest rows of its encoder, its keys and values.

    The rows: both halves of a convolution's gate, and the position rows in and out of a layer with their queries, keys
    and values. Attention scores are never there as a whole, so that the memory is linear in T.
    """
    positions = frames >> config.num_conv_layers
    rows = positions * (config.conv_channels + 8 * config.d_model)
    return 4 * (frames * config.input_feat_per_channel + rows) + cache_bytes(config, positions)


def decoder_weights(config: ModelConfig) -> int:
    """The number of weights that a step reads: of all matrices but the cross-attention's keys and values."""
    width = config.decoder_width
    layer = 6 * width * width + 2 * width * config.decoder_ffn_dim
    return config.decoder_layers * layer + width * config.vocab_size


def cache_bytes(config: ModelConfig, positions: int) -> int:
    """Bytes of keys and values, in float32, at that many positions of every decoder layer; of one if there is none."""
    return 4 * 2 * max(1, config.decoder_layers) * positions * config.decoder_width
