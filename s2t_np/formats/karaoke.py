r"""ass (Advanced SubStation Alpha): cues laid out as in srt, each word coloured when it is said.

{\k50} before a word keeps it in the secondary colour for the 50 hundredths of a second before the next one (Aegisub's
manual, "ASS Override Tags"). Braces and backslashes would begin a tag, so that texts lose them.
"""

from collections.abc import Iterable, Iterator, Sequence

from .marks import Incomplete, Item
from .subtitles import MARK_SHOWN, SHORTEST_CUE, Layout, TimedWord, balanced, labelled_words, phrases

HEADER = """\
[Script Info]
ScriptType: v4.00+
PlayResX: 1280
PlayResY: 720

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,48,&H00FFFFFF,&H00A0A0A0,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,2,1,2,40,40,40,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
HARMLESS = str.maketrans("{}\\", "()/")


def ass(segments: Iterable[Item], layout: Layout) -> Iterator[str]:
    """The header, then a dialogue line for each cue; the last one says that a recording is incomplete."""
    yield HEADER
    ends: dict[int | None, float] = {}  # the last cue of each channel
    for item in segments:
        if isinstance(item, Incomplete):
            start = max([item.at, *ends.values()])
            yield dialogue(start, start + MARK_SHOWN, plain_text(item.text))
            continue
        for words in phrases(labelled_words(item)):
            for lines in balanced(words, layout):
                start = max(ends.get(item.channel, 0.0), lines[0][0].start)
                ends[item.channel] = end = max(lines[-1][-1].end, start + SHORTEST_CUE)
                yield dialogue(start, end, sung(lines, start, end))


def sung(lines: Sequence[Sequence[TimedWord]], start: float, end: float) -> str:
    """The lines of a cue, with the time before each word."""
    starts = [max(start, word.start) for line in lines for word in line]
    lengths = iter([hundredths(b) - hundredths(a) for a, b in zip(starts, [*starts[1:], end], strict=True)])
    texts = [" ".join(f"{{\\k{max(0, next(lengths))}}}{plain_text(word.text)}" for word in line) for line in lines]
    wait = hundredths(starts[0]) - hundredths(start)
    return f"{{\\k{wait}}}" * (wait > 0) + r"\N".join(texts)


def plain_text(text: str) -> str:
    """Text in which nothing begins a tag."""
    return text.translate(HARMLESS)


def hundredths(seconds: float) -> int:
    """Seconds as whole hundredths."""
    return round(seconds * 100)


def clock(seconds: float) -> str:
    """H:MM:SS.CC"""
    rest, cc = divmod(hundredths(seconds), 100)
    rest, s = divmod(rest, 60)
    h, m = divmod(rest, 60)
    return f"{h}:{m:02}:{s:02}.{cc:02}"


def dialogue(start: float, end: float, text: str) -> str:
    """A line of the events."""
    return f"Dialogue: 0,{clock(start)},{clock(end)},Default,,0,0,0,,{text}\n"
