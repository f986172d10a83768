"""The response formats of OpenAI's audio API, and the events of a stream.

Clients read some fields without asking whether they are there, so verbose_json has every field of OpenAI's: `seek` and
`no_speech_prob` among them, which this model does not know: 0, as silence was left out before the search. Fields of our
own (`flags`, `probability`, `incomplete`) stand beside them.
"""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from ..formats import Layout, finite, render
from ..formats.marks import best_text
from ..formats.records import seconds, to_json, word_record
from ..longform.segment import Recording, Segment
from ..tokenizer import Tokenizer
from .parameters import Wanted
from .settings import Settings

MEDIA = {"json": "application/json", "verbose_json": "application/json", "text": "text/plain; charset=utf-8"}
MEDIA |= {"srt": "application/x-subrip; charset=utf-8", "vtt": "text/vtt; charset=utf-8"}
DONE = "data: [DONE]\n\n"


def body(recording: Recording, wanted: Wanted, settings: Settings, tokenizer: Tokenizer) -> str:
    """A recording in the format that was asked for."""
    if wanted.format in ("srt", "vtt"):
        return render(wanted.format, recording, tokenizer, Layout())
    if wanted.format == "text":
        return text_of(recording.segments) + "\n"
    return to_json(record(recording, wanted, settings, tokenizer))


def text_of(segments: Iterable[Segment]) -> str:
    """The text of all segments on one line, with a mark where one was cut off."""
    return " ".join(map(best_text, segments))


def record(recording: Recording, wanted: Wanted, settings: Settings, tokenizer: Tokenizer) -> dict:
    """The object of json or verbose_json."""
    found: dict[str, Any] = {"text": text_of(recording.segments)}
    if wanted.format == "verbose_json":
        found |= {"task": settings.task, "language": settings.language, "duration": seconds(recording.duration)}
        if wanted.segments:
            found["segments"] = [segment_record(segment, wanted) for segment in recording.segments]
        if wanted.words:
            found["words"] = [bare(word_record(word)) for segment in recording.segments for word in segment.words or ()]
    if wanted.logprobs:
        found["logprobs"] = [one for segment in recording.segments for one in log_probs(segment, tokenizer)]
    if recording.incomplete:
        found["incomplete"] = recording.incomplete
    return found | {"usage": {"type": "duration", "seconds": round(recording.duration)}}


def segment_record(segment: Segment, wanted: Wanted) -> dict:
    """One segment of verbose_json."""
    words = {} if segment.words is None else {"words": [bare(word_record(word)) for word in segment.words]}
    return {
        "id": segment.id,
        "seek": round(segment.start * 100),
        "start": seconds(segment.start),
        "end": seconds(segment.end),
        "text": best_text(segment),
        "tokens": [int(token) for token in segment.tokens],
        "temperature": wanted.temperature,
        "avg_logprob": finite(segment.avg_logprob),
        "compression_ratio": finite(segment.compression_ratio),
        "no_speech_prob": 0.0,
        "flags": list(segment.flags),
        **words,
    }


def bare(word: dict) -> dict:
    """A word as this API has it: without the space before it."""
    return word | {"word": word["word"].strip()}


def log_probs(segment: Segment, tokenizer: Tokenizer) -> list[dict]:
    """The tokens of a segment with their log-probabilities."""
    probabilities = segment.hypotheses[0].token_log_probs if segment.hypotheses else ()
    pairs = zip(tokenizer.pieces(segment.tokens), probabilities, strict=False)
    named = ((piece.replace("▁", " "), probability) for piece, probability in pairs)
    return [{"token": text, "bytes": list(text.encode()), "logprob": finite(p)} for text, p in named]


def event(data: dict) -> str:
    """A server-sent event."""
    return f"data: {to_json(data)}\n\n"


async def stream(
    events: AsyncIterator[Any], wanted: Wanted, settings: Settings, tokenizer: Tokenizer
) -> AsyncIterator[str]:
    """The events of a job, segments and then Done, as server-sent events of OpenAI's. Raises what `events` raise."""
    begun = False
    async for found in events:
        if isinstance(found, Segment):
            delta = " " * begun + best_text(found)
            begun = True
            yield event({"type": "transcript.text.delta", "delta": delta})
            if wanted.format == "verbose_json":
                yield event({"type": "transcript.text.segment", **segment_record(found, wanted)})
        else:
            yield event({"type": "transcript.text.done", **record(found.result, wanted, settings, tokenizer)})
    yield DONE


def failure_event(refusal_record: dict) -> str:
    """The event that ends a stream which cannot go on."""
    return f"event: error\ndata: {json.dumps(refusal_record)}\n\n"
