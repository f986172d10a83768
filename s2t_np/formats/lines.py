"""txt, the text of each segment on a line of its own; tsv, the same between its times in milliseconds."""

from collections.abc import Iterable, Iterator

from ..longform.segment import Recording, Segment
from .subtitles import Layout, milliseconds


def one_line(path: str) -> str:
    r"""A path that fits a line of tab-separated text: a tab, line feed or carriage return in it becomes \t, \n, \r."""
    return path.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def plain(text: str) -> str:
    """Text without tabs and line breaks, and with single spaces."""
    return " ".join(text.split())


def txt(segments: Iterable[Segment], layout: Layout) -> Iterator[str]:
    """The texts of each segment, best hypothesis first, a line each; a segment without text has none."""
    for segment in segments:
        if segment.text.strip():
            yield "".join(f"{plain(text)}\n" for text in segment.texts or (segment.text,))


def tsv(segments: Iterable[Segment], layout: Layout) -> Iterator[str]:
    """A header, then start and end in whole milliseconds, and the text; nothing is quoted."""
    yield "start\tend\ttext\n"
    for segment in segments:
        if text := plain(segment.text):
            yield f"{milliseconds(segment.start)}\t{milliseconds(segment.end)}\t{text}\n"


def path_lines(recording: Recording) -> str:
    """Path, tab, text of the whole recording; with several hypotheses a segment as many lines, the best first."""
    ranks = max([1, *(len(segment.texts) for segment in recording.segments)])
    texts = [[(s.texts or (s.text,))[: rank + 1][-1] for s in recording.segments] for rank in range(ranks)]
    return "".join(f"{one_line(recording.path)}\t{plain(' '.join(row))}\n" for row in texts)
