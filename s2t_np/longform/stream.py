"""Transcribe recordings of any length, one segment at a time: `model.stream(...)`.

    blocks                the sound as it arrives (audio/)
    speech_pieces         stretches that may hold speech, cut at pauses (vad.py, segmenter.py, speech_check.py)
    hear_piece            features, memory, search, and a second search of a repetitive text (fallback.py)
    merge_pieces          text that was heard twice where a cut went through speech (merge.py)

The pieces of a file are decoded together, some at a time (the room together/): the next ones are cut and encoded
while earlier ones decode, and memory does not grow with the recording. Those of a live recording are decoded one after
the other, so that a segment is there as soon as its pause has closed. `has_speech` asks the same detector about a
recording that is heard whole. The detector's arithmetic, `VadOps`, is that of the model's backend.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from ..audio import EACH, EVERYTHING, Selection, blocks, channel_count, is_live, take_until
from ..search import Asking
from ..together import ALONE, Sharing, ordered
from .fallback import decode_with_fallback
from .merge import merge_overlap
from .options import StreamOptions
from .pace import Pace, in_portions
from .partial import Listener, OnPartial
from .placing import in_time, placed
from .quality import average_log_prob, compression_ratio, is_dropped
from .segment import Segment, Word
from .segmenter import Piece, pieces
from .speech_check import is_speech_like
from .vad_ops import VadOps
from .word_times import align

PORTIONS = 5  # parts of the interval between partial results in which a block is looked at


class Heard(NamedTuple):
    """The segment that a piece becomes, and how the piece was cut off from its neighbours."""

    segment: Segment
    overlaps: bool  # it begins inside the piece before it
    continues: bool  # the next piece begins inside this one


def has_speech(samples: np.ndarray, rate: int, options: StreamOptions, ops: VadOps) -> bool:
    """True if samples (N,) at `rate` Hz may hold speech, or if the detector is switched off (`vad_filter`)."""
    return not options.vad_filter or any(True for _ in speech_pieces([samples], rate, options, ops))


def stream(
    model,
    audio,
    sampling_rate: int | None = None,
    options: StreamOptions | None = None,
    sharing: Sharing = ALONE,
    selection: Selection = EVERYTHING,
    **generation,
) -> Iterator[Segment]:
    """Transcribe a recording of any length: its segments, each as soon as it is done.

    `audio` as in S2T.features, or an iterator of arrays (n,) at `sampling_rate` Hz; `generation` as in S2T.generate.
    Segments are decoded together as S2T.sharing says, unless it is live. A pipe is read as it fills. A recording of up
    to `max_whole_duration` is one segment, heard as S2T.transcribe hears it. A piece without text gives no segment.
    `selection` says what is heard; with its channel "each", the segments of all channels come in the order of time.
    Raises OptionError at once; AudioError, after the segments before it, if the recording is damaged or cut short.
    """
    if selection.channel == EACH:
        own = (replace(selection, channel=1 + i) for i in range(channel_count(audio, selection.stream)))
        return in_time([stream(model, audio, sampling_rate, options, sharing, one, **generation) for one in own])
    sound = blocks(audio, model.feature_config.sampling_rate, sampling_rate, selection)
    live = is_live(audio)
    utterances = utterances_of(model, sound, live, options or StreamOptions(), generation)
    heard = ordered(utterances, model.step_together, ALONE if live else sharing)
    return placed(segments_of(heard, model.tokenizer, options or StreamOptions()), selection)


def utterances_of(
    model,
    sound: Iterator[np.ndarray],
    cut: bool,
    options: StreamOptions,
    generation: dict,
    on_partial: OnPartial | None = None,
) -> Iterator[Asking[Heard]]:
    """The pieces of blocks (n,) float32 of mono sound at the model's rate, each to be heard.

    With `cut` even a short recording is cut at its pauses, and with `on_partial`, which is called with the words so far
    of an open segment. Raises OptionError at once.
    """
    rest = {name: value for name, value in generation.items() if name not in ("prefix", "lang")}
    model.generation_config.replace(**rest)
    if (lang := generation.get("lang")) is not None:
        model.with_language(generation.get("prefix", ()), lang, rest)  # raises for one that the model does not write
    rate, options = model.feature_config.sampling_rate, options.resolve(model.utterance_config)
    ops = model.backend.vad
    if on_partial is not None:
        pace = Pace(options.partial_interval)
        portions = in_portions(sound, max(1, round(options.partial_interval * rate / PORTIONS)))
        found = Listener(model, generation, on_partial).closed_pieces(speech_pieces(portions, rate, options, ops, pace))
    else:
        found = (speech_pieces if cut else whole_or_pieces)(sound, rate, options, ops)
    return (hear_piece(model, piece, options, generation) for piece in found)


def stream_partials(
    model, audio, on_partial: OnPartial, sampling_rate: int | None, options: StreamOptions, **generation
) -> Iterator[Segment]:
    """As `stream` of live sound; meanwhile `on_partial` is called with the words so far of an open segment."""
    sound = blocks(audio, model.feature_config.sampling_rate, sampling_rate)
    utterances = utterances_of(model, sound, True, options, generation, on_partial)
    return segments_of(ordered(utterances, model.step_together, ALONE), model.tokenizer, options or StreamOptions())


def segments_of(heard: Iterable[Heard], tokenizer, options: StreamOptions) -> Iterator[Segment]:
    """The segments of a recording, of what was heard in its pieces, without those that `options` drop."""
    merged = merge_pieces(heard, tokenizer)
    return number_segments(segment for segment in merged if not is_dropped(segment.avg_logprob, options))


def speech_pieces(
    sound: Iterable[np.ndarray], rate: int, options: StreamOptions, ops: VadOps, pace: Pace | None = None
) -> Iterator[Piece]:
    """The pieces of blocks (n,) that may hold speech; without `vad_filter` all that exceed the noise floor.

    The end of a long tone is too short to be recognised by itself: a piece that was cut off from the one before it is
    checked together with that one.
    """
    before = None
    for piece in pieces(sound, rate, options, ops, pace):
        samples = piece.samples
        if before and piece.overlaps:
            samples = np.concatenate((before.samples[: round((piece.offset - before.offset) * rate)], samples))
        if not options.vad_filter or is_speech_like(samples, rate, options, ops):
            yield piece
        before = before if piece.is_open else piece


def whole_or_pieces(sound: Iterator[np.ndarray], rate: int, options: StreamOptions, ops: VadOps) -> Iterator[Piece]:
    """The same, except that a short recording is one piece, with the times of its first and its last speech."""
    limit = options.max_whole_duration * rate
    head, failure = take_until(sound, limit)
    if (length := sum(map(len, head))) > limit:
        yield from speech_pieces(chain(head, sound), rate, options, ops)
        return
    whole = [np.concatenate(head)] if head else []
    found = list(speech_pieces(whole, rate, options, ops))
    if found or (head and not options.vad_filter):
        start, end = (found[0].start, found[-1].end) if found else (0.0, length / rate)
        yield Piece(*whole, 0.0, start, end, overlaps=False, continues=False)
    if failure:
        raise failure


def number_segments(segments: Iterable[Segment]) -> Iterator[Segment]:
    """The segments that have text, numbered from 0."""
    with_text = (segment for segment in segments if segment.text.strip())
    return (replace(segment, id=i) for i, segment in enumerate(with_text))


def merge_pieces(heard: Iterable[Heard], tokenizer) -> Iterator[Segment]:
    """The segments of the pieces; one that the next piece overlaps waits for it, to be merged with it."""
    waiting = None
    for segment, overlaps, continues in heard:
        if waiting and overlaps:
            waiting, segment = merge_overlap(waiting, segment, tokenizer)
        if waiting:
            yield waiting
            waiting = None
        if continues:
            waiting = segment
        else:
            yield segment
    if waiting:
        yield waiting


def hear_piece(model, piece: Piece, options: StreamOptions, generation: dict) -> Asking[Heard]:
    """The segment that a piece becomes, as an utterance for the scheduler."""
    features = model.features_of_samples(piece.samples)
    memory = model.encode(features)

    def search(**more):
        hypotheses = yield from model.begin_from(memory, **(generation | more))
        return hypotheses, model.tokenizer.batch_decode([h.tokens for h in hypotheses])

    (hypotheses, texts), flags = yield from decode_with_fallback(search, options, model.tokenizer.granularity)
    best = hypotheses[0]
    segment = Segment(
        id=0,
        start=piece.start,
        end=piece.end,
        text=texts[0],
        tokens=best.generated[:-1] if best.finished else best.generated,
        avg_logprob=average_log_prob(best),
        compression_ratio=compression_ratio(texts[0]),
        words=shift_times(align(model, features, memory, best), piece.offset) if options.word_timestamps else None,
        flags=flags,
        hypotheses=tuple(hypotheses),
        texts=tuple(texts),
    )
    return Heard(segment, piece.overlaps, piece.continues)


def shift_times(words: Iterable[Word], offset: float) -> tuple[Word, ...]:
    """Words timed within a piece that begins `offset` seconds into the recording, timed within the recording."""
    return tuple(replace(word, start=word.start + offset, end=word.end + offset) for word in words)
