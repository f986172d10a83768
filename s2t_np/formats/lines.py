"""txt, the text of each segment on a line of its own; tsv, the same between its times in milliseconds."""

from collections.abc import Iterable, Iterator

from ..longform.segment import Recording, Segment
from .marks import Incomplete, Item, best_text, channel_label, items, plain
from .subtitles import Layout, milliseconds


def one_line(path: str) -> str:
    r"""A path that fits a line of tab-separated text: a tab, line feed or carriage return in it becomes \t, \n, \r."""
    return path.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def ranked(segment: Segment) -> list[str]:
    """The texts of a segment's hypotheses, best first, each on one line."""
    return [best_text(segment), *(channel_label(segment) + plain(text) for text in segment.texts[1:])]


def txt(segments: Iterable[Item], layout: Layout) -> Iterator[str]:
    """The texts of each segment, best hypothesis first, on a line each; a segment without text has no line."""
    for item in segments:
        if isinstance(item, Incomplete):
            yield f"{item.text}\n"
        elif item.text.strip():
            yield "".join(f"{text}\n" for text in ranked(item))


def tsv(segments: Iterable[Item], layout: Layout) -> Iterator[str]:
    """A header, then start and end in whole milliseconds and the text; nothing is quoted."""
    yield "start\tend\ttext\n"
    for item in segments:
        start, end, text = (
            (item.at, item.at, item.text) if isinstance(item, Incomplete) else (item.start, item.end, best_text(item))
        )
        if text:
            yield f"{milliseconds(start)}\t{milliseconds(end)}\t{text}\n"


def path_lines(recording: Recording) -> str:
    """Path, tab, the whole text; with several hypotheses as many lines, the best first.

    A third column marks an incomplete recording.
    """
    texts = [ranked(segment) for segment in recording.segments]
    ranks = max([1, *map(len, texts)])
    rows = [plain(" ".join(own[: rank + 1][-1] for own in texts)) for rank in range(ranks)]
    mark = "".join(f"\t{item.text}" for item in items(recording) if isinstance(item, Incomplete))
    return "".join(f"{one_line(recording.path)}\t{row}{mark}\n" for row in rows)
