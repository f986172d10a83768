"""json: one object a recording, on one line; segments and words in whisper's terms, and hypotheses in our own.

What whisper writes and this model cannot know is left out: the language it did not detect, the probability that there
was no speech. Times are seconds, logarithms natural.
"""

import json
import math

from ..longform.segment import Recording, Segment, Word
from ..search import Hypothesis
from ..tokenizer import Tokenizer


def to_json(record: dict) -> str:
    """JSON on one line that is always valid UTF-8: readable where it can be, \\udcXX escapes where it cannot."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def finite(value: float) -> float | None:
    """A number as JSON knows it: what is infinite or NaN (an impossible token's log-probability) becomes null."""
    return float(value) if math.isfinite(value) else None


def seconds(time: float) -> float:
    """A time as it is written: to the millisecond."""
    return round(float(time), 3)


def hypothesis_record(hypothesis: Hypothesis, text: str, tokenizer: Tokenizer) -> dict:
    """One hypothesis, start token, prefix and EOS among its tokens."""
    tokens = [int(token) for token in hypothesis.tokens]
    return {
        "text": text,
        "score": finite(hypothesis.score),
        "log_prob": finite(hypothesis.log_prob),
        "finished": bool(hypothesis.finished),
        "tokens": tokens,
        "pieces": tokenizer.pieces(tokens),
        "token_log_probs": [finite(p) for p in hypothesis.token_log_probs],
    }


def word_record(word: Word) -> dict:
    """One word; as in whisper it begins with the space before it, so that words joined are the text."""
    return {
        "word": f" {word.text.strip()}",
        "start": seconds(word.start),
        "end": seconds(word.end),
        "probability": finite(word.probability),
    }


def segment_record(segment: Segment, tokenizer: Tokenizer) -> dict:
    """One segment; its words only where they were asked for."""
    words = {} if segment.words is None else {"words": [word_record(word) for word in segment.words]}
    pairs = zip(segment.hypotheses, segment.texts, strict=True)
    return {
        "id": segment.id,
        "start": seconds(segment.start),
        "end": seconds(segment.end),
        "text": segment.text,
        "tokens": [int(token) for token in segment.tokens],
        "avg_logprob": finite(segment.avg_logprob),
        "compression_ratio": finite(segment.compression_ratio),
        "flags": list(segment.flags),
        **words,
        "hypotheses": [hypothesis_record(h, text, tokenizer) for h, text in pairs],
    }


def recording_record(recording: Recording, tokenizer: Tokenizer) -> dict:
    """A whole recording."""
    return {
        "file": recording.path,
        "text": recording.text,
        "duration": seconds(recording.duration),
        "segments": [segment_record(segment, tokenizer) for segment in recording.segments],
    }
