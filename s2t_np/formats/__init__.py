"""The output formats of a transcript: those of OpenAI's whisper, in its conventions, and those of other programs.

    lines.py         txt, tsv
    subtitles.py     srt, vtt, and how a segment is laid out in cues
    records.py       json
    words.py         ctm, csv: a line for each word
    annotations.py   textgrid (Praat), audacity (labels)
    karaoke.py       ass, with a time for each word
    marks.py         how these say that a recording or a text breaks off

Most are functions from segments, as they arrive, to pieces of text that can be printed at once: the file of a whole
recording is these pieces joined. json, ctm and textgrid need the whole recording.
"""

from collections.abc import Callable, Iterable, Iterator

from ..longform.segment import Recording
from ..tokenizer import Tokenizer
from .annotations import audacity, textgrid
from .karaoke import ass
from .lines import path_lines, tsv, txt
from .marks import CUT_OFF, Incomplete, Item, best_text, channel_label, is_cut_off, items
from .records import file_record, finite, recording_record, segment_record, to_json
from .subtitles import Layout, srt, vtt
from .words import csv, ctm

STREAMED: dict[str, Callable[[Iterable[Item], Layout], Iterator[str]]] = {
    "txt": txt,
    "srt": srt,
    "vtt": vtt,
    "tsv": tsv,
    "csv": csv,
    "ass": ass,
    "audacity": audacity,
}
WHOLE: dict[str, Callable[[Recording], str]] = {"ctm": ctm, "textgrid": textgrid}
WHISPERS = ("txt", "srt", "vtt", "tsv", "json")
FORMATS = (*WHISPERS, *(name for name in (*STREAMED, *WHOLE) if name not in WHISPERS))
OF_WORDS = ("csv", "ass", "ctm", "textgrid")  # those that are made of word times
SUFFIXES = {"textgrid": ".TextGrid", "audacity": ".labels.txt"}  # those that are not the name itself


def suffix_of(name: str) -> str:
    """The suffix of a file in the format of that name."""
    return SUFFIXES.get(name, f".{name}")


def render(name: str, recording: Recording, tokenizer: Tokenizer, layout: Layout) -> str:
    """A recording in the format of that name."""
    if name == "json":
        return to_json(recording_record(recording, tokenizer)) + "\n"
    if name in WHOLE:
        return WHOLE[name](recording)
    return "".join(STREAMED[name](items(recording), layout))


__all__ = [
    "CUT_OFF",
    "FORMATS",
    "OF_WORDS",
    "STREAMED",
    "WHISPERS",
    "Incomplete",
    "Item",
    "Layout",
    "best_text",
    "channel_label",
    "file_record",
    "finite",
    "is_cut_off",
    "path_lines",
    "render",
    "segment_record",
    "suffix_of",
    "to_json",
]
