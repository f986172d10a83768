"""A picture of a run: loss and word error rate over the updates. Needs matplotlib."""

from pathlib import Path

from ..inspect.plot import figure_class
from ..system.atomic_files import atomic_file

PANELS = (  # label, and the figures of the log that are drawn in it
    ("loss per token", {"nll": "training", "valid_nll": "validation"}),
    ("word error rate, %", {"valid_wer": "validation"}),
    ("gradient norm", {"gradient_norm": "before clipping"}),
    ("learning rate", {"lr": "learning rate"}),
)


def series(entries: list[dict], name: str) -> tuple[list[int], list[float]]:
    """The updates and the values of one figure of the log."""
    found = [(entry["update"], entry[name]) for entry in entries if entry.get(name) is not None]
    scale = 100 if name == "valid_wer" else 1
    return [update for update, _ in found], [scale * value for _, value in found]


def picture(entries: list[dict]):
    """The curves of the entries of a log: a matplotlib Figure. Raises OptionError where matplotlib is missing."""
    figure = figure_class()(figsize=(8, 10), layout="constrained")
    for axes, (label, names) in zip(figure.subplots(len(PANELS), 1, sharex=True), PANELS, strict=True):
        for name, legend in names.items():
            axes.plot(*series(entries, name), label=legend)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend()
    axes.set_xlabel("updates")
    return figure


def save(entries: list[dict], path: Path) -> None:
    """Write the picture as PNG. Raises OptionError, OSError."""
    figure = picture(entries)
    with atomic_file(path) as file:
        figure.savefig(file, format="png")
