"""json: one object per recording, on one line; segments and words in whisper's terms, hypotheses in our own.

JSON is Unicode, and a file's name is bytes. A name that is not UTF-8 is shown with escapes, as messages show it, and
its bytes are beside it, so that a program finds the file.

Fields of whisper's that this model has no value for are left out: the language it did not detect, the probability that
there was no speech. Times are in seconds, logarithms natural.
"""

import base64
import json
import math
import os
import re

from ..longform.segment import Recording, Segment, Word
from ..search import Hypothesis
from ..system.names import is_utf8, legible_json
from ..tokenizer import Tokenizer

# Control and format characters: C1, bidirectional overrides, line separators.
NOT_PRINTABLE = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def to_json(record: dict) -> str:
    """JSON on one line, valid UTF-8 and harmless on a terminal: readable, with escapes for what is not printable."""
    line = legible_json(json.dumps(record, ensure_ascii=False, allow_nan=False))
    return NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def finite(value: float) -> float | None:
    """A number that JSON has: infinity (the log-probability of an impossible token) and NaN become null."""
    return float(value) if math.isfinite(value) else None


def seconds(time: float) -> float:
    """A time, rounded to milliseconds."""
    return round(float(time), 3)


def hypothesis_record(hypothesis: Hypothesis, text: str, tokenizer: Tokenizer) -> dict:
    """One hypothesis; its tokens include the start token, the prefix and EOS."""
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
    """One word. As in whisper it begins with a space, so that the words joined are the text."""
    return {
        "word": f" {word.text.strip()}",
        "start": seconds(word.start),
        "end": seconds(word.end),
        "probability": finite(word.probability),
    }


def segment_record(segment: Segment, tokenizer: Tokenizer) -> dict:
    """One segment; it has `words` only if they were asked for, `channel` only if one channel was heard."""
    words = {} if segment.words is None else {"words": [word_record(word) for word in segment.words]}
    channel = {} if segment.channel is None else {"channel": segment.channel}
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
        **channel,
        **words,
        "hypotheses": [hypothesis_record(h, text, tokenizer) for h, text in pairs],
    }


def file_record(path: str) -> dict[str, str]:
    """The name of a file; of one that is not UTF-8 also its bytes, in base64."""
    return {"file": path} | ({} if is_utf8(path) else {"file_bytes": base64.b64encode(os.fsencode(path)).decode()})


def recording_record(recording: Recording, tokenizer: Tokenizer) -> dict:
    """A whole recording; `incomplete` says why some of it is missing, and is null if nothing is."""
    return {
        **file_record(recording.path),
        "text": recording.text,
        "duration": seconds(recording.duration),
        "incomplete": recording.incomplete,
        "segments": [segment_record(segment, tokenizer) for segment in recording.segments],
    }
