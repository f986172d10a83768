"""The map: one picture (SVG) of the whole model on this recording, which is the page's navigation as well.

Each box links to the sections that show its inside; each arrow carries the shape of the array that flows along it.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from html import escape
from itertools import accumulate
from typing import NamedTuple

from .sections import SECTIONS

ARROW, MARGIN = 74, 6  # widths, in units of the picture: pixels where it is shown at full size
TITLE, ROW, RUNG, HEIGHT = 24, 21, 12, 128
CONVOLUTIONS, ENCODER, DECODER = "encoder.conv.conv_layers.", "encoder.layers.", "decoder.layers."


class Box(NamedTuple):
    """One part of the model: the last match of the patterns in `flow` leaves it, `axes` the axes of that stage."""

    id: str
    title: str
    width: int
    sections: tuple[str, ...]  # ids of the sections inside
    flow: str = ""
    axes: str = ""
    stack: str = ""  # what its layers' stages begin with, where it is a stack of layers


BOXES = (
    Box("sound", "Sound", 84, ("samples",), "samples", "samples"),
    Box("frames", "Frames", 84, ("frames",), "features.windowed", "frames × samples"),
    Box(
        "features",
        "Log-mel",
        96,
        ("spectrum", "mel", "log-mel", "cmvn"),
        "features.log_mel features.cmvn",
        "frames × bins",
    ),
    Box(
        "convolutions",
        "convolutions",
        110,
        ("subsampler",),
        "encoder.conv.conv_layers.*.glu",
        "positions × D",
        CONVOLUTIONS,
    ),
    Box(
        "encoder",
        "encoder layers",
        124,
        ("positions", "encoder", "memory"),
        "encoder.layer_norm",
        "positions × D",
        ENCODER,
    ),
    Box("decoder", "decoder layers", 124, ("decoder", "alternatives"), "log_probs", "tokens × pieces", DECODER),
    Box("search", "Search", 84, ("search",), "tokens", "ids with\nstart"),
    Box("text", "Text", 96, ("words", "experiment")),
)
SHORT = {
    "samples": "waveform",
    "frames": "25 ms each",
    "spectrum": "spectrum",
    "mel": "mel filters",
    "log-mel": "logarithm",
    "cmvn": "normalised",
    "subsampler": "with gates",
    "positions": "positions",
    "encoder": "self-attention",
    "memory": "memory",
    "decoder": "listening",
    "alternatives": "probabilities",
    "search": "beams",
    "words": "words",
    "experiment": "change it",
}  # what the rows of the boxes say
LEFTS = tuple(accumulate((box.width + ARROW for box in BOXES[:-1]), initial=MARGIN))  # where each box begins
WIDTH = LEFTS[-1] + BOXES[-1].width + MARGIN


def model_map(trace: Mapping) -> str:
    """The <svg> of a trace that holds the page's stages."""
    parts = [draw_box(trace, box, left) for box, left in zip(BOXES, LEFTS, strict=True)]
    arrows = [draw_arrow(trace, box, left + box.width) for box, left in zip(BOXES[:-1], LEFTS[:-1], strict=True)]
    label = "Map of the model on this recording, from sound to text, with the shape of every array on its way"
    return (
        f'<svg id="map" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{label}">'
        f"{''.join(parts)}{''.join(arrows)}</svg>"
    )


def layers_of(trace: Mapping, stack: str) -> int:
    """The number of layers in a trace whose stages begin with `stack`."""
    return len({name.removeprefix(stack).split(".")[0] for name in trace if name.startswith(stack)})


def flow_of(trace: Mapping, box: Box) -> str:
    """The name of the stage that leaves a box."""
    return [name for pattern in box.flow.split() for name in trace if fnmatchcase(name, pattern)][-1]


def shape_of(trace: Mapping, stage: str) -> str:
    """The shape of a stage as arrows show it: "238 × 80"."""
    return " × ".join(f"{size:,}" for size in trace[stage].shape)


def draw_box(trace: Mapping, box: Box, left: int) -> str:
    """A box with its title, a link for each section inside, and a link for each layer of a stack."""
    count = layers_of(trace, box.stack) if box.stack else 0
    title = f"{count} {box.title if count > 1 else box.title.removesuffix('s')}" if count else box.title
    rows = [draw_row(section, box.width, left, TITLE + 4 + i * ROW) for i, section in enumerate(box.sections)]
    return (
        f'<g class="part" data-box="{box.id}">'
        f'<a class="box" href="#{box.sections[0]}" aria-label="{escape(title)}">'
        f'<rect x="{left}" y="2" width="{box.width}" height="{HEIGHT - 4}" rx="8"/>'
        f'<text x="{left + box.width / 2}" y="19">{escape(title)}</text></a>'
        f"{''.join(rows)}{draw_layers(box, count, left)}</g>"
    )


def draw_row(section: str, width: int, left: int, top: int) -> str:
    """The link to a section."""
    title = next(s.title for s in SECTIONS if s.id == section)
    return (
        f'<a class="row" href="#{section}" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<rect x="{left + 5}" y="{top}" width="{width - 10}" height="{ROW - 2}" rx="4"/>'
        f'<text x="{left + width / 2}" y="{top + 14}">{escape(SHORT[section])}</text></a>'
    )


def draw_layers(box: Box, count: int, left: int) -> str:
    """A rung for each layer of a stack: it opens the attention of that layer."""
    section = {ENCODER: "encoder", DECODER: "decoder"}.get(box.stack)
    if not section:
        return ""
    wide = (box.width - 12) / max(count, 1)
    return "".join(
        f'<a class="layer" href="#{section}" data-layer="{i}" aria-label="{section} layer {i}">'
        f"<title>layer {i}</title>"
        f'<rect x="{left + 6 + i * wide:.1f}" y="{HEIGHT - RUNG - 8}" width="{wide - 2:.1f}" '
        f'height="{RUNG}" rx="2"/></a>'
        for i in range(count)
    )


def draw_arrow(trace: Mapping, box: Box, left: int) -> str:
    """The arrow that leaves a box, with the shape and the axes of what flows."""
    stage, middle, y = flow_of(trace, box), left + ARROW / 2, HEIGHT / 2
    axes = "".join(
        f'<tspan x="{middle}" dy="{"0" if i == 0 else "1.1em"}">{escape(line)}</tspan>'
        for i, line in enumerate(box.axes.replace(" × ", " ×\n").split("\n"))
    )
    return (
        f'<g class="flow" data-stage="{stage}"><title>{escape(stage)}</title>'
        f'<path d="M{left + 4} {y}h{ARROW - 14}m-6 -5l6 5l-6 5"/>'
        f'<text class="shape" x="{middle}" y="{y - 10}">{shape_of(trace, stage)}</text>'
        f'<text class="axes" x="{middle}" y="{y + 18}">{axes}</text></g>'
    )
