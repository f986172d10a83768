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

from . import audio as audio_room
from .config import measured
from .cut import Piece, pieces
from .likeness import LikenessOptions, like_speech
from .segment import Segment
from .stitch import stitched
from .trust import TrustOptions, average_log_prob, believed, compression_ratio
from .vad import VadOptions


@dataclass(frozen=True)
class StreamOptions(VadOptions, LikenessOptions, TrustOptions):
    """How a recording is cut, what is no speech, when a text is doubted, and what is asked beside the text."""

    word_timestamps: bool = field(default=False, metadata={"help": "find out when each word was said"})
    max_whole_duration: float = measured(30.0, "seconds of a recording that is heard whole, uncut; not a live one")


def stream(
    model, audio, sampling_rate: int | None = None, options: StreamOptions | None = None, **generation
) -> Iterator[Segment]:
    """Transcribe a recording of any length: its segments, each as soon as it is done.

    `audio` as in S2T.features, or an iterator of arrays (n,) at `sampling_rate` Hz; `generation` as in S2T.generate.
    A pipe is read as it fills. Pieces in which nothing was understood give no segment. Raises OptionError at once;
    AudioError, after the segments before it, where the recording is damaged or cut short.
    """
    options = options or StreamOptions()
    model.generation_config.replace(**{name: value for name, value in generation.items() if name != "prefix"})
    rate = model.feature_config.sampling_rate
    found = pieces(audio_room.blocks(audio, rate, sampling_rate), rate, options)
    spoken = (piece for piece in found if like_speech(piece.samples, rate, options))
    return numbered(joined(model, spoken, options, generation))


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
    memory = model.encode(model.features_of_samples(piece.samples))

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
        flags=flags,
        hypotheses=tuple(hypotheses),
        texts=tuple(texts),
    )
