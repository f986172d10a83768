"""How a transcript is written down: txt, srt, vtt, tsv and json, in the conventions of OpenAI's whisper.

    lines.py       txt, tsv
    subtitles.py   srt, vtt, and how a segment is laid out in cues
    records.py     json

All but json are functions from segments, as they come, to pieces of text that can be printed at once: what they write
for a whole recording is the pieces joined. json is one object and needs them all.
"""

from collections.abc import Callable, Iterable, Iterator

from ..longform.segment import Recording, Segment
from ..tokenizer import Tokenizer
from .lines import path_lines, tsv, txt
from .records import finite, recording_record, to_json
from .subtitles import Layout, srt, vtt

STREAMED: dict[str, Callable[[Iterable[Segment], Layout], Iterator[str]]] = {
    "txt": txt,
    "srt": srt,
    "vtt": vtt,
    "tsv": tsv,
}
FORMATS = (*STREAMED, "json")


def render(name: str, recording: Recording, tokenizer: Tokenizer, layout: Layout) -> str:
    """A recording in the format of that name."""
    if name == "json":
        return to_json(recording_record(recording, tokenizer)) + "\n"
    return "".join(STREAMED[name](recording.segments, layout))


__all__ = ["FORMATS", "STREAMED", "Layout", "finite", "path_lines", "render", "to_json"]
