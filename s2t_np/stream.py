"""Recordings of any length, a segment at a time."""

import zlib
from collections.abc import Generator
from dataclasses import dataclass

from . import audio as audio_room
from .segment import Segment


@dataclass(frozen=True)
class StreamOptions:
    """How a recording is cut and what is asked beside the text."""

    word_timestamps: bool = False


def compression_ratio(text: str) -> float:
    """Bytes of a text over bytes of it compressed by zlib: 1 for nothing, above 2.4 where it repeats itself."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 1.0


def stream(
    model, audio, sampling_rate: int | None = None, options: StreamOptions | None = None, **generation
) -> Generator[Segment, None, float]:
    """Transcribe `audio` (as in S2T.features) segment by segment; returns its duration (s)."""
    options = options or StreamOptions()
    samples = audio_room.load(audio, model.feature_config.sampling_rate, sampling_rate)
    hypotheses = model.generate(model.features_of_samples(samples), **generation)
    texts = model.tokenizer.batch_decode([h.tokens for h in hypotheses])
    best = hypotheses[0]
    tokens = best.generated[:-1] if best.finished else best.generated
    logprob = best.log_prob / max(1, len(best.token_log_probs))
    duration = len(samples) / model.feature_config.sampling_rate
    yield Segment(
        0,
        0.0,
        duration,
        texts[0],
        tokens,
        logprob,
        compression_ratio(texts[0]),
        None,
        (),
        tuple(hypotheses),
        tuple(texts),
    )
    return duration
