"""The output formats of a transcript: txt, srt, vtt, tsv and json, in the conventions of OpenAI's whisper.

    lines.py       txt, tsv
    subtitles.py   srt, vtt, and how a segment is laid out in cues
    records.py     json
    marks.py       how these say that a recording or a text breaks off

All but json are functions from segments, as they arrive, to pieces of text that can be printed at once: the file of a
whole recording is these pieces joined. json is one object and needs all segments.
"""

from collections.abc import Callable, Iterable, Iterator

from ..longform.segment import Recording
from ..tokenizer import Tokenizer
from .lines import path_lines, tsv, txt
from .marks import CUT_OFF, Incomplete, Item, channel_label, is_cut_off, items
from .records import finite, recording_record, to_json
from .subtitles import Layout, srt, vtt

STREAMED: dict[str, Callable[[Iterable[Item], Layout], Iterator[str]]] = {
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
    return "".join(STREAMED[name](items(recording), layout))


__all__ = [
    "CUT_OFF",
    "FORMATS",
    "STREAMED",
    "Incomplete",
    "Item",
    "Layout",
    "channel_label",
    "finite",
    "is_cut_off",
    "path_lines",
    "render",
    "to_json",
]
