"""Recordings of any length, a segment at a time: `model.stream(...)`.

    blocks    the sound as it comes (audio.py)
    pieces    where somebody may be speaking, cut at pauses (vad.py, cut.py), without what is no voice (likeness.py)
    hear      features, memory, search, and a second search where the answer cannot be believed (trust.py)
    stitch    what was heard twice where a cut went through speech (stitch.py)

Each piece is transcribed by itself and given out before the next is read, so that memory does not grow with the
recording, and of a live one each segment is there when its pause has closed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from .. import audio as audio_room
from ..config import measured
from .fallback import TrustOptions, average_log_prob, believed, compression_ratio
from .merge import stitched
from .segment import Segment, Word
from .segmenter import Piece, pieces
from .speech_check import LikenessOptions, like_speech
from .vad import VadOptions
from .word_times import align

LONGEST_UTTERANCE = 30.0  # seconds: the model was trained on no longer ones


@dataclass(frozen=True)
class StreamOptions(VadOptions, LikenessOptions, TrustOptions):
    """How a recording is cut, what is no speech, when a text is doubted, and what is asked beside the text."""

    word_timestamps: bool = field(default=False, metadata={"help": "find out when each word was said"})
    max_whole_duration: float = measured(
        LONGEST_UTTERANCE, "seconds of a recording that is heard whole, uncut; not a live one"
    )


def stream(
    model, audio, sampling_rate: int | None = None, options: StreamOptions | None = None, **generation
) -> Iterator[Segment]:
    """Transcribe a recording of any length: its segments, each as soon as it is done.

    `audio` as in S2T.features, or an iterator of arrays (n,) at `sampling_rate` Hz; `generation` as in S2T.generate.
    A pipe is read as it fills. A recording of up to `max_whole_duration` is one segment, heard as S2T.transcribe hears
    it. Pieces in which nothing was understood give no segment. Raises OptionError at once; AudioError, after the
    segments before it, where the recording is damaged or cut short.
    """
    sound = audio_room.blocks(audio, model.feature_config.sampling_rate, sampling_rate)
    return segments_of(model, sound, audio_room.is_live(audio), options or StreamOptions(), generation)


def segments_of(
    model, sound: Iterator[np.ndarray], live: bool, options: StreamOptions, generation: dict
) -> Iterator[Segment]:
    """The same for blocks (n,) float32 of mono sound at the model's rate, `live` or from a file."""
    model.generation_config.replace(**{name: value for name, value in generation.items() if name != "prefix"})
    rate = model.feature_config.sampling_rate
    found = spoken(sound, rate, options) if live else whole_or_cut(sound, rate, options)
    return numbered(joined(model, found, options, generation))


def spoken(sound: Iterable[np.ndarray], rate: int, options: StreamOptions) -> Iterator[Piece]:
    """The pieces of blocks (n,) in which there may be a voice."""
    return (piece for piece in pieces(sound, rate, options) if like_speech(piece.samples, rate, options))


def whole_or_cut(sound: Iterator[np.ndarray], rate: int, options: StreamOptions) -> Iterator[Piece]:
    """The same; but of a short recording all of it is one piece, from its first word to its last."""
    limit = options.max_whole_duration * rate
    head, failure = audio_room.take_until(sound, limit)
    if sum(map(len, head)) > limit:
        yield from spoken(chain(head, sound), rate, options)
        return
    if found := list(spoken(head, rate, options)):
        yield Piece(np.concatenate(head), 0.0, found[0].start, found[-1].end, overlaps=False, continues=False)
    if failure:
        raise failure


def numbered(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Those with any text, counted from 0."""
    with_text = (segment for segment in segments if segment.text.strip())
    return (replace(segment, id=i) for i, segment in enumerate(with_text))


def joined(model, found: Iterable[Piece], options: StreamOptions, generation: dict) -> Iterator[Segment]:
    """The segments of the pieces; one whose end the next one hears too waits for it, to be stitched."""
    waiting = None
    for piece in found:
        segment = hear(model, piece, options, generation)
        if waiting and piece.overlaps:
            waiting, segment = stitched(waiting, segment, model.tokenizer)
        if waiting:
            yield waiting
            waiting = None
        if piece.continues:
            waiting = segment
        else:
            yield segment
    if waiting:
        yield waiting


def hear(model, piece: Piece, options: StreamOptions, generation: dict) -> Segment:
    """What was said in one piece."""
    features = model.features_of_samples(piece.samples)
    memory = model.encode(features)

    def search(**more):
        hypotheses = model.generate_from(memory, **(generation | more))
        return hypotheses, model.tokenizer.batch_decode([h.tokens for h in hypotheses])

    (hypotheses, texts), flags = believed(search, options)
    best = hypotheses[0]
    return Segment(
        id=0,
        start=piece.start,
        end=piece.end,
        text=texts[0],
        tokens=best.generated[:-1] if best.finished else best.generated,
        avg_logprob=average_log_prob(best),
        compression_ratio=compression_ratio(texts[0]),
        words=timed(align(model, features, memory, best), piece.offset) if options.word_timestamps else None,
        flags=flags,
        hypotheses=tuple(hypotheses),
        texts=tuple(texts),
    )


def timed(words: Iterable[Word], offset: float) -> tuple[Word, ...]:
    """Words of a piece that begins `offset` seconds into the recording, with their times in the recording."""
    return tuple(replace(word, start=word.start + offset, end=word.end + offset) for word in words)
