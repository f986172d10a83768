"""The figures of tools/bench/growth.py as one picture, an SVG that is light or dark as its reader's screen is."""

import io
import math
from pathlib import Path

from s2t_np.errors import OptionError

from .growth_page import LENGTHS, UNITS, duration, joined, power, times_of

COLUMNS, PANEL = 3, (3.4, 1.9)  # kinds side by side; inches of one panel
INK, PAPER, GREY = "#1f2328", "#ffffff", "#8c959f"
COLOURS = {"encoder": "#0969da", "generate": "#bc4c00", "transcribe": "#bc4c00", "memory": "#1a7f37"}
IN_THE_DARK = {INK: "#e6edf3", PAPER: "#0d1117", "#0969da": "#58a6ff", "#bc4c00": "#f0883e", "#1a7f37": "#3fb950"}
SETTINGS = {  # text stays text; the same figures give the same bytes
    "svg.fonttype": "none",
    "svg.hashsalt": "growth",
    "font.family": ["sans-serif"],
    "font.size": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "grid.color": GREY,
    "grid.alpha": 0.25,
}


def save_picture(result: dict[str, dict], path: Path) -> None:
    """Draw the figures into an .svg, or another format of matplotlib's. Raises OptionError without matplotlib."""
    try:
        from matplotlib import rc_context
    except ImportError:
        raise OptionError("--plot needs matplotlib: pip install matplotlib") from None
    with rc_context(SETTINGS):
        if path.suffix != ".svg":
            picture(result).savefig(path, dpi=150)
            return
        drawn = io.StringIO()
        picture(result).savefig(drawn, format="svg", metadata={"Date": None})
    text = "\n".join(line.rstrip() for line in drawn.getvalue().splitlines())
    path.write_text(text.replace("<defs>", f"{dark_style()}<defs>", 1) + "\n", encoding="utf-8")


def dark_style() -> str:
    """A style sheet: on a dark screen every colour has another one in its place."""
    rules = [
        f'[style*="{use}: {light}"] {{ {use}: {dark} !important }}'
        for light, dark in IN_THE_DARK.items()
        for use in ("fill", "stroke")
    ]
    return f"<style>@media (prefers-color-scheme: dark) {{ {' '.join(rules)} }}</style>\n "


def picture(result: dict[str, dict]):
    """Of each kind of work time above and memory below, COLUMNS kinds side by side: a matplotlib Figure."""
    from matplotlib.figure import Figure

    kinds = {kind: own["rows"] for kind, own in joined(result).items() if own["rows"]}
    bands = -(-len(kinds) // COLUMNS)
    figure = Figure(figsize=(PANEL[0] * COLUMNS, 2 * PANEL[1] * bands), layout="constrained")
    axes = figure.subplots(2 * bands, COLUMNS, squeeze=False)
    for number, (kind, rows) in enumerate(kinds.items()):
        band, column = divmod(number, COLUMNS)
        draw_times(axes[2 * band, column], kind, rows, column == 0)
        draw_memory(axes[2 * band + 1, column], kind, rows, column == 0)
    for number in range(len(kinds), COLUMNS * bands):
        band, column = divmod(number, COLUMNS)
        for row in (0, 1):
            axes[2 * band + row, column].set_axis_off()
    return figure


def draw_times(axes, kind: str, rows: list[dict], named: bool) -> None:
    """Processor time over n, both logarithmic, with the power of the last step beside it and what is linear dotted."""
    for what in times_of(kind):
        own = [row for row in rows if what in row["times"]]
        if not own:
            continue
        n, times = [row["n"] for row in own], [row["times"][what][1] for row in own]
        x = power(own[-2], own[-1], what) if len(own) > 1 else None
        told = what if x is None else f"{what}, in the end n^{x:.2f}"
        axes.loglog(n, times, "o-", markersize=3, color=COLOURS[what], label=told)
    n = [row["n"] for row in rows]
    start = max(pair[1] for pair in rows[0]["times"].values())
    axes.loglog(n, [start * m / n[0] for m in n], ":", color=GREY, label="linear")
    axes.legend(fontsize=7, frameon=False)
    axes.set_title(UNITS[kind], fontsize=9, fontweight="bold")
    axes.set_ylabel("processor time, s" if named else "")
    over_n(axes, kind, n)


def draw_memory(axes, kind: str, rows: list[dict], named: bool) -> None:
    """Peak memory from zero on, over the logarithm of n."""
    n, megabytes = [row["n"] for row in rows], [row["megabytes"] for row in rows]
    axes.semilogx(n, megabytes, "o-", markersize=3, color=COLOURS["memory"])
    axes.set_ylim(0, 1.15 * max(megabytes))
    axes.set_ylabel("peak memory, MB" if named else "")
    over_n(axes, kind, n)


def over_n(axes, kind: str, n: list[float]) -> None:
    """Ticks at the numbers that were measured, as far as their names do not run into each other."""
    shown = [n[0]]
    apart = math.log(n[-1] / n[0]) / 5.5 if len(n) > 1 else 0.0
    for m in n[1:]:
        if math.log(m / shown[-1]) >= apart:
            shown.append(m)
    axes.set_xticks(shown, [tick(kind, m) for m in shown])
    axes.minorticks_off()
    axes.grid(visible=True)


def tick(kind: str, n: float) -> str:
    """The name of a number below its axis."""
    if kind in LENGTHS:
        return duration(n)
    return f"{n / 1e6:.0f} M" if kind == "size" else f"{n:,}"
