"""The figures of tools/bench/growth.py as tables, and a page that holds them between two marks."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

BEGIN, END = "<!-- figures of tools.bench.growth -->", "<!-- end of figures -->"
UNITS = {
    "whole": "one utterance, not cut",
    "uncut": "one utterance, not cut",
    "segments": "one recording, in segments",
    "files": "files of 1 s",
    "beams": "beams, 10 s",
    "vocabulary": "pieces, 10 s",
    "size": "parameters, 10 s",
}
LENGTHS = ("whole", "uncut", "segments")
TIMES = {"whole": ("encoder", "generate"), "uncut": ("encoder",), "segments": ("transcribe",), "files": ("transcribe",)}
IN_ALL = ("encoder", "generate")  # the times of other kinds


def times_of(kind: str) -> tuple[str, ...]:
    """The times that a row of this kind has; the second of whole is missing where the encoder was measured alone."""
    return TIMES.get(kind, IN_ALL)


def duration(seconds: float) -> str:
    """Seconds in the unit in which they are a small number: 30 s, 4 min, 1 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def label(kind: str, row: dict) -> str:
    """What the row is of."""
    if kind in LENGTHS:
        return duration(row["n"])
    return f"{row['n'] / 1e6:.1f} million ({row['point']})" if kind == "size" else f"{row['n']:,}"


def power(before: dict | None, row: dict, what: str) -> float | None:
    """The x in time ~ n^x from one row to the next, by processor time; None where one of them has no such time."""
    if before is None or what not in before["times"] or what not in row["times"]:
        return None
    ratio = row["times"][what][1] / before["times"][what][1]
    return math.log(ratio) / math.log(row["n"] / before["n"])


def joined(result: dict[str, dict]) -> dict[str, dict]:
    """The same kinds, the rows of `uncut` after those of `whole`."""
    found = dict(result)
    if uncut := found.pop("uncut", None):
        whole = found.get("whole", {"machine": uncut["machine"], "rows": []})
        found = {"whole": whole | {"rows": whole["rows"] + uncut["rows"]}} | {
            kind: own for kind, own in found.items() if kind != "whole"
        }
    return found


def table(kind: str, rows: Iterable[dict], seen: Callable[[dict], None] = lambda row: None) -> Iterator[str]:
    """The lines of a table, each as its row comes; `seen` is called with every row.

    Time is wall time, "processor" that of all threads.
    """
    heads = " | ".join(f"{what} | processor | power" for what in times_of(kind))
    yield f"\n| {UNITS[kind]} | {heads} | peak memory |"
    yield "|---|" + "---|" * (3 * len(times_of(kind)) + 1)
    before = None
    for row in rows:
        seen(row)
        cells = [cell for what in times_of(kind) for cell in time_cells(before, row, what)]
        yield f"| {label(kind, row)} | {' | '.join(cells)} | {row['megabytes']:,.0f} MB |"
        before = row


def time_cells(before: dict | None, row: dict, what: str) -> list[str]:
    """Wall time, processor time and power of one time of a row; empty where it was not measured."""
    if what not in row["times"]:
        return ["", "", ""]
    x = power(before, row, what)
    return [*(f"{seconds(value)} s" for value in row["times"][what]), "" if x is None else f"{x:.2f}"]


def seconds(value: float) -> str:
    """Three digits."""
    return f"{value:,.{max(0, 2 - math.floor(math.log10(max(value, 1e-3))))}f}"


def write_page(result: dict[str, dict], page: Path) -> None:
    """Put all tables between the marks of a page, and say where they were measured. Raises SystemExit without marks."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{page}: expected the lines {BEGIN} and {END}, between which the figures go")
    tables = "\n".join(line for kind, own in joined(result).items() for line in table(kind, own["rows"]))
    page.write_text(f"{before}{BEGIN}\n{places(result)}\n{tables}\n\n{END}{after}", encoding="utf-8")


def places(result: dict[str, dict]) -> str:
    """Which kinds were measured where: a line for each place."""
    kinds: dict[str, list[str]] = {}
    for kind, own in result.items():
        kinds.setdefault(own["machine"], []).append(kind)
    return "\n".join(f"- {', '.join(own)}: {where}" for where, own in kinds.items())
