"""Pictures and sounds for the walkthroughs, so that these hold no line of plotting.

In a notebook they appear below the cell, on a page (tools/walkthrough/page.py) they stand in
it, and a script writes them to the folder `shown`. Every one has a caption, which is also its
name for a screen reader. Pictures need matplotlib (`pip install ".[plot]"`); without it they
are left out.

A picture is an SVG without a background whose ink is `currentColor`: it takes the colour of the
text around it, so it can be read on light and on dark. The colours of lines have a contrast of
at least 3 to 1 against both.
"""

import base64
import html
import importlib.util
import io
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

DRAWS = importlib.util.find_spec("matplotlib") is not None
FOLDER = Path("shown")
INK = "#010203"  # becomes currentColor
COLOURS = ("#2f7ed8", "#d9700d", "#2f9e58", "#c2418f", "#8a6fd1")
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "s2t-np",
    "font.size": 10,
    "font.family": "sans-serif",
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


class Shown(NamedTuple):
    """Something to see or to hear."""

    caption: str
    figure: object = None  # matplotlib's
    flac: bytes = b""


def in_a_folder(shown: Shown) -> None:
    """A file of its own, named by script and number."""
    FOLDER.mkdir(exist_ok=True)
    suffix, content = ("png", as_png(shown.figure)) if shown.figure else ("flac", shown.flac)
    name = f"{Path(sys.argv[0]).stem or 'cell'}-{next(NUMBERS):02d}.{suffix}"
    (FOLDER / name).write_bytes(content)
    print(f"  [{FOLDER / name}: {shown.caption}]")


def in_a_notebook(shown: Shown) -> None:
    """Below the cell."""
    from IPython.display import display

    display({"text/html": as_html(shown), "text/plain": shown.caption}, raw=True)


def as_html(shown: Shown) -> str:
    """A figure with its caption."""
    name = html.escape(shown.caption)
    if shown.figure:
        picture = as_svg(shown.figure, shown.caption)
        return f'<figure tabindex="0">{picture}<figcaption>{name}</figcaption></figure>'
    data = base64.b64encode(shown.flac).decode()
    player = f'<audio controls aria-label="{name}" src="data:audio/flac;base64,{data}"></audio>'
    return f"<figure>{player}<figcaption>{name}</figcaption></figure>"


NUMBERS = itertools.count(1)
present: Callable[[Shown], None] = in_a_notebook if "ipykernel" in sys.modules else in_a_folder


def sound(samples, caption: str, rate: int = 16000) -> None:
    """Something to hear: samples (N,), as loud as they are, but never beyond 1."""
    file = io.BytesIO()
    loudest = max(1.0, float(np.abs(samples).max(initial=0)))
    soundfile.write(file, np.asarray(samples) / loudest, rate, format="FLAC", subtype="PCM_16")
    present(Shown(caption, flac=file.getvalue()))


@contextmanager
def axes(caption: str, size=(7.2, 2.4), across="", up="", **subplots) -> Iterator:
    """matplotlib's axes to draw on, with labels; shown when the block ends."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        found = figure.subplots(**subplots)
        for one in np.ravel(found):
            one.patch.set_visible(False)
            one.set_xlabel(across)
            one.set_ylabel(up)
        yield found
        present(Shown(caption, figure))


def as_svg(figure, caption: str) -> str:
    """The figure as an element for a page; ids are made its own, since a page holds many."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    own = f"p{sum(map(ord, caption)):x}-{len(svg):x}-"
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = (
        svg.replace(' id="', f' id="{own}')
        .replace("url(#", f"url(#{own}")
        .replace('href="#', f'href="#{own}')
    )
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(caption)}" ', 1)


def as_png(figure) -> bytes:
    """The same on white, as a file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120, facecolor="white")
    return file.getvalue()


def heat(array, caption: str, across="", up="", seconds=None, ticks=None, words=None) -> None:
    """An array (rows, columns) in colours, row 0 below; columns run over `seconds`, if given.

    `ticks` name the rows, the first one above; `words` the columns. In a large array values
    beyond the 1st and the 99th percentile have the last colour: a few would drown the others.
    """
    if not DRAWS:
        return
    array = np.asarray(array, float)
    rows, columns = array.shape
    low, high = (
        np.percentile(array[np.isfinite(array)], (1, 99)) if array.size > 1000 else (None, None)
    )
    extent = (
        (0, seconds, -0.5, rows - 0.5) if seconds else (-0.5, columns - 0.5, -0.5, rows - 0.5)
    )
    height = 1.2 + 0.22 * rows if ticks is not None else 2.6
    with axes(caption, (7.2, height), across or "seconds" * bool(seconds), up) as on:
        image = on.imshow(
            array if ticks is None else array[::-1],
            "viridis",
            vmin=low,
            vmax=high,
            origin="lower",
            aspect="auto",
            extent=extent,
            interpolation="none",
        )
        if ticks is not None:
            on.set_yticks(range(rows), list(ticks)[::-1], parse_math=False)
        if words is not None:
            on.set_xticks(range(columns), words, parse_math=False)
        on.figure.colorbar(image, pad=0.02)


def lines(ys, caption: str, across="", up="", x=None, names=(), marks=(), log=False) -> None:
    """Curves over x; `marks` are (place, word) on the x axis."""
    if not DRAWS:
        return
    with axes(caption, across=across, up=up) as on:
        for i, y in enumerate(ys):
            name = names[i] if i < len(names) else None
            on.plot(
                np.arange(len(y)) if x is None else x,
                y,
                color=COLOURS[i % 5],
                linewidth=1.2,
                label=name,
            )
        for place, word in marks:
            on.axvline(place, color=INK, linewidth=0.6, linestyle=":")
            on.annotate(
                word,
                (place, 1),
                xycoords=on.get_xaxis_transform(),
                ha="left",
                va="bottom",
                fontsize=9,
            )
        if log:
            on.set_xscale("log")
            on.set_yscale("log")
        if names:
            on.legend(frameon=False, fontsize=9)


def wave(samples, caption: str, rate: int = 16000, marks=()) -> None:
    """A waveform over seconds: the lowest and the highest sample of each of 1,200 stretches."""
    if not DRAWS:
        return
    starts = np.unique(np.linspace(0, len(samples), 1200, endpoint=False).astype(int))
    with axes(caption, (7.2, 1.9), "seconds", "amplitude") as on:
        low, high = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
        on.fill_between(starts / rate, low, high, color=COLOURS[0], linewidth=0)
        on.set_xlim(0, len(samples) / rate)
        for begin, end, word in marks:
            on.axvspan(begin, end, color=COLOURS[1], alpha=0.25, linewidth=0)
            middle = ((begin + end) / 2, 1.01)
            on.annotate(
                word,
                middle,
                xycoords=on.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=9,
            )


def bars(values, words: Sequence[str], caption: str, up="") -> None:
    """A bar for each word."""
    if not DRAWS:
        return
    with axes(caption, (7.2, 2.2), up=up) as on:
        on.bar(range(len(values)), values, color=COLOURS[0], width=0.6)
        on.set_xticks(range(len(values)), words, parse_math=False)


def grid(arrays, titles: Sequence[str], caption: str, across="", up="", seconds=None) -> None:
    """Small arrays, four side by side, each (rows, columns) with row 0 above.

    With `seconds` the columns run over that time, and the rows of a square array as well.
    """
    if not DRAWS:
        return
    rows, (high, wide) = -(-len(arrays) // 4), arrays[0].shape
    square = bool(seconds) and high == wide
    extent = (0, seconds or wide, seconds if square else high, 0)
    size = (7.2, 0.5 + (1.65 if square else 0.9) * rows)
    with axes(caption, size, nrows=rows, ncols=4, squeeze=False) as on:
        for i, (one, array, title) in enumerate(zip(on.flat, arrays, titles, strict=False)):
            one.imshow(array, "viridis", aspect="auto", interpolation="none", extent=extent)
            one.set_title(title, fontsize=9)
            one.tick_params(labelbottom=i >= len(arrays) - 4, left=square)
            one.tick_params(labelleft=square and i % 4 == 0)
        for one in on.flat[len(arrays) :]:
            one.set_axis_off()
        on.flat[0].figure.supxlabel(across, fontsize=10)
        on.flat[0].figure.supylabel(up, fontsize=10)


class Node(NamedTuple):
    """A beam in a tree: where it stands, what it continues, and what to write there."""

    step: int
    place: int  # from above, 0 first
    parent: int | None  # place in the step before
    text: str
    fate: str  # "runs on", "ended", "pruned", or "best" for what belongs to the answer


FATES = {"runs on": COLOURS[0], "ended": COLOURS[2], "pruned": "#8c8c8c", "best": COLOURS[1]}


def tree(nodes: Sequence[Node], caption: str) -> None:
    """Beams step by step, from left to right, each tied to the one that it continues."""
    if not DRAWS:
        return
    steps, places = max(n.step for n in nodes) + 1, max(n.place for n in nodes) + 1
    with axes(caption, (7.2, 0.6 + 0.42 * places)) as on:
        for node in nodes:
            colour = FATES[node.fate]
            if node.parent is not None:
                tie = {"color": colour, "linewidth": 2 if node.fate == "best" else 1}
                on.plot(
                    [node.step - (0.3 if node.step > 1 else 0.62), node.step - 0.06],
                    [-node.parent, -node.place],
                    **tie,
                )
            on.text(
                node.step, -node.place, node.text, va="center", fontsize=9, parse_math=False
            )
            on.plot([node.step - 0.04], [-node.place], "o", color=colour, markersize=4)
        for fate in dict.fromkeys(node.fate for node in nodes):
            on.plot([], [], "o", color=FATES[fate], label=fate)
        on.legend(
            frameon=False, fontsize=9, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.14)
        )
        on.set_xlim(-0.2, steps - 0.3)
        on.set_ylim(-places + 0.4, 0.6)
        on.set_axis_off()
